//! One instant by which everything must be done.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// The instant by which a shutdown must be over.
///
/// A deadline is handed down by value: each phase gets what is left of it and never a time-out of
/// its own on top. It follows tokio's clock, so tests may pause time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The deadline passed before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shutdown deadline passed")]
#[non_exhaustive]
pub struct DeadlineExceeded;

impl Deadline {
    /// The deadline that lies `duration` from now.
    pub fn after(duration: Duration) -> Self {
        Self::at(Instant::now(), duration)
    }

    /// The deadline that lies `duration` after `start`, for a start that lies in the past.
    pub fn at(start: Instant, duration: Duration) -> Self {
        // A day stands for durations that the clock cannot express.
        let latest = start + Duration::from_hours(24);
        Self(start.checked_add(duration).unwrap_or(latest))
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time that is left; zero when the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn expired(self) -> bool {
        self.remaining().is_zero()
    }

    /// An earlier deadline that leaves `reserve` of the time for whatever comes next.
    ///
    /// With less than `reserve` left it has already passed.
    #[must_use]
    pub fn keeping(self, reserve: Duration) -> Self {
        Self(self.0.checked_sub(reserve).unwrap_or_else(Instant::now))
    }

    /// The earlier one of this deadline and `duration` from now: never more than what is left.
    #[must_use]
    pub fn capped(self, duration: Duration) -> Self {
        self.min(Self::after(duration))
    }

    /// Runs `future` until it ends or the deadline passes; then it is dropped.
    ///
    /// A future that is ready at once gives its value even when the deadline has passed.
    pub async fn limit<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        tokio::time::timeout_at(self.0, future)
            .await
            .map_err(|_| DeadlineExceeded)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_left_shrinks_to_zero_and_stays_there() {
        let deadline = Deadline::after(3 * SECOND);
        tokio::time::advance(SECOND).await;
        assert_eq!(deadline.remaining(), 2 * SECOND);
        assert!(!deadline.expired());
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
        assert!(deadline.expired());
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_in_the_past_is_part_of_the_deadline() {
        let start = Instant::now();
        tokio::time::advance(4 * SECOND).await;
        assert_eq!(Deadline::at(start, 10 * SECOND).remaining(), 6 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn parts_of_a_deadline_never_exceed_it() {
        let deadline = Deadline::after(10 * SECOND);
        assert_eq!(deadline.keeping(3 * SECOND).remaining(), 7 * SECOND);
        assert!(deadline.keeping(11 * SECOND).expired());
        assert_eq!(deadline.capped(2 * SECOND).remaining(), 2 * SECOND);
        assert_eq!(deadline.capped(20 * SECOND), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_cut_at_the_deadline() {
        let deadline = Deadline::after(2 * SECOND);
        assert_eq!(deadline.limit(async { 7 }).await, Ok(7));
        assert_eq!(deadline.limit(pending::<()>()).await, Err(DeadlineExceeded));
        assert!(deadline.expired());
        assert_eq!(deadline.limit(async { 7 }).await, Ok(7), "ready at once");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_duration_does_not_overflow() {
        assert!(Deadline::after(Duration::MAX).remaining() >= Duration::from_hours(23));
    }
}
