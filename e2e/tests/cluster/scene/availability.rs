//! Whether the page answers, all the time.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often it is asked.
const PERIOD: Duration = Duration::from_millis(50);

/// Somebody who asks the page again and again, each time by a new connection.
pub(crate) struct Availability {
    stop: CancellationToken,
    task: JoinHandle<Duration>,
}

impl Availability {
    /// Asks `address` (host and port).
    pub(crate) fn of(address: &str) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(ask(address.to_owned(), stop.clone()));
        Self { stop, task }
    }

    /// The longest time without an answer.
    pub(crate) async fn gap(self) -> Duration {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

async fn ask(address: String, stop: CancellationToken) -> Duration {
    let mut last = Instant::now();
    let mut gap = Duration::ZERO;
    while !stop.is_cancelled() {
        if super::get(&address, "/api/stats").await.is_ok() {
            gap = gap.max(last.elapsed());
            last = Instant::now();
        }
        tokio::time::sleep(PERIOD).await;
    }
    gap.max(last.elapsed())
}
