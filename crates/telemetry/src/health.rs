//! The sub-command `health` of each program: it asks the program that runs how it is, from a container without a shell.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::timeout;

use crate::plain_http::{self, HttpError};

/// How long a program may take for its answer.
const LIMIT: Duration = Duration::from_secs(5);

/// What to ask. Nothing more said, whether the program is ready for its work.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Question {
    /// Ask whether it is alive, instead of whether it is ready: it is while it drains, too
    #[arg(long)]
    pub live: bool,
    /// Ask whether it has started, instead of whether it is ready: it has from then on, whatever befalls it
    #[arg(long, conflicts_with = "live")]
    pub startup: bool,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Self { live: true, .. } => "/health/live",
            Self { startup: true, .. } => "/health/startup",
            Self { .. } => "/health/ready",
        }
    }
}

/// What a program says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is as it should be.
    pub is_good: bool,
    /// Its words.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// There is no answer, or none that can be read.
    #[error("{address} can't be asked; is the program running, and with the same settings?")]
    Http {
        /// Who was asked.
        address: SocketAddr,
        /// What went wrong.
        source: HttpError,
    },
    /// There was no answer in time.
    #[error("{address} did not answer in {} s", LIMIT.as_secs())]
    TimedOut {
        /// Who was asked.
        address: SocketAddr,
    },
}

/// Asks the program that listens on `address`. One that listens on every address is asked on this machine's own.
///
/// # Errors
/// When there is no answer.
pub async fn ask(address: SocketAddr, question: Question) -> Result<Answer, HealthError> {
    let path = question.path();
    let answer = ask_one(first_of(address), path).await;
    match (&answer, second_of(address)) {
        (Err(HealthError::Http { .. }), Some(other)) => ask_one(other, path).await,
        _ => answer,
    }
}

/// Asks the program that listens on `address` and prints what it says. The exit code is 0 if it is as it should be,
/// else 1.
pub async fn report(program: &str, address: SocketAddr, question: Question) -> ExitCode {
    let (is_good, printed) = match ask(address, question).await {
        Ok(Answer { is_good, body }) => (is_good, writeln!(std::io::stdout(), "{body}")),
        Err(error) => {
            let error = anyhow::Error::from(error);
            (
                false,
                writeln!(std::io::stderr(), "{program} health: {error:#}"),
            )
        }
    };
    // What can't be printed can still be told by the exit code.
    drop(printed);
    ExitCode::from(u8::from(!is_good))
}

/// Whoever listens on every address answers on loopback, and `[::]` on that of IPv4 too, on nearly all machines.
fn first_of(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        return (Ipv4Addr::LOCALHOST, address.port()).into();
    }
    address
}

fn second_of(address: SocketAddr) -> Option<SocketAddr> {
    let is_all_of_ipv6 = address.ip() == Ipv6Addr::UNSPECIFIED;
    is_all_of_ipv6.then(|| (Ipv6Addr::LOCALHOST, address.port()).into())
}

async fn ask_one(address: SocketAddr, path: &str) -> Result<Answer, HealthError> {
    let answer = timeout(LIMIT, plain_http::get(&address.to_string(), path)).await;
    let (status, body) = answer
        .map_err(|_| HealthError::TimedOut { address })?
        .map_err(|source| HealthError::Http { address, source })?;
    Ok(Answer {
        is_good: status == StatusCode::OK,
        body: String::from_utf8_lossy(&body).trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use meshcore_lifecycle::Readiness;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{AdminServer, Health, bound_socket, router};

    fn program(address: &str, readiness: Readiness) -> SocketAddr {
        let health = Health::new(readiness, Registry::default(), || {});
        let address = address.parse().unwrap();
        AdminServer::start(address, router(health)).unwrap().address
    }

    const LIVE: Question = Question {
        live: true,
        startup: false,
    };
    const STARTUP: Question = Question {
        live: false,
        startup: true,
    };

    #[tokio::test]
    async fn a_program_that_starts_is_alive_and_neither_started_nor_ready() {
        let address = program("127.0.0.1:0", Readiness::starting("testing"));
        for question in [Question::default(), STARTUP] {
            let answer = ask(address, question).await.unwrap();
            assert!(
                !answer.is_good && answer.body.contains("testing"),
                "{answer:?}"
            );
        }
        let live = ask(address, LIVE).await.unwrap();
        assert_eq!(
            (live.is_good, live.body.as_str()),
            (true, r#"{"status":"live"}"#)
        );
    }

    #[tokio::test]
    async fn one_that_listens_everywhere_is_asked_on_loopback() {
        for everywhere in ["0.0.0.0:0", "[::]:0"] {
            let address = program(everywhere, Readiness::starting("testing"));
            assert!(address.ip().is_unspecified());
            let live = ask(address, LIVE).await.unwrap();
            assert!(live.is_good, "{everywhere}");
        }
    }

    /// So it is where `net.ipv6.bindv6only` is set.
    #[tokio::test]
    async fn one_that_listens_on_ipv6_alone_is_found() {
        let port = program("[::1]:0", Readiness::starting("testing")).port();
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        assert!(ask(everywhere, LIVE).await.unwrap().is_good);
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_address() {
        let socket = bound_socket("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let error = ask(address, Question::default()).await.unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
