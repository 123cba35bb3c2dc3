//! The program from its first readiness to its exit code: what runs, and in which order it stops.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use meshcore_lifecycle::{
    Cause, Deadline, Outcome, Outlets, Readiness, ShutdownBudget, ShutdownManager, Signals,
    StepError, StepNote, exit_code, report_path,
};
use meshcore_store::{
    CheckpointMode, Class, Error as StoreError, Maintenance, Opened, ProgressHook, Store,
    StoreOptions, Writer,
};
use meshcore_telemetry::{AdminServer, Health, LastShutdown, router};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acknowledge::Acknowledger;
use crate::clock::Clocks;
use crate::config::{Config, SizeCap};
use crate::describe::Describer;
use crate::interpret::{Filters, Interpreter};
use crate::metrics::Metrics;
use crate::source::{Shared, Source, SourceHandle, SourceState, Token};
use crate::subscriptions::Remembered;

/// The name in reports and lock files.
const PROGRAM: &str = "ingestor";
/// How often a lock that somebody else holds is tried again.
const LOCK_AGAIN: Duration = Duration::from_millis(250);
/// How many messages a broker may send us unacknowledged, at the very most: all packet ids there are.
const PACKET_IDS: usize = 65_535;
/// How long the last TRUNCATE waits for readers before PASSIVE does what it can.
const TRUNCATE_WAIT: Duration = Duration::from_millis(500);

/// Why the program could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database was refused or failed.
    #[error("the database can't be opened")]
    Store(#[source] StoreError),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl StartError {
    /// The code that the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Store(error) => store_exit_code(error),
            Self::Other(_) => exit_code::CONFIG,
        }
    }
}

fn store_exit_code(error: &StoreError) -> u8 {
    match error.class() {
        Class::Refused => exit_code::STORE_REFUSED,
        Class::Io => exit_code::IO_ERROR,
        _ => exit_code::FAILED,
    }
}

/// Runs until a signal comes or the writer fails; says how it ended.
///
/// # Errors
/// When it can't start.
pub async fn run(
    config: Config,
    budget: ShutdownBudget,
    signals: &Signals,
) -> Result<Outcome, StartError> {
    let readiness = Readiness::starting("opening the database");
    let (metrics, mut registry) = Metrics::new();
    let report_file = report_path(&config.db_path, PROGRAM);
    let shutdown = ShutdownManager::new(PROGRAM, budget.ingestor_deadline())
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_readiness(readiness.clone())
        .with_outlets(Outlets::new().with_file(&report_file))
        .with_signals(signals)
        .map_err(anyhow::Error::from)?;

    let sources: Sources = Arc::default();
    let (queue, records) = mpsc::channel(config.sources.len() * PACKET_IDS + config.queue_messages);
    let last_shutdown = LastShutdown::take(&report_file);
    last_shutdown.register(&mut registry);
    let routes = last_shutdown
        .router()
        .merge(source_states(Arc::clone(&sources)));
    let refresh = {
        let (metrics, queue, db) = (Arc::clone(&metrics), queue.clone(), config.db_path.clone());
        move || {
            metrics.refresh(&db);
            let waiting = queue.max_capacity() - queue.capacity();
            metrics
                .queue_depth
                .set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    };
    let health = Health::new(readiness.clone(), registry, refresh);
    let admin = AdminServer::start(config.health_address, router(health).merge(routes))?;
    tracing::info!(address = %admin.address, db = %config.db_path.display(), "Health and metrics are served");

    let (store, opened) = tokio::select! {
        store = open(&config, &readiness, &metrics) => store.map_err(StartError::Store)?,
        signal = signals.first() => return Ok(shutdown.run(Cause::Signal(signal)).await),
    };
    let running = Running::start(
        config,
        store,
        Pieces {
            is_adopted: opened.is_adopted,
            metrics,
            readiness,
            queue,
            records,
            sources,
        },
    )
    .await?;
    running.until_the_end(shutdown, signals).await
}

/// The handles of all sources, for the health port.
type Sources = Arc<Mutex<Vec<SourceHandle>>>;

/// What the running program is put together from.
struct Pieces {
    /// Whether the database was CoreScope's once.
    is_adopted: bool,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    queue: mpsc::Sender<(meshcore_store::Record, Token)>,
    records: mpsc::Receiver<(meshcore_store::Record, Token)>,
    sources: Sources,
}

/// `GET /sources`: the state of each source.
fn source_states(sources: Sources) -> Router {
    let states = move || async move {
        let handles = sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        axum::Json(
            handles
                .iter()
                .map(SourceHandle::state)
                .collect::<Vec<SourceState>>(),
        )
    };
    Router::new().route("/sources", get(states))
}

/// Opens the database; while another process holds it, or it is being adopted, waits and says so.
async fn open(
    config: &Config,
    readiness: &Readiness,
    metrics: &Metrics,
) -> Result<(Store, Opened), StoreError> {
    let progress = {
        let readiness = readiness.clone();
        ProgressHook::new(move |progress| readiness.set_starting(progress.to_string()))
    };
    let options = StoreOptions {
        progress,
        allow_unsupported_filesystem: config.store.allow_unsupported_filesystem,
        ballast_bytes: config.store.ballast_bytes,
        max_observers: usize::try_from(config.observers.max).unwrap_or(usize::MAX),
        ..StoreOptions::new(
            &config.db_path,
            concat!("meshcore-ingestor ", env!("CARGO_PKG_VERSION")),
        )
    };
    let mut said = false;
    loop {
        match Store::open(options.clone()).await {
            Ok((store, opened)) => {
                tracing::info!(
                    previous_end = opened.previous_end.as_str(),
                    db_uuid = opened.db_uuid,
                    "The database is open"
                );
                if let Some(path) = &opened.set_aside {
                    metrics.databases_set_aside.inc();
                    tracing::error!(set_aside = %path.display(), "The database was damaged; it was set aside and a new one begun");
                }
                if !opened.gives_pages_back {
                    tracing::warn!(
                        path = %config.db_path.display(),
                        "This file can't give pages back to the disk: what retention deletes is used again, but the file never shrinks. To change that, stop this program and run `meshcore doctor --vacuum`"
                    );
                }
                return Ok((store, opened));
            }
            Err(error) if ends_by_itself(&error) => {
                readiness.set_starting(error.to_string());
                if !said {
                    tracing::warn!(%error, "Waiting for the database");
                    said = true;
                }
                tokio::time::sleep(LOCK_AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether waiting is the cure: another process stops one day, or somebody makes room.
fn ends_by_itself(error: &StoreError) -> bool {
    matches!(error, StoreError::Locked { .. } | StoreError::InUse { .. })
        || error.class() == Class::Full
}

/// The program while it runs.
struct Running {
    writer: JoinHandle<Result<Store, StoreError>>,
    stop_writer: oneshot::Sender<()>,
    stop_intake: CancellationToken,
    handles: Vec<SourceHandle>,
    tasks: JoinSet<()>,
    queue: mpsc::Sender<(meshcore_store::Record, Token)>,
    /// Tracks the polite end of sockets.
    farewells: TaskTracker,
}

impl Running {
    async fn start(config: Config, mut store: Store, pieces: Pieces) -> Result<Self, StartError> {
        let Pieces {
            is_adopted,
            metrics,
            readiness,
            queue,
            records,
            sources,
        } = pieces;
        let clocks = Clocks::new(store.observer_skews().await.map_err(StartError::Store)?);
        let describer = Describer::new(&config).map_err(StartError::Other)?;
        let stop_intake = CancellationToken::new();
        let farewells = TaskTracker::new();
        let shared = Arc::new(Shared {
            interpreter: Interpreter::new(Filters::new(&config), clocks, Arc::clone(&metrics)),
            queue: queue.clone(),
            metrics: Arc::clone(&metrics),
            instance: store.instance().to_owned(),
            stop_intake: stop_intake.clone(),
            qos0_places: Arc::new(AtomicUsize::new(config.queue_messages)),
            subscriptions: Remembered::beside(&config.db_path),
            farewells: farewells.clone(),
        });
        let maintenance = Maintenance::new(retention(&config, is_adopted));
        let acknowledger = Acknowledger::new(metrics, readiness.clone());
        let writer = Writer::new(
            store,
            records,
            acknowledger,
            describer,
            maintenance,
            config.store.commit_linger,
        );
        let (stop_writer, stop) = oneshot::channel::<()>();
        let writer = tokio::spawn(writer.run(async move {
            // Gone without a word means the same as told.
            stop.await.ok();
        }));

        let mut tasks = JoinSet::new();
        let mut handles = Vec::new();
        for source in config.sources {
            let (source, handle) = Source::new(source, Arc::clone(&shared));
            handles.push(handle);
            tasks.spawn(source.run());
        }
        sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&handles);
        // Last: whoever sees it ready finds every source.
        readiness.started();
        Ok(Self {
            writer,
            stop_writer,
            stop_intake,
            handles,
            tasks,
            queue,
            farewells,
        })
    }

    /// Waits for the end and stops everything in its order.
    async fn until_the_end(
        mut self,
        mut shutdown: ShutdownManager,
        signals: &Signals,
    ) -> Result<Outcome, StartError> {
        let (cause, ended) = tokio::select! {
            signal = signals.first() => (Cause::Signal(signal), None),
            ended = &mut self.writer => (writer_failed(&ended), Some(ended)),
            // Sources run until they are told to stop, so this is a panic; without a source, never.
            Some(ended) = self.tasks.join_next() => (Cause::task_ended("source", ended), None),
        };
        let Self {
            writer,
            stop_writer,
            stop_intake,
            handles,
            mut tasks,
            queue,
            farewells,
        } = self;
        let store: Arc<tokio::sync::Mutex<Option<Store>>> = Arc::default();

        shutdown.step("stop_intake", move |_| async move {
            stop_intake.cancel();
            // The writer may have ended; then nobody needs to be told.
            stop_writer.send(()).ok();
            Ok(())
        });
        let notes = shutdown.notes();
        let drained = Arc::clone(&store);
        shutdown.step("drain_queue", move |_| async move {
            let waiting = queue.max_capacity() - queue.capacity();
            notes.set_messages_left(waiting as u64);
            let ended = match ended {
                Some(ended) => ended,
                None => writer.await,
            };
            *drained.lock().await = Some(ended??);
            notes.set_messages_left(0);
            Ok::<_, StepError>(())
        });
        shutdown.step("disconnect", move |_| async move {
            for handle in &handles {
                handle.disconnect();
            }
            while let Some(ended) = tasks.join_next().await {
                ended?;
            }
            farewells.close();
            farewells.wait().await;
            Ok::<_, StepError>(())
        });
        let checkpointed = Arc::clone(&store);
        shutdown.step("checkpoint", move |deadline| async move {
            match checkpointed.lock().await.as_mut() {
                Some(store) => checkpoint(store, deadline).await,
                None => Ok(StepNote::new()),
            }
        });
        shutdown.step("close_database", move |_| async move {
            if let Some(store) = store.lock().await.take() {
                store.close().await?;
            }
            Ok::<_, StepError>(())
        });
        Ok(shutdown.run(cause).await)
    }
}

fn writer_failed(ended: &Result<Result<Store, StoreError>, tokio::task::JoinError>) -> Cause {
    match ended {
        Ok(Err(error)) => Cause::task_failed_with("writer", error, store_exit_code(error)),
        Err(panic) => Cause::task_failed("writer", panic),
        Ok(Ok(_)) => Cause::task_ended("writer", Ok::<_, std::io::Error>(())),
    }
}

/// The last checkpoint: TRUNCATE, or what a reader leaves possible.
async fn checkpoint(store: &mut Store, deadline: Deadline) -> Result<StepNote, StepError> {
    let wait = deadline.remaining().min(TRUNCATE_WAIT);
    let mut done = store.checkpoint(CheckpointMode::Truncate, wait).await?;
    let mut mode = "truncate";
    if done.busy {
        done = store.checkpoint(CheckpointMode::Passive, wait).await?;
        mode = "passive";
    }
    Ok(StepNote::new()
        .detail("checkpointMode", mode)
        .detail("walPages", done.wal_pages)
        .detail("checkpointedPages", done.checkpointed_pages))
}

/// How long things are kept. CoreScope keeps packets and receptions of phones for ever unless told otherwise,
/// so in a file that was adopted our defaults don't delete them: only what somebody chose does.
fn retention(config: &Config, is_adopted: bool) -> meshcore_store::Retention {
    let kept = &config.retention;
    let unless_adopted =
        |age: Option<Duration>, by_default: bool| age.filter(|_| !(is_adopted && by_default));
    if is_adopted && kept.packets_by_default {
        tracing::warn!(
            "This database was CoreScope's: its packets are kept for ever, as there, until retention.packetDays says otherwise; the size cap still applies"
        );
    }
    meshcore_store::Retention {
        packets: unless_adopted(kept.packets, kept.packets_by_default),
        nodes: kept.nodes,
        observers: kept.observers,
        metrics: kept.metrics,
        client_receptions: unless_adopted(
            kept.client_receptions,
            kept.client_receptions_by_default,
        ),
        neighbor_edges: kept.neighbor_edges,
        max_bytes: match config.store.size_cap {
            SizeCap::Auto => None,
            SizeCap::None => Some(0),
            SizeCap::Bytes(bytes) => Some(bytes),
        },
        vacuum_pages: config.store.incremental_vacuum_pages,
    }
}
