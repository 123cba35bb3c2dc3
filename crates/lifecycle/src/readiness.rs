//! Whether the program can do its work, and if not, why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::info;

use crate::{events, lock};

/// The key under which the reason of a start-up stands in [`ReadinessSnapshot::reasons`].
const START: &str = "start";

/// The readiness of the whole program in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every component can do its work.
    Ready,
    /// The program is still starting.
    Starting,
    /// At least one component has a reason not to be ready.
    NotReady,
    /// The program is stopping; this never changes again.
    ShuttingDown,
}

/// The component of readiness that says that the disk is full; the operator looks for it.
pub const DISK: &str = "disk";

/// What a readiness probe is told: `{"status":"not_ready","reasons":{"store":"disk is full"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessSnapshot {
    /// The one word.
    pub status: Status,
    /// Why not, by component; empty when ready. A start-up has its progress under `start`.
    #[serde(default)]
    pub reasons: BTreeMap<String, String>,
}

impl ReadinessSnapshot {
    /// Whether the probe is to be answered with 200 and not with 503.
    pub fn is_ready(&self) -> bool {
        self.status == Status::Ready
    }

    /// Whether the start-up is behind it, whatever has happened since. A program that was told to stop says no: what
    /// waits for it to start need not wait any longer.
    pub fn has_started(&self) -> bool {
        matches!(self.status, Status::Ready | Status::NotReady)
    }
}

/// The shared readiness of a program; clones are handles to the same state.
///
/// A program is `starting` until [`Readiness::started`]; after that it is ready as long as no
/// component has a reason against it. [`Readiness::shut_down`] wins over everything, for ever.
#[derive(Clone, Debug)]
pub struct Readiness {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Held for a few map operations, never across an await.
    state: Mutex<State>,
    snapshots: watch::Sender<ReadinessSnapshot>,
}

#[derive(Debug)]
struct State {
    starting: Option<String>,
    reasons: BTreeMap<String, String>,
    shutting_down: bool,
}

impl Readiness {
    /// A program that starts, with what it is doing first.
    pub fn starting(reason: impl Into<String>) -> Self {
        let state = State {
            starting: Some(reason.into()),
            reasons: BTreeMap::new(),
            shutting_down: false,
        };
        let (snapshots, _) = watch::channel(state.snapshot());
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                snapshots,
            }),
        }
    }

    /// Says what the start-up is doing; without effect once the program has started.
    pub fn set_starting(&self, reason: impl Into<String>) {
        self.change(|state| {
            if state.starting.is_some() {
                state.starting = Some(reason.into());
            }
        });
    }

    /// Ends the start-up: from here on only the reasons of the components count.
    pub fn started(&self) {
        self.change(|state| state.starting = None);
    }

    /// Says why `component` is not ready; it replaces the component's former reason.
    pub fn set_not_ready(&self, component: impl Into<String>, reason: impl Into<String>) {
        self.change(|state| {
            state.reasons.insert(component.into(), reason.into());
        });
    }

    /// Takes back the reason of `component`.
    pub fn set_ready(&self, component: &str) {
        self.change(|state| {
            state.reasons.remove(component);
        });
    }

    /// Says that the program is stopping, for ever.
    pub fn shut_down(&self) {
        self.change(|state| state.shutting_down = true);
    }

    /// The state at this moment.
    pub fn snapshot(&self) -> ReadinessSnapshot {
        self.shared.snapshots.borrow().clone()
    }

    /// Whether the program is ready at this moment.
    pub fn is_ready(&self) -> bool {
        self.shared.snapshots.borrow().is_ready()
    }

    /// A receiver that sees each change; it skips states that were replaced before it looked.
    pub fn subscribe(&self) -> watch::Receiver<ReadinessSnapshot> {
        self.shared.snapshots.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let before = self.shared.snapshots.borrow().status;
        let changed = {
            let mut state = lock(&self.shared.state);
            change(&mut state);
            let snapshot = state.snapshot();
            // Sent under the lock, so that receivers see the changes in their order.
            self.shared.snapshots.send_if_modified(|current| {
                let modified = *current != snapshot;
                *current = snapshot;
                modified
            })
        };
        let after = self.snapshot();
        if changed && after.status != before {
            info!(
                event = events::READINESS_CHANGED,
                status = ?after.status,
                reasons = ?after.reasons,
                "Readiness changed"
            );
        }
    }
}

impl State {
    fn snapshot(&self) -> ReadinessSnapshot {
        let mut reasons = self.reasons.clone();
        let status = if self.shutting_down {
            Status::ShuttingDown
        } else if let Some(reason) = &self.starting {
            reasons.insert(START.to_owned(), reason.clone());
            Status::Starting
        } else if reasons.is_empty() {
            Status::Ready
        } else {
            Status::NotReady
        };
        ReadinessSnapshot { status, reasons }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(readiness: &Readiness) -> serde_json::Value {
        serde_json::to_value(readiness.snapshot()).unwrap()
    }

    #[test]
    fn a_start_tells_its_progress_and_ends_ready() {
        let readiness = Readiness::starting("opening the database");
        readiness.set_starting("migration 2 of 3");
        assert_eq!(
            body(&readiness),
            json!({"status": "starting", "reasons": {"start": "migration 2 of 3"}})
        );
        readiness.started();
        readiness.set_starting("too late");
        assert_eq!(body(&readiness), json!({"status": "ready", "reasons": {}}));
        assert!(readiness.is_ready());
    }

    #[test]
    fn what_has_started_stays_so_until_it_stops() {
        let readiness = Readiness::starting("opening the database");
        let has_started = || readiness.snapshot().has_started();
        readiness.set_not_ready("store", "disk is full");
        assert!(!has_started());
        readiness.started();
        assert!(has_started() && !readiness.is_ready());
        readiness.shut_down();
        assert!(!has_started());
    }

    #[test]
    fn each_component_has_a_reason_of_its_own() {
        let readiness = Readiness::starting("");
        readiness.started();
        readiness.set_not_ready("store", "disk is full");
        readiness.set_not_ready("tail", "schema is missing");
        readiness.set_not_ready("store", "database is locked");
        assert_eq!(
            body(&readiness),
            json!({
                "status": "not_ready",
                "reasons": {"store": "database is locked", "tail": "schema is missing"},
            })
        );
        readiness.set_ready("store");
        assert!(!readiness.is_ready());
        readiness.set_ready("tail");
        assert!(readiness.is_ready());
    }

    #[test]
    fn shutting_down_wins_for_ever() {
        let readiness = Readiness::starting("opening");
        readiness.shut_down();
        readiness.started();
        readiness.set_ready("store");
        assert_eq!(
            body(&readiness),
            json!({"status": "shutting_down", "reasons": {}})
        );
        readiness.set_not_ready("store", "closed");
        assert_eq!(readiness.snapshot().status, Status::ShuttingDown);
    }

    #[tokio::test]
    async fn subscribers_see_changes_and_only_changes() {
        let readiness = Readiness::starting("opening");
        let mut changes = readiness.subscribe();
        readiness.clone().started();
        changes.changed().await.unwrap();
        assert!(changes.borrow_and_update().is_ready());
        readiness.set_ready("nobody");
        assert!(!changes.has_changed().unwrap());
    }
}
