//! Holding a broker back that sends faster than the writer writes. On MQTT 5 Receive Maximum should do that,
//! but brokers exist that forget it when they resume a session (mosquitto 2.0.11 does), and on 3.1.1 there is
//! none. What is not read stays in the socket, and TCP does the rest.

use std::time::Duration;

use meshcore_store::BATCH_ROWS;
use tokio::time::Instant;

/// How many records may wait for the writer before reading pauses: the next group, while one is being written.
/// More would only be memory.
const HIGH_WATER: usize = BATCH_ROWS;
/// How often the queue is looked at while reading pauses.
const LOOK: Duration = Duration::from_millis(1);

/// When one source may pause its reading. Pings are sent by reading, so a pause is short against the keep
/// alive, and after one that did not help reading goes on as long.
pub(super) struct Pace {
    patience: Duration,
    reads_until: Instant,
}

impl Pace {
    pub(super) fn new(keep_alive: Duration) -> Self {
        Self {
            patience: keep_alive / 4,
            reads_until: Instant::now(),
        }
    }

    /// Waits while more than enough is `waiting`, but not for long.
    pub(super) async fn keep(&mut self, waiting: impl Fn() -> usize) {
        if waiting() <= HIGH_WATER || Instant::now() < self.reads_until {
            return;
        }
        let until = Instant::now() + self.patience;
        while waiting() > HIGH_WATER {
            if Instant::now() >= until {
                self.reads_until = until + self.patience;
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reading_goes_on_at_once_when_little_waits() {
        let start = Instant::now();
        Pace::new(Duration::from_secs(40)).keep(|| HIGH_WATER).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_pauses_until_the_writer_has_caught_up() {
        let looks = Cell::new(0);
        let waiting = || {
            looks.set(looks.get() + 1);
            if looks.get() < 100 { HIGH_WATER + 1 } else { 0 }
        };
        let start = Instant::now();
        Pace::new(Duration::from_secs(40)).keep(waiting).await;
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(looks.get() >= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_is_held_up_does_not_keep_the_pings_from_leaving() {
        let mut pace = Pace::new(Duration::from_secs(40));
        let start = Instant::now();
        pace.keep(|| usize::MAX).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        // For as long again everything is read without a pause.
        pace.keep(|| usize::MAX).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        tokio::time::advance(Duration::from_secs(10)).await;
        pace.keep(|| usize::MAX).await;
        assert_eq!(start.elapsed().as_secs(), 30);
    }
}
