//! Whether a client is still there: it is asked from time to time, and has to answer.

use std::time::Duration;

use tokio::time::Instant;

/// How long a client may leave a ping without an answer. Anything it says is one.
const SILENCE: Duration = Duration::from_mins(1);

/// What is known of a client's life.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    /// When the oldest ping was sent that has no answer yet.
    asked: Option<Instant>,
}

impl Heartbeat {
    /// The client gave a sign of life.
    pub(super) fn beat(&mut self) {
        self.asked = None;
    }

    /// A ping is about to be sent; `false` if an earlier one was not answered for too long. A client that was
    /// not asked, however long that was, is not silent.
    #[must_use]
    pub(super) fn ask(&mut self) -> bool {
        self.asked.get_or_insert_with(Instant::now).elapsed() <= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_no_ping_for_a_minute_is_silent() {
        let mut heartbeat = Heartbeat::default();
        for _ in 0..3 {
            assert!(heartbeat.ask());
            advance(Duration::from_secs(25)).await;
        }
        assert!(!heartbeat.ask(), "the first ping is 75 s old");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_not_asked_is_not_silent() {
        let mut heartbeat = Heartbeat::default();
        advance(Duration::from_mins(10)).await;
        assert!(heartbeat.ask());
        heartbeat.beat();
        advance(Duration::from_mins(10)).await;
        assert!(heartbeat.ask());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_counts_for_all_pings_before_it() {
        let mut heartbeat = Heartbeat::default();
        for _ in 0..20 {
            assert!(heartbeat.ask());
            advance(Duration::from_secs(29)).await;
            assert!(heartbeat.ask());
            advance(Duration::from_secs(29)).await;
            heartbeat.beat();
        }
    }
}
