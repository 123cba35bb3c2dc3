//! Until when this process may write.

use tokio::sync::watch;
use tokio::time::Instant;

/// Until when this process may write; clones are handles to the same knowledge.
///
/// It is not a flag that somebody must take back in time: each renewal sets an instant, and when that has passed, the
/// leadership is over, also for a process that was suspended in between.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: watch::Sender<Term>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// There is no election: whoever runs may write.
    Unlimited,
    /// Somebody else leads, or nobody.
    None,
    /// Ours until this instant, unless it is renewed.
    Until(Instant),
}

impl Leadership {
    /// Leadership without an election.
    pub fn without_election() -> Self {
        Self::new(Term::Unlimited)
    }

    /// Leadership that an election has yet to give.
    pub fn awaited() -> Self {
        Self::new(Term::None)
    }

    fn new(term: Term) -> Self {
        Self {
            term: watch::Sender::new(term),
        }
    }

    /// Whether this process may write at this moment.
    pub fn holds(&self) -> bool {
        match *self.term.borrow() {
            Term::Unlimited => true,
            Term::None => false,
            Term::Until(end) => Instant::now() < end,
        }
    }

    /// Waits until this process leads for the first time.
    pub async fn acquired(&self) {
        let mut term = self.term.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        _ = term.wait_for(|term| *term != Term::None).await;
    }

    pub(super) fn hold_until(&self, end: Instant) {
        self.term.send_replace(Term::Until(end));
    }

    pub(super) fn give_up(&self) {
        self.term.send_replace(Term::None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_term_ends_by_itself() {
        let leadership = Leadership::awaited();
        assert!(!leadership.holds());
        leadership.hold_until(Instant::now() + 2 * SECOND);
        assert!(leadership.holds());
        tokio::time::advance(2 * SECOND).await;
        assert!(!leadership.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_and_without_an_election_at_once() {
        Leadership::without_election().acquired().await;
        let leadership = Leadership::awaited();
        let waiting = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.acquired().await }
        });
        tokio::time::advance(60 * SECOND).await;
        assert!(!waiting.is_finished());
        leadership.hold_until(Instant::now() + SECOND);
        waiting.await.unwrap();
        leadership.give_up();
        assert!(!leadership.holds());
    }
}
