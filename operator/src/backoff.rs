//! How long to wait before trying again what failed.

use std::time::Duration;

/// Delays that double from a first to a longest one, each with up to a fifth more by chance: what failed together is
/// not tried again together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// The delay that is not exceeded but by chance.
    pub longest: Duration,
}

impl Default for Backoff {
    /// 5 s to 5 min.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            longest: Duration::from_mins(5),
        }
    }
}

impl Backoff {
    /// The delay after so many failures in a row; `chance` is from 0 to 1.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let delay = self.first.saturating_mul(1 << doublings).min(self.longest);
        spread(delay, chance)
    }
}

/// A duration with up to a fifth more, by `chance` from 0 to 1.
pub fn spread(duration: Duration, chance: f64) -> Duration {
    duration + duration.mul_f64(0.2 * chance.clamp(0.0, 1.0))
}

/// A number from 0 to 1; 0.5 where the system has no randomness to give.
pub fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_five_seconds_to_five_minutes() {
        let delays: Vec<_> = (1..=8)
            .map(|failures| Backoff::default().delay(failures, 0.0).as_secs())
            .collect();
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let delay = Backoff::default().delay(u32::MAX, 1.0);
        assert_eq!(delay, Duration::from_mins(6));
    }

    #[test]
    fn chance_adds_a_fifth_at_most() {
        for failures in 1..10 {
            let delay = Backoff::default().delay(failures, 0.0);
            let late = Backoff::default().delay(failures, chance());
            assert!(late >= delay && late <= delay.mul_f64(1.2), "{late:?}");
        }
    }
}
