//! Asks a program of a pod for the report of the life before it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use meshcore_lifecycle::Report;
use meshcore_telemetry::plain_http::{self, HttpError};
use tokio::time::{sleep, timeout};

use super::memory::{Question, Told};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);
/// How long to wait before each try. A program serves from its first moment on, but a `NetworkPolicy` may come later,
/// or forbid it for ever.
const WAITS: [u64; 5] = [0, 1, 3, 10, 30];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{0} is no address")]
    Address(String),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is no report")]
    Json(#[from] serde_json::Error),
    #[error("no answer in {} s", TRY.as_secs())]
    TimedOut,
}

/// Asks until there is an answer, or patience is over.
pub(super) async fn ask(question: &Question) -> Told {
    for wait in WAITS {
        sleep(Duration::from_secs(wait)).await;
        let answer = match address(question) {
            Ok(address) => report_of(address).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Some(report)) if report.program == question.program.name() => {
                return Told::Report(report);
            }
            Ok(_) => return Told::Nothing,
            Err(error) => log(question, &error),
        }
    }
    Told::Unreachable
}

fn log(question: &Question, error: &AskError) {
    tracing::debug!(
        namespace = question.resource.namespace,
        name = question.resource.name,
        program = question.program.name(),
        error = error as &dyn std::error::Error,
        "The pod can't be asked how the one before it ended"
    );
}

fn address(question: &Question) -> Result<SocketAddr, AskError> {
    let ip: Result<IpAddr, _> = question.ip.parse();
    let ip = ip.map_err(|_| AskError::Address(question.ip.clone()))?;
    Ok(SocketAddr::new(ip, question.program.port()))
}

/// `GET /shutdown-report`.
pub(super) async fn report_of(address: SocketAddr) -> Result<Option<Box<Report>>, AskError> {
    let host = address.to_string();
    let answer = timeout(TRY, plain_http::get(&host, "/shutdown-report")).await;
    let (status, body) = answer.map_err(|_| AskError::TimedOut)??;
    if status != StatusCode::OK {
        return Err(AskError::Status(status));
    }
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use meshcore_telemetry::{AdminServer, LastShutdown};

    use super::*;

    /// A program that starts in a folder with this report of its last life.
    fn program(report: Option<&str>) -> SocketAddr {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        if let Some(report) = report {
            std::fs::write(&file, report).unwrap();
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let router = LastShutdown::take(&file).router();
        AdminServer::start(address, router).unwrap().address
    }

    #[tokio::test]
    async fn a_program_tells_how_the_one_before_it_ended() {
        let report = r#"{"program":"ingestor","cause":"SIGTERM","clean":true,"exitCode":0,
            "startedAt":"2026-11-21T00:00:00Z","at":"2026-11-21T00:00:02Z","budgetSeconds":25,
            "tookMilliseconds":2000}"#;
        let told = report_of(program(Some(report))).await.unwrap().unwrap();
        assert_eq!((told.program.as_str(), told.clean), ("ingestor", true));
        assert_eq!(report_of(program(None)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn something_else_on_the_port_is_no_answer() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let other = AdminServer::start(address, axum_router("<html>"))
            .unwrap()
            .address;
        assert!(matches!(report_of(other).await, Err(AskError::Json(_))));
        let endless =
            AdminServer::start(address, axum_router(&"x".repeat(plain_http::MAX_BYTES + 1)))
                .unwrap();
        assert!(matches!(
            report_of(endless.address).await,
            Err(AskError::Http(HttpError::Body(_)))
        ));
        let nothing = AdminServer::start(address, axum::Router::new())
            .unwrap()
            .address;
        let error = report_of(nothing).await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is 404 Not Found");
    }

    fn axum_router(body: &str) -> axum::Router {
        let body = body.to_owned();
        axum::Router::new().route("/shutdown-report", axum::routing::get(|| async { body }))
    }
}
