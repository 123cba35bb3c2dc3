//! The end of a pod, as its last events tell.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{DeleteParams, WatchEvent, WatchParams};
use meshcore_lifecycle::{PhaseOutcome, Report, ShutdownBudget};
use meshcore_testkit::kubernetes::Component;

use crate::scene::{POD, Pod, Scene};

/// What the programs do at the end, in this order.
const STEPS_OF_SERVER: [&str; 4] = [
    "stop_tail",
    "drain_http",
    "close_websockets",
    "close_database",
];
const STEPS_OF_INGESTOR: [&str; 5] = [
    "stop_intake",
    "drain_queue",
    "disconnect",
    "checkpoint",
    "close_database",
];

/// How a pod ended.
pub(crate) struct PodEnd {
    pub(crate) uid: String,
    pub(crate) server: Ended,
    pub(crate) ingestor: Ended,
    /// When somebody asked for it.
    asked: Timestamp,
    /// How long it took from then until the pod was gone.
    pub(crate) took: Duration,
}

/// How a container ended.
pub(crate) struct Ended {
    pub(crate) container: String,
    pub(crate) exit_code: i32,
    finished_at: Timestamp,
    pub(crate) report: Option<Report>,
}

impl PodEnd {
    /// Deletes the pod as anybody does, and waits until it is gone.
    pub(crate) async fn by_deletion(scene: &Scene) -> Self {
        let pods = scene.pods().await;
        let pod = pods.get(POD).await.unwrap();
        let version = pod.resource_version().unwrap();
        let only = WatchParams::default().fields(&format!("metadata.name={POD}"));
        let events = pods.watch(&only, &version).await.unwrap();
        let asked = Timestamp::now();
        let began = Instant::now();
        pods.delete(POD, &DeleteParams::default()).await.unwrap();
        let mut events = std::pin::pin!(events);
        let last = loop {
            match events.try_next().await.unwrap() {
                Some(WatchEvent::Deleted(pod)) => break pod,
                Some(WatchEvent::Error(error)) => panic!("{error:?}"),
                Some(_) => {}
                None => panic!("the watch of {POD} ended before the pod did"),
            }
        };
        assert_eq!(last.uid(), pod.uid());
        let last = Pod(last);
        Self {
            uid: last.uid().to_owned(),
            server: Ended::of(&last, "server"),
            ingestor: Ended::of(&last, "ingestor"),
            asked,
            took: began.elapsed(),
        }
    }

    /// That both programs did all they do at the end, in their order, and within their parts of the budget.
    pub(crate) fn assert_is_clean(&self, budget: &ShutdownBudget) {
        let server = self.server.clean_report(&STEPS_OF_SERVER);
        let ingestor = self.ingestor.clean_report(&STEPS_OF_INGESTOR);
        self.assert_was_served(budget, server);
        assert!(
            server.at <= ingestor.started_at,
            "the ingestor is stopped when the server has ended: {server:?} {ingestor:?}"
        );
        assert!(self.server.finished_at <= self.ingestor.finished_at);
        let within = |report: &Report, limit: Duration| {
            assert!(
                Duration::from_millis(report.took_milliseconds) <= limit,
                "{limit:?}: {report:?}"
            );
        };
        within(server, budget.server_deadline());
        within(ingestor, budget.ingestor_deadline());
        self.assert_checkpointed();
        self.assert_within(budget);
    }

    /// That the server got its signal when the sleep before it was over.
    pub(crate) fn assert_was_served(&self, budget: &ShutdownBudget, server: &Report) {
        let slept = server.started_at.duration_since(self.asked);
        let sleep = SignedDuration::from_secs(budget.pre_stop_seconds.into());
        assert!(slept >= sleep, "SIGTERM {slept:#} after the deletion");
    }

    /// That the WAL was written back whole.
    pub(crate) fn assert_checkpointed(&self) {
        let report = self.ingestor.clean_report(&STEPS_OF_INGESTOR);
        assert_eq!(report.details["checkpointMode"], "truncate", "{report:?}");
    }

    /// That it was all over when the pod's time was.
    pub(crate) fn assert_within(&self, budget: &ShutdownBudget) {
        let grace = Duration::from_secs(budget.termination_grace_period_seconds());
        assert!(self.took <= grace, "{:?} of {grace:?}", self.took);
    }
}

impl Ended {
    fn of(pod: &Pod, name: &str) -> Self {
        let status = pod.container(name).unwrap();
        let state = status.state.as_ref().and_then(|it| it.terminated.as_ref());
        let Some(state) = state else {
            panic!("{name} of a pod that is gone has not ended: {status:?}");
        };
        let message = state.message.as_deref().unwrap_or_default();
        Self {
            container: pod.container_id(name).unwrap().to_owned(),
            exit_code: state.exit_code,
            finished_at: state.finished_at.as_ref().unwrap().0,
            report: serde_json::from_str(message).ok(),
        }
    }

    /// The report of a stop in which each of these steps did its work.
    fn clean_report(&self, steps: &[&str]) -> &Report {
        assert_eq!(self.exit_code, 0, "{:?}", self.report);
        let report = self.report.as_ref().unwrap();
        assert!(report.clean && report.cause == "SIGTERM", "{report:?}");
        let names = report.phases.iter().map(|phase| phase.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), steps);
        let mut outcomes = report.phases.iter().map(|phase| phase.outcome);
        assert!(outcomes.all(|it| it == PhaseOutcome::Ok), "{report:?}");
        report
    }

    /// Whether the kubelet had it killed: the runtime notes that.
    pub(crate) fn was_killed(&self, scene: &Scene) -> bool {
        let log = scene.cluster.log(Component::Containerd);
        let mut lines = log.lines();
        lines.any(|line| line.contains("Kill container") && line.contains(&self.container))
    }
}
