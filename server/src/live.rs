//! The live feed: what was committed, on WebSockets. The protocol is described in `docs/websocket.md`.
//!
//! The tail puts each packet into the [`Hub`] once; each [`client`] has a cursor there and no queue.

mod client;
mod frames;
mod heartbeat;
mod hub;
mod origin;
mod resume;
mod ring;
mod socket;
mod token;
mod upgrade;
mod window;

pub use origin::AllowedOrigins;

pub(crate) use frames::Packet;
pub(crate) use hub::{Hub, RING_BYTES};
pub(crate) use upgrade::routes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::database::Database;
use crate::metrics::Metrics;
use resume::Archive;

/// What all WebSocket clients share.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) hub: Hub,
    archive: Archive,
    allowed_origins: AllowedOrigins,
    metrics: Arc<Metrics>,
    clients: TaskTracker,
    next_number: AtomicU64,
    /// Set when the server stops: the time over which clients are told.
    stopping: watch::Sender<Option<Duration>>,
    hurry: CancellationToken,
    cut: CancellationToken,
    /// Clients that took no goodbye.
    untold: AtomicUsize,
}

/// Tells a client when the server stops.
struct Stopping(watch::Receiver<Option<Duration>>);

impl Live {
    pub(crate) fn new(
        hub: Hub,
        database: Database,
        allowed_origins: AllowedOrigins,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            archive: Archive::new(hub.clone(), database),
            hub,
            allowed_origins,
            metrics,
            clients: TaskTracker::new(),
            next_number: AtomicU64::new(1),
            stopping: watch::Sender::new(None),
            hurry: CancellationToken::new(),
            cut: CancellationToken::new(),
            untold: AtomicUsize::new(0),
        })
    }

    /// Tells every client that the server stops, spread over a time, and closes its connection.
    pub(crate) fn say_goodbye(&self, spread: Duration) {
        self.stopping.send_replace(Some(spread));
        self.clients.close();
    }

    /// Waits until the last client has gone.
    pub(crate) async fn gone(&self) {
        self.clients.wait().await;
    }

    /// Gives up every client that takes nothing; those that take something go on.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Closes every connection that is left.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// How many clients were not told that the server stops.
    pub(crate) fn untold(&self) -> usize {
        self.untold.load(Ordering::Relaxed)
    }

    /// How many clients there are.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.borrow().is_some()
    }

    fn stopping(&self) -> Stopping {
        Stopping(self.stopping.subscribe())
    }

    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }
}

impl Stopping {
    /// Waits until the server stops; gives the time over which clients are told.
    async fn begun(&mut self) -> Duration {
        match self.0.wait_for(Option::is_some).await {
            Ok(spread) => spread.unwrap_or_default(),
            // Nobody is left who could tell.
            Err(_) => Duration::ZERO,
        }
    }
}
