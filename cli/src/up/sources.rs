//! What is worth saying about the sources: that one waits for its broker, and that it has it. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::health::SourceState;

/// A source that connects within this is not worth a word before.
const PATIENCE: Duration = Duration::from_secs(3);

/// Remembers what was said, so that each outage is told once.
#[derive(Debug, Default)]
pub(super) struct Sources {
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    is_connected: bool,
    /// When it was seen without a connection for the first time, while that is not told.
    waiting_since: Option<Instant>,
}

impl Sources {
    /// Takes in what the ingestor says at `now`; gives the lines to say.
    pub(super) fn observe(&mut self, states: &[SourceState], now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for state in states {
            let name = &state.name;
            let known = self.known.entry(name.clone()).or_insert(Known {
                is_connected: false,
                waiting_since: Some(now),
            });
            if state.connected != known.is_connected {
                known.is_connected = state.connected;
                known.waiting_since = (!state.connected).then_some(now);
                if state.connected {
                    lines.push(format!(
                        "source {name}: connected (MQTT {})",
                        state.protocol
                    ));
                }
            }
            let is_due = |since: Instant| now.saturating_duration_since(since) >= PATIENCE;
            if known.waiting_since.is_some_and(is_due) {
                known.waiting_since = None;
                let problem = state.problem.as_deref().unwrap_or("no reason known");
                lines.push(format!("source {name}: not connected, waiting: {problem}"));
            }
        }
        lines
    }

    /// Whether a source is connected.
    pub(super) fn is_connected(&self, name: &str) -> bool {
        self.known.get(name).is_some_and(|known| known.is_connected)
    }

    /// Forgets everything: the ingestor has ended.
    pub(super) fn restart(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(connected: bool) -> [SourceState; 1] {
        [SourceState {
            name: "local".to_owned(),
            connected,
            protocol: "5".to_owned(),
            problem: (!connected).then(|| "connection refused".to_owned()),
        }]
    }

    #[test]
    fn each_outage_is_told_once_and_short_ones_not_at_all() {
        let mut sources = Sources::default();
        let start = Instant::now();
        let mut at = |seconds, connected| {
            sources.observe(&state(connected), start + Duration::from_secs(seconds))
        };
        assert!(at(0, false).is_empty());
        assert!(at(2, false).is_empty());
        assert_eq!(
            at(3, false),
            ["source local: not connected, waiting: connection refused"]
        );
        assert!(at(60, false).is_empty());
        assert_eq!(at(61, true), ["source local: connected (MQTT 5)"]);
        assert!(at(62, true).is_empty());
        assert!(at(70, false).is_empty());
        assert_eq!(at(71, true).len(), 1, "that it is back is told in any case");
        assert!(at(80, false).is_empty());
        assert_eq!(at(83, false).len(), 1);
        assert!(!sources.is_connected("local") && !sources.is_connected("other"));
    }
}
