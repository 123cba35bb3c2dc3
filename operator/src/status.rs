//! What the resource's status says. Pure, but for [`write`].

mod budget;
mod conditions;
pub(crate) mod pod;
mod reason;
mod state;
mod storage;
mod write;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use meshcore_resource::{
    EffectiveImages, EffectiveStatus, LastShutdown, MeshCoreDeployment, MeshCoreDeploymentStatus,
    TemplateStatus,
};

use crate::apply::{Applied, Rollout};
use crate::bundle::Bundle;
use crate::names;
use crate::pressure::Pressure;
use crate::problem::Problem;
use crate::validate::claim_name;
pub use conditions::{Finding, Truth, Type, conditions};
pub use reason::Reason;
pub use state::{Level, State};
pub use write::{Written, annotate, write};

/// The conditions that are about one thing each.
const DETAILS: [Type; 5] = [
    Type::StorageReady,
    Type::StorageResizing,
    Type::StoragePressure,
    Type::ShutdownBudgetAtRisk,
    Type::RolloutPending,
];

/// What a reconcile found and did.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was done.
    pub applied: &'a Applied,
    /// What the pod is made of.
    pub effective: EffectiveStatus,
    /// The claim as it is now.
    pub claim: Option<PersistentVolumeClaim>,
    /// Whether a database was made on the claim.
    pub is_initialized: bool,
    /// The StatefulSet as it is now.
    pub stateful_set: Option<StatefulSet>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Whether the volume is full.
    pub pressure: Pressure,
    /// How the last pod ended, if somebody knows more than the status has.
    pub last_shutdown: Option<LastShutdown>,
}

/// The status of a resource that was reconciled.
pub fn of_report(
    resource: &MeshCoreDeployment,
    report: Report<'_>,
    now: &Time,
) -> MeshCoreDeploymentStatus {
    let previous = resource.status.clone().unwrap_or_default();
    let last_shutdown = report.last_shutdown.clone().or(previous.last_shutdown);
    let name = claim_name(resource);
    let claim = report.claim.as_ref();
    let mut findings = state_of(resource, &report).findings().to_vec();
    findings.extend([
        storage::ready(&name, claim),
        storage::resizing(&name, claim),
        storage::pressure(&name, &report.pressure, &previous.conditions),
        budget::at_risk(&resource.spec.shutdown, last_shutdown.as_ref()),
        rollout_pending(&report.applied.rollout),
    ]);
    let generation = resource.metadata.generation;
    let Rollout {
        hash,
        reason,
        pending,
        ..
    } = report.applied.rollout.clone();
    MeshCoreDeploymentStatus {
        observed_generation: generation,
        conditions: conditions(findings, &previous.conditions, generation, now),
        storage: Some(storage::storage(&name, claim, report.is_initialized)),
        template: Some(TemplateStatus {
            hash,
            last_rollout_reason: reason,
            pending,
        }),
        effective: Some(EffectiveStatus {
            running_pod_grace_seconds: grace_of(&report.pods),
            ..report.effective
        }),
        last_shutdown,
    }
}

/// The status of a resource with which nothing was done: it is paused, or can't be read. Everything but the state stays
/// as it was last found.
pub fn without_work(
    previous: MeshCoreDeploymentStatus,
    state: &State,
    generation: Option<i64>,
    now: &Time,
) -> MeshCoreDeploymentStatus {
    let findings = state.findings().to_vec();
    let mut all = conditions(findings, &previous.conditions, generation, now);
    for type_ in DETAILS {
        let known = previous
            .conditions
            .iter()
            .find(|known| known.type_ == type_.as_str());
        all.push(
            known
                .cloned()
                .unwrap_or_else(|| unknown(type_, state.reason, generation, now)),
        );
    }
    MeshCoreDeploymentStatus {
        observed_generation: generation,
        conditions: all,
        ..previous
    }
}

/// What shapes the pod, as it was built.
pub fn effective(resource: &MeshCoreDeployment, bundle: &Bundle) -> EffectiveStatus {
    let shutdown = &resource.spec.shutdown;
    let template = bundle.stateful_set.spec.as_ref().map(|spec| &spec.template);
    let pod = template.and_then(|template| template.spec.as_ref());
    let containers = pod.into_iter().flat_map(|pod| {
        let init = pod.init_containers.iter().flatten();
        init.chain(&pod.containers)
    });
    let image = |name: &str| {
        let mut containers = containers.clone();
        containers
            .find(|container| container.name == name)?
            .image
            .clone()
    };
    let labels = bundle.stateful_set.metadata.labels.as_ref();
    EffectiveStatus {
        termination_grace_period_seconds: pod.and_then(|pod| pod.termination_grace_period_seconds),
        breakdown: Some(budget::breakdown(shutdown)),
        running_pod_grace_seconds: None,
        images: Some(EffectiveImages {
            ingestor: image(names::INGESTOR),
            server: image(names::SERVER),
        }),
        version: labels.and_then(|labels| labels.get(names::VERSION).cloned()),
    }
}

/// The grace period of the pod that runs: a changed budget holds for the next one.
fn grace_of(pods: &[Pod]) -> Option<i64> {
    let pod = pod::current(pods)?;
    pod.spec.as_ref()?.termination_grace_period_seconds
}

fn state_of(resource: &MeshCoreDeployment, report: &Report<'_>) -> State {
    let applied = report.applied;
    if let Some(state) = State::of_problems(&applied.problems) {
        return state;
    }
    if let Some(failure) = &applied.failure {
        let message = format!("{failure}; it is tried again");
        return State::new(Level::Progressing, Reason::ApiFailure, message);
    }
    if !applied.waiting.is_empty() {
        let message = applied.waiting.join("; ");
        return State::new(Level::Progressing, Reason::BeingDeleted, message);
    }
    if storage::is_lost(report.claim.as_ref()) {
        let finding = storage::ready(&claim_name(resource), report.claim.as_ref());
        return State::new(Level::Stalled, finding.reason, finding.message);
    }
    // Under hold the StatefulSet says whether it runs, not the spec.
    let set = report.stateful_set.as_ref();
    let replicas = set.and_then(|set| set.spec.as_ref()?.replicas);
    let is_stopped = if resource.spec.rollout.hold {
        replicas == Some(0)
    } else {
        resource.spec.stopped
    };
    pod::state(set, &report.pods, is_stopped)
}

fn rollout_pending(rollout: &Rollout) -> Finding {
    if rollout.pending.is_empty() {
        return Finding::new(Type::RolloutPending, false, Reason::NothingPending, "");
    }
    let causes = if rollout.causes.is_empty() {
        String::new()
    } else {
        format!(" because of {}", rollout.causes.join(", "))
    };
    let message = format!(
        "spec.rollout.hold keeps {} from changing{causes}; set it to false to let the pod restart",
        rollout.pending.join(", ")
    );
    Finding::new(Type::RolloutPending, true, Reason::Held, message)
}

fn unknown(type_: Type, reason: Reason, generation: Option<i64>, now: &Time) -> Condition {
    let finding = Finding::new(type_, Truth::Unknown, reason, "It was not looked at yet");
    conditions(vec![finding], &[], generation, now).remove(0)
}

/// The state of a resource that is left alone.
pub fn paused(how: &str) -> State {
    let message = format!("Nothing is reconciled, as {how} asks; whatever runs goes on");
    State::new(Level::Paused, Reason::Paused, message)
}

/// The state of a resource that nothing can be made of.
pub fn refused(problem: Problem) -> State {
    State::new(Level::Stalled, problem.reason, problem.message)
}
