//! The port with `/health/live`, `/health/startup`, `/health/ready` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use meshcore_lifecycle::{Readiness, ReadinessSnapshot};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::listen::bound_socket;

/// Connections that wait to be accepted: probes and scrapers, so a few would do.
const BACKLOG: u32 = 128;

/// What the port shows.
#[derive(Clone)]
pub struct Health {
    readiness: Readiness,
    registry: Arc<Registry>,
    /// Values that are looked up only when somebody asks.
    refresh: Arc<dyn Fn() + Send + Sync>,
    /// Why a restart would help, if it would.
    verdict: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Health {
    /// Shows `readiness` and `registry`; `refresh` runs before each scrape.
    pub fn new(
        readiness: Readiness,
        registry: Registry,
        refresh: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            readiness,
            registry: Arc::new(registry),
            refresh: Arc::new(refresh),
            verdict: Arc::new(|| None),
        }
    }

    /// Lets liveness fail while `verdict` gives a reason why a restart would help. Without this it never fails: a
    /// program that is able to answer is alive.
    #[must_use]
    pub fn with_liveness(
        mut self,
        verdict: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.verdict = Arc::new(verdict);
        self
    }
}

/// The routes; a program with routes of its own merges these into them.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/startup", get(startup))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// 200, or 503 with the reason why a restart would help.
async fn live(State(health): State<Health>) -> Response {
    match (health.verdict)() {
        None => Json(serde_json::json!({"status": "live"})).into_response(),
        Some(reason) => {
            let body = serde_json::json!({"status": "not_live", "reason": reason});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// 200 when ready, else 503; the body says why in both cases.
async fn ready(State(health): State<Health>) -> Response {
    let snapshot = health.readiness.snapshot();
    ok_if(snapshot.is_ready(), snapshot)
}

/// 200 from the end of the start-up on, also while the program is not ready; before, 503 with its progress.
async fn startup(State(health): State<Health>) -> Response {
    let snapshot = health.readiness.snapshot();
    ok_if(snapshot.has_started(), snapshot)
}

fn ok_if(is_good: bool, snapshot: ReadinessSnapshot) -> Response {
    let status = if is_good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(snapshot)).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    (health.refresh)();
    let mut text = String::new();
    match encode(&mut text, &health.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "The metrics can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A bound port. It serves until the process ends, so that a shutdown can be watched to its end.
#[derive(Debug)]
pub struct AdminServer {
    /// The address it listens on; the real port where 0 was asked for.
    pub address: SocketAddr,
}

impl AdminServer {
    /// Binds `address` and serves `router` in the background, on the runtime that it is called in.
    ///
    /// # Errors
    /// When the address can't be bound, with the cure.
    pub fn start(address: SocketAddr, router: Router) -> anyhow::Result<Self> {
        let listen = || bound_socket(address)?.listen(BACKLOG);
        let listener = listen().with_context(|| {
            format!("can't listen on {address}: is another program using the port?")
        })?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "The port stopped serving");
            }
        });
        Ok(Self { address })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// The status and the body of an answer.
    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        format!("{} {body}", head.split(' ').nth(1).unwrap())
    }

    fn serve(health: Health) -> SocketAddr {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        AdminServer::start(address, router(health)).unwrap().address
    }

    #[tokio::test]
    async fn liveness_fails_only_while_there_is_a_reason() {
        let readiness = Readiness::starting("testing");
        let health = Health::new(readiness.clone(), Registry::default(), || {});
        let always = serve(health.clone());
        assert!(get(always, "/health/live").await.starts_with("200"));
        assert!(get(always, "/health/ready").await.starts_with("503"));
        readiness.shut_down();
        assert!(get(always, "/health/live").await.starts_with("200"));

        let is_stuck = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_stuck);
        let verdict = move || asked.load(Ordering::Relaxed).then(|| "stuck".to_owned());
        let sometimes = serve(health.with_liveness(verdict));
        assert!(get(sometimes, "/health/live").await.starts_with("200"));
        is_stuck.store(true, Ordering::Relaxed);
        let answer = get(sometimes, "/health/live").await;
        assert_eq!(answer, r#"503 {"reason":"stuck","status":"not_live"}"#);
    }
}
