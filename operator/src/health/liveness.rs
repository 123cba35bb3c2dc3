//! Whether a restart would help.

use std::time::Duration;

use tokio::time::Instant;

/// How long what is wrong must last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a watch is silent before that means something. A quiet one hears a bookmark each minute, and a dead
    /// connection is noticed by the watcher itself after 295 s.
    pub silence: Duration,
    /// For how long the direct requests must have worked by then: after an outage, the watchers need some time.
    pub working: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self::after(Duration::from_secs(330))
    }
}

impl Patience {
    /// With this silence; the direct requests work for a minute, or for as long if that is shorter.
    pub fn after(silence: Duration) -> Self {
        Self {
            silence,
            working: silence.min(Duration::from_mins(1)),
        }
    }
}

/// Whether a restart would help: without I/O, told about requests and watches.
#[derive(Debug)]
pub struct Liveness {
    patience: Patience,
    /// Since when the direct requests have worked, without a failure in between.
    working_since: Option<Instant>,
}

impl Liveness {
    /// Nothing is known yet.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            working_since: None,
        }
    }

    /// A direct request was tried at `now`.
    pub fn tried(&mut self, has_worked: bool, now: Instant) {
        self.working_since = has_worked.then(|| self.working_since.unwrap_or(now));
    }

    /// Why a restart would help, if it would, when the watches of `silent` have been silent for
    /// [`Patience::silence`].
    pub fn verdict(&self, silent: &[&str], now: Instant) -> Option<String> {
        let since = self.working_since?;
        let has_lasted = now.duration_since(since) >= self.patience.working;
        (has_lasted && !silent.is_empty()).then(|| {
            format!(
                "the API server answers, but the watch of {} has been silent for more than {} s",
                silent.join(", "),
                self.patience.silence.as_secs()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_watch_is_deadly_only_while_requests_work_for_some_time() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Patience::default());
        let silent = ["Pod", "Service"];
        assert_eq!(liveness.verdict(&silent, start), None, "nothing was tried");
        liveness.tried(true, start);
        liveness.tried(true, start + 59 * SECOND);
        assert_eq!(liveness.verdict(&silent, start + 59 * SECOND), None);
        let verdict = liveness.verdict(&silent, start + 60 * SECOND);
        assert_eq!(
            verdict.as_deref(),
            Some(
                "the API server answers, but the watch of Pod, Service has been silent for more than 330 s"
            )
        );
        assert_eq!(liveness.verdict(&[], start + 60 * SECOND), None);
    }

    #[test]
    fn an_api_server_that_is_away_is_no_reason_and_the_count_begins_again_after_it() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Patience::default());
        liveness.tried(true, start);
        liveness.tried(false, start + 100 * SECOND);
        assert_eq!(liveness.verdict(&["Pod"], start + 100 * SECOND), None);
        liveness.tried(true, start + 200 * SECOND);
        assert_eq!(liveness.verdict(&["Pod"], start + 259 * SECOND), None);
        assert!(liveness.verdict(&["Pod"], start + 260 * SECOND).is_some());
    }
}
