//! The program from its first readiness to its exit code: what runs, and in which order it stops.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Json;
use axum::http::StatusCode;
use meshcore_lifecycle::{
    Cause, Deadline, Outcome, Outlets, Readiness, ShutdownBudget, ShutdownManager, Signals,
    StepError, StepNote, report_path,
};
use meshcore_telemetry::{Health, LastShutdown, router};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::config::Config;
use crate::database::{Database, DatabaseFile};
use crate::http::{Bound, HttpServer, Limits, Places, allow_open_files};
use crate::live::{self, Hub, Live, RING_BYTES};
use crate::metrics::Metrics;
use crate::tail::Tail;

/// The name in reports.
const PROGRAM: &str = "server";
/// Connections on top of the limit that only get answers about health, and how many of them one address may
/// have.
const RESERVE: usize = 32;
const RESERVE_PER_ADDRESS: usize = 8;
/// How long a task that was told to stop may take for it.
const STOP_TASK: Duration = Duration::from_secs(1);
/// Over which time clients are told that the server stops, so that they don't come back all at once; and how
/// long after that one may take nothing before it is given up.
const GOODBYE_SPREAD: Duration = Duration::from_millis(1500);
const GOODBYE: Duration = Duration::from_secs(3);
/// How long before the end of its time the draining of requests answers those that still wait.
const HURRY: Duration = Duration::from_millis(500);

/// Runs until a signal comes; says how it ended.
///
/// # Errors
/// When it can't start.
pub async fn run(config: Config, budget: ShutdownBudget, signals: &Signals) -> Result<Outcome> {
    let Config {
        db_path,
        listen,
        max_connections,
        per_address,
        allowed_origins,
        log_level: _,
    } = config;
    let readiness = Readiness::starting("opening the database");
    let report_file = report_path(&db_path, PROGRAM);
    let mut shutdown = ShutdownManager::new(PROGRAM, budget.server_deadline())
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_readiness(readiness.clone())
        .with_outlets(Outlets::new().with_file(&report_file))
        .with_signals(signals)?;

    let bound = Bound::new(listen)?;
    let places = Places::new(Limits {
        connections: allow_open_files(max_connections),
        per_address,
        reserve: RESERVE,
        reserve_per_address: RESERVE_PER_ADDRESS,
    });
    let (metrics, mut registry) = Metrics::new();
    let database = Database::default();
    let hub = Hub::start(RING_BYTES);
    let live = Live::new(
        hub.clone(),
        database.clone(),
        allowed_origins,
        Arc::clone(&metrics),
    );
    let last_shutdown = LastShutdown::take(&report_file);
    last_shutdown.register(&mut registry);
    let refresh = {
        let (metrics, places, database, readiness) = (
            Arc::clone(&metrics),
            places.clone(),
            database.clone(),
            readiness.clone(),
        );
        move || metrics.refresh(&places, &database, &readiness)
    };
    let health = Health::new(readiness.clone(), registry, refresh);
    let routes = router(health)
        .merge(last_shutdown.router())
        .merge(api::routes().with_state(database.clone()))
        .merge(live::routes(Arc::clone(&live)))
        .fallback(nothing_here);
    let mut http = bound.serve(routes, places, Arc::clone(&metrics));
    tracing::info!(address = %http.address, db = %db_path.display(), "The server listens");

    let stop_tail = CancellationToken::new();
    let tail = Tail {
        file: DatabaseFile::new(db_path),
        database: database.clone(),
        hub,
        readiness,
        metrics,
    };
    let mut tail = tokio::spawn(tail.run(stop_tail.clone()));
    let cause = tokio::select! {
        signal = signals.first() => Cause::Signal(signal),
        // Neither ends by itself, so these are panics.
        ended = &mut tail => Cause::task_ended("tail", ended),
        ended = http.ended() => Cause::task_ended("http", ended),
    };

    shutdown.step("stop_tail", move |deadline| async move {
        stop_tail.cancel();
        stopped(tail, deadline).await
    });
    shutdown.step("drain_http", move |deadline| drain_http(http, deadline));
    shutdown.step("close_websockets", move |deadline| {
        say_goodbye(live, deadline)
    });
    shutdown.step("close_database", move |_| async move {
        database.close().await;
        Ok(())
    });
    Ok(shutdown.run(cause).await)
}

/// What is answered where there is no route.
async fn nothing_here() -> (StatusCode, Json<serde_json::Value>) {
    let body = serde_json::json!({ "error": "there is nothing here; see /api/stats, /api/packets and /ws" });
    (StatusCode::NOT_FOUND, Json(body))
}

/// Waits for the end of a task that was told to end.
async fn stopped(mut task: JoinHandle<()>, deadline: Deadline) -> Result<(), StepError> {
    if task.is_finished() {
        return Ok(());
    }
    // One that waits for the database can only be left alone.
    if let Ok(ended) = deadline.capped(STOP_TASK).limit(&mut task).await {
        ended?;
    } else {
        task.abort();
    }
    Ok(())
}

/// Lets the requests that are being served come to their end, for as long as there is time.
async fn drain_http(http: HttpServer, deadline: Deadline) -> Result<StepNote, StepError> {
    http.begin_drain();
    let deadline = deadline.keeping(deadline.remaining() / 4);
    if deadline.keeping(HURRY).limit(http.drained()).await.is_ok() {
        return Ok(StepNote::new());
    }
    http.hurry();
    if deadline.limit(http.drained()).await.is_ok() {
        return Ok(StepNote::new());
    }
    let cut = http.cut();
    tracing::warn!(
        connections = cut,
        "Requests were cut, there is no more time for them"
    );
    Ok(StepNote::new().detail("requestsCut", cut))
}

/// Tells every WebSocket client, and closes its connection.
async fn say_goodbye(live: Arc<Live>, deadline: Deadline) -> Result<StepNote, StepError> {
    let clients = live.len();
    let spread = GOODBYE_SPREAD.min(deadline.remaining() / 4);
    live.say_goodbye(spread);
    let deadline = deadline.keeping((deadline.remaining() / 4).min(HURRY));
    let patience = deadline.capped(spread + GOODBYE);
    if patience.limit(live.gone()).await.is_err() {
        live.hurry();
        if deadline.limit(live.gone()).await.is_err() {
            live.cut();
            live.gone().await;
        }
    }
    let note = StepNote::new().detail("webSocketClients", clients);
    match live.untold() {
        0 => Ok(note),
        untold => {
            tracing::warn!(
                clients = untold,
                "WebSocket clients took no goodbye; their connections were closed"
            );
            Ok(note.detail("webSocketClientsCut", untold))
        }
    }
}
