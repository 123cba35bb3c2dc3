//! The operator's metrics, registered once and passed to whoever counts. Names begin with `meshcore_operator_`, and no
//! label names an object: their number does not grow with the number of resources.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

mod api;
mod call;
mod documentation;

pub use api::{ObserveApi, Observed, ObservedBody};
pub use call::ApiCall;
pub use documentation::documentation;

use crate::health::Watches;

/// The conditions that are counted; one of another type is not.
const CONDITIONS: [&str; 8] = [
    "Ready",
    "Reconciling",
    "Stalled",
    "StorageReady",
    "StorageResizing",
    "StoragePressure",
    "ShutdownBudgetAtRisk",
    "RolloutPending",
];
const STATUSES: [&str; 3] = ["True", "False", "Unknown"];

/// A word from a bounded set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabel {
    error: &'static str,
}

/// A write to the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    verb: &'static str,
    kind: &'static str,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestErrorLabel {
    verb: &'static str,
    kind: &'static str,
    /// The HTTP status, `timeout` or `connection`.
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabel {
    r#type: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    r#type: &'static str,
    reason: &'static str,
}

/// All metrics of the operator.
#[derive(Debug)]
pub struct Metrics {
    reconcile_seconds: Histogram,
    reconcile_errors: Family<ErrorLabel, Counter>,
    reconciles_running: Gauge,
    queue_depth: Gauge,
    api_writes: Family<WriteLabel, Counter>,
    api_request_errors: Family<RequestErrorLabel, Counter>,
    watch_age_seconds: Family<KindLabel, Gauge<f64, AtomicU64>>,
    resources: Gauge,
    conditions: Family<ConditionLabel, Gauge>,
    events: Family<EventLabel, Counter>,
    crd_outdated: Gauge,
    leader: Gauge,
    ready: Gauge,
}

impl Metrics {
    /// Makes the metrics and the registry that shows them.
    pub fn new() -> (Arc<Self>, Registry) {
        let metrics = Self {
            // 2 ms to 65 s: a reconcile is cut after 60 s.
            reconcile_seconds: Histogram::new(exponential_buckets(0.002, 2.0, 16)),
            reconcile_errors: Family::default(),
            reconciles_running: Gauge::default(),
            queue_depth: Gauge::default(),
            api_writes: Family::default(),
            api_request_errors: Family::default(),
            watch_age_seconds: Family::default(),
            resources: Gauge::default(),
            conditions: Family::default(),
            events: Family::default(),
            crd_outdated: Gauge::default(),
            leader: Gauge::default(),
            ready: Gauge::default(),
        };
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("meshcore_operator");
        metrics.register_reconciles(registry);
        metrics.register_api(registry);
        metrics.register_state(registry);
        (Arc::new(metrics), root)
    }

    fn register_reconciles(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "reconcile",
            "How long reconciles took, those that failed as well",
            Unit::Seconds,
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that failed, by the kind of their error",
            self.reconcile_errors.clone(),
        );
        registry.register(
            "reconciles_running",
            "Reconciles that run at this moment",
            self.reconciles_running.clone(),
        );
        registry.register(
            "queue_depth",
            "Resources that wait for a reconcile to begin",
            self.queue_depth.clone(),
        );
        registry.register(
            "events",
            "Events that were published, by type and reason",
            self.events.clone(),
        );
    }

    fn register_api(&self, registry: &mut Registry) {
        registry.register(
            "api_writes",
            "Requests that write, by verb and kind, whether or not they succeeded",
            self.api_writes.clone(),
        );
        registry.register(
            "api_request_errors",
            "Requests that failed, by verb, kind and reason: an HTTP status, timeout or connection",
            self.api_request_errors.clone(),
        );
        registry.register_with_unit(
            "watch_age",
            "How long ago anything was heard from the watch of a kind; a quiet one hears something each minute",
            Unit::Seconds,
            self.watch_age_seconds.clone(),
        );
        registry.register(
            "crd_outdated",
            "1 while the API server's definition of the resource is not the one of this operator",
            self.crd_outdated.clone(),
        );
    }

    fn register_state(&self, registry: &mut Registry) {
        registry.register("resources", "Resources there are", self.resources.clone());
        registry.register(
            "resources_by_condition",
            "Resources with a condition, by its type and status",
            self.conditions.clone(),
        );
        registry.register(
            "leader",
            "1 while this operator may write",
            self.leader.clone(),
        );
        registry.register("ready", "1 while the operator is ready", self.ready.clone());
    }

    /// Counts a reconcile that begins; the answer ends it when it is dropped.
    pub fn reconcile_begins(self: &Arc<Self>) -> ReconcileTimer {
        self.reconciles_running.inc();
        ReconcileTimer {
            metrics: Arc::clone(self),
            began: tokio::time::Instant::now(),
        }
    }

    /// Counts a reconcile that failed; `error` is a word from a bounded set.
    pub fn reconcile_failed(&self, error: &'static str) {
        self.reconcile_errors
            .get_or_create(&ErrorLabel { error })
            .inc();
    }

    /// Says how many resources wait for a reconcile.
    pub fn set_queue_depth(&self, waiting: usize) {
        self.queue_depth
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Counts an event that was published. Its type is `Normal` or `Warning`, its reason a constant.
    pub fn event_published(&self, r#type: &'static str, reason: &'static str) {
        self.events
            .get_or_create(&EventLabel { r#type, reason })
            .inc();
    }

    /// Says whether the API server's definition of the resource is another one than ours.
    pub fn set_crd_outdated(&self, is_outdated: bool) {
        self.crd_outdated.set(is_outdated.into());
    }

    /// Says whether this process may write, and whether it is ready.
    pub fn set_state(&self, is_leader: bool, is_ready: bool) {
        self.leader.set(is_leader.into());
        self.ready.set(is_ready.into());
    }

    /// Shows how old the watches are.
    pub fn show_watches(&self, watches: &Watches) {
        for (kind, age) in watches.ages() {
            self.show_watch(kind, age);
        }
    }

    fn show_watch(&self, kind: &'static str, age: Duration) {
        self.watch_age_seconds
            .get_or_create(&KindLabel { kind })
            .set(age.as_secs_f64());
    }

    /// Counts the resources, each given as the types and statuses of its conditions.
    pub fn show_resources<C, T>(&self, resources: impl Iterator<Item = C>)
    where
        C: IntoIterator<Item = (T, T)>,
        T: AsRef<str>,
    {
        let mut count = 0;
        let mut counts = [[0; STATUSES.len()]; CONDITIONS.len()];
        for conditions in resources {
            count += 1;
            for (r#type, status) in conditions {
                let r#type = CONDITIONS
                    .iter()
                    .position(|known| *known == r#type.as_ref());
                let status = STATUSES.iter().position(|known| *known == status.as_ref());
                if let (Some(r#type), Some(status)) = (r#type, status) {
                    counts[r#type][status] += 1;
                }
            }
        }
        self.resources.set(count);
        // All of them each time: a count that went down to 0 is one, too.
        for (counts, r#type) in counts.iter().zip(CONDITIONS) {
            for (count, status) in counts.iter().zip(STATUSES) {
                let label = ConditionLabel { r#type, status };
                self.conditions.get_or_create(&label).set(*count);
            }
        }
    }

    fn api_write(&self, call: &ApiCall) {
        let (verb, kind) = (call.verb, call.kind);
        self.api_writes
            .get_or_create(&WriteLabel { verb, kind })
            .inc();
    }

    fn api_request_failed(&self, call: &ApiCall, reason: String) {
        let label = RequestErrorLabel {
            verb: call.verb,
            kind: call.kind,
            reason,
        };
        self.api_request_errors.get_or_create(&label).inc();
    }
}

/// A reconcile that runs; its end is when this is dropped, however it ends.
#[derive(Debug)]
#[must_use = "the reconcile ends when it is dropped"]
pub struct ReconcileTimer {
    metrics: Arc<Metrics>,
    began: tokio::time::Instant,
}

impl ReconcileTimer {
    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for ReconcileTimer {
    fn drop(&mut self) {
        self.metrics.reconciles_running.dec();
        self.metrics
            .reconcile_seconds
            .observe(self.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
