//! A pod that is deleted and comes back.

use std::time::Duration;

use meshcore_lifecycle::ShutdownBudget;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use super::end::PodEnd;
use crate::scene::{Availability, Scene, wait_for_page};

/// The times of one stop.
pub(super) struct Stop {
    /// From the deletion until the pod was gone.
    pub(super) took: Duration,
    /// The longest time in which the page did not answer.
    pub(super) gap: Duration,
    /// Whether the WAL was looked at before the next writer came.
    pub(super) saw_wal: bool,
}

impl Stop {
    /// Deletes the pod, checks its end, and waits until the page is there again.
    pub(super) async fn checked(scene: &Scene, page: &str, budget: &ShutdownBudget) -> Self {
        let availability = Availability::of(page);
        let end = PodEnd::by_deletion(scene).await;
        let saw_wal = scene.assert_wal_is_empty();
        end.assert_is_clean(budget);
        for ended in [&end.server, &end.ingestor] {
            assert!(!ended.was_killed(scene), "{}", ended.container);
        }
        let told = scene.last_shutdown(&end.uid).await;
        assert_is_told(&told, &end, budget);
        scene.wait_for_another_pod(&end.uid).await;
        wait_for_page(page).await;
        Self {
            took: end.took,
            gap: availability.gap().await,
            saw_wal,
        }
    }
}

/// That the status says what happened.
fn assert_is_told(told: &Value, end: &PodEnd, budget: &ShutdownBudget) {
    assert_eq!(told["observed"], "Watch", "{told}");
    assert_eq!(told["clean"], true, "{told}");
    assert_eq!(told["cause"], "SIGTERM", "{told}");
    let grace = budget.termination_grace_period_seconds();
    assert_eq!(told["budgetSeconds"], grace, "{told}");
    let took = told["tookSeconds"].as_u64().unwrap();
    // It is rounded up, and does not count what the kubelet does after the programs.
    let limits = u64::from(budget.pre_stop_seconds)..=end.took.as_secs() + 1;
    assert!(limits.contains(&took), "{limits:?}: {told}");
    let reports = [&end.server, &end.ingestor].map(|ended| ended.report.as_ref().unwrap());
    let phases = reports.iter().flat_map(|report| &report.phases);
    let expected: Vec<_> = phases.map(|phase| phase.milliseconds).collect();
    let told: Vec<_> = told["phases"].as_array().unwrap().iter().collect();
    let milliseconds = told
        .iter()
        .filter_map(|phase| phase["milliseconds"].as_u64());
    assert_eq!(milliseconds.collect::<Vec<_>>(), expected, "{told:?}");
}

impl Scene {
    /// What the status says about the end of this pod.
    pub(crate) async fn last_shutdown(&self, pod: &str) -> Value {
        let what = format!("jsonpath={{.status.lastShutdown.podUID}}={pod}");
        self.wait("mcd/mesh", &what).await;
        let told = self.value("mcd/mesh", "{.status.lastShutdown}").await;
        serde_json::from_str(&told).unwrap()
    }

    /// That the last writer left nothing in the WAL; `false` if the next one was quicker than this look.
    pub(crate) fn assert_wal_is_empty(&self) -> bool {
        let database = self.database();
        let lock = std::fs::File::open(database.with_extension("db.writer")).unwrap();
        // The next one waits as long as this look takes.
        if flock(&lock, FlockOperation::NonBlockingLockShared).is_err() {
            return false;
        }
        let wal = std::fs::metadata(database.with_extension("db-wal"));
        assert_eq!(wal.map_or(0, |wal| wal.len()), 0, "bytes in the WAL");
        true
    }
}
