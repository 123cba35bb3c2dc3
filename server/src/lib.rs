//! The server: reads the database and shows it over HTTP. It never writes, creates or checkpoints.

pub mod api;
pub mod database;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use database::Database;
use meshcore_lifecycle::{
    Cause, Outcome, Outlets, Readiness, ShutdownBudget, ShutdownManager, Signals, report_path,
};
use meshcore_store::Reader;
use meshcore_telemetry::{AdminServer, Health, router};

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
    let database = Database::default();
    let health = Health::new(
        readiness.clone(),
        prometheus_client::registry::Registry::default(),
        || {},
    );
    let routes = api::routes().with_state(database.clone());
    let server = AdminServer::start(listen, router(health).merge(routes)).await?;
    tracing::info!(address = %server.address, db = %db_path.display(), "The server listens");

    let opening = tokio::spawn(open(db_path.clone(), database.clone(), readiness.clone()));
    let signal = signals.first().await;
    opening.abort();

    let mut shutdown = ShutdownManager::new("server", budget.server_deadline())
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_readiness(readiness)
        .with_outlets(Outlets::new().with_file(report_path(&db_path, "server")))
        .with_signals(signals)?;
    shutdown.step("close_database", move |_| async move {
        database.close().await;
        Ok(())
    });
    Ok(shutdown.run(Cause::Signal(signal)).await)
}

/// Tries until the database is there and its tables are made.
async fn open(path: PathBuf, database: Database, readiness: Readiness) {
    let mut said = String::new();
    loop {
        match Reader::open(&path).await {
            Ok(reader) => {
                database.set(reader).await;
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
