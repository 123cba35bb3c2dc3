//! The server: reads the database and shows it over HTTP. It never writes, creates or checkpoints.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use meshcore_lifecycle::{
    Cause, Outcome, Outlets, Readiness, ShutdownBudget, ShutdownManager, Signals, report_path,
};
use meshcore_store::{Reader, Stats};
use meshcore_telemetry::{AdminServer, Health, router};
use tokio::sync::Mutex;

/// Shows a MeshCore database over HTTP.
#[derive(Debug, Clone, Parser)]
#[command(name = "meshcore-server", version)]
pub struct Args {
    /// The database that the ingestor writes.
    #[arg(long = "db", env = "DB_PATH", default_value = "data/meshcore.db")]
    pub db_path: PathBuf,
    /// Where to listen.
    #[arg(
        long,
        env = "MESHCORE_SERVER_ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,
    /// Log level; `RUST_LOG` wins.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

/// How often the database is looked for while it can't be opened.
const OPEN_AGAIN: Duration = Duration::from_millis(250);

/// The one connection; `None` while the database isn't there.
type Shared = Arc<Mutex<Option<Reader>>>;

/// Runs the server until a signal comes; says how it ended.
///
/// # Errors
/// When the address can't be bound or the budget in the environment is wrong.
pub async fn run(args: Args, signals: &Signals) -> Result<Outcome> {
    let Args {
        db_path,
        listen,
        log_level: _,
    } = args;
    let budget = ShutdownBudget::from_env()?;
    let readiness = Readiness::starting("waiting for the database");
    let shared = Shared::default();
    let health = Health::new(
        readiness.clone(),
        prometheus_client::registry::Registry::default(),
        || {},
    );
    let routes = Router::new()
        .route("/api/stats", get(stats))
        .with_state(Arc::clone(&shared));
    let server = AdminServer::start(listen, router(health).merge(routes)).await?;
    tracing::info!(address = %server.address, db = %db_path.display(), "The server listens");

    let opening = tokio::spawn(open(
        db_path.clone(),
        Arc::clone(&shared),
        readiness.clone(),
    ));
    let signal = signals.first().await;
    opening.abort();

    let mut shutdown = ShutdownManager::new("server", budget.server_deadline())
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_readiness(readiness)
        .with_outlets(Outlets::new().with_file(report_path(&db_path, "server")))
        .with_signals(signals)?;
    shutdown.step("close_database", move |_| async move {
        shared.lock().await.take();
        Ok(())
    });
    Ok(shutdown.run(Cause::Signal(signal)).await)
}

/// Tries until the database is there and its tables are made.
async fn open(path: PathBuf, shared: Shared, readiness: Readiness) {
    let mut said = String::new();
    loop {
        match Reader::open(&path).await {
            Ok(reader) => {
                *shared.lock().await = Some(reader);
                readiness.started();
                return;
            }
            Err(error) => {
                let why = error.to_string();
                if why != said {
                    tracing::info!(db = %path.display(), why, "Waiting for the database");
                    readiness.set_starting(why.clone());
                    said = why;
                }
                tokio::time::sleep(OPEN_AGAIN).await;
            }
        }
    }
}

async fn stats(State(shared): State<Shared>) -> Response {
    let mut reader = shared.lock().await;
    let Some(open) = reader.as_mut() else {
        return failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database is not there yet",
        );
    };
    match open.stats().await {
        Ok(stats) => ([(header::CACHE_CONTROL, "no-store")], Json::<Stats>(stats)).into_response(),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "The totals can't be read"
            );
            failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the totals can't be read; see the server's log",
            )
        }
    }
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}
