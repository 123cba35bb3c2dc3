//! How long to wait before a program that died is started again. No I/O.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A life of this length was a good one: the next wait is the first again.
const GOOD_LIFE: Duration = Duration::from_mins(1);

/// The waits of one program: 1 s, doubled each time up to 30 s.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The wait after a life of this length.
    pub(super) fn after(&mut self, life: Duration) -> Duration {
        let wait = match self.last {
            Some(last) if life < GOOD_LIFE => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some(wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_again_after_a_good_life() {
        let mut backoff = Backoff::default();
        let mut wait = |seconds| backoff.after(Duration::from_secs(seconds)).as_secs();
        let waits: Vec<_> = (0..7).map(|_| wait(5)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(wait(60), 1);
        assert_eq!(wait(0), 2);
    }
}
