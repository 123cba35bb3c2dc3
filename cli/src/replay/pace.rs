//! When a recorded message is due.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Turns the timestamps of a recording into moments of this playback.
#[derive(Debug)]
pub(super) struct Pace {
    speed: f64,
    /// The first timestamp of the recording, and when it was played.
    first: Option<(Timestamp, Instant)>,
}

impl Pace {
    pub(super) fn new(speed: f64) -> Self {
        Self { speed, first: None }
    }

    /// The recording begins again.
    pub(super) fn restart(&mut self) {
        self.first = None;
    }

    /// When the message with this timestamp is due; `None` for at once. Feeders' clocks differ, so
    /// what lies before the first message is due at once too.
    pub(super) fn due(&mut self, at: Timestamp) -> Option<Instant> {
        let (first, begin) = *self.first.get_or_insert_with(|| (at, Instant::now()));
        let recorded = Duration::try_from(at.duration_since(first)).ok()?;
        let wait = Duration::try_from_secs_f64(recorded.as_secs_f64() / self.speed).ok()?;
        begin.checked_add(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_divided_by_the_speed() {
        let mut pace = Pace::new(60.0);
        let at = |second| Timestamp::from_second(second).unwrap();
        let begin = pace.due(at(100)).unwrap();
        assert_eq!(pace.due(at(220)), Some(begin + Duration::from_secs(2)));
        assert_eq!(pace.due(at(90)), None);
        pace.restart();
        assert!(pace.due(at(1_000)).unwrap() >= begin);
    }
}
