//! What the operator found and did. Everything is optional: a status of another version of the operator must
//! be readable.
#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats its struct inside a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator found and did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshCoreDeploymentStatus {
    /// The generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, and those that name one trouble each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// What holds for the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveStatus>,
    /// The claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,
    /// The pod template, and what would change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateStatus>,
    /// How the last pod ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_shutdown: Option<LastShutdown>,
}

/// What holds for the pod, after all defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EffectiveStatus {
    /// The sum of the shutdown budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// What the sum is made of, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<GraceBreakdown>,
    /// The grace period of the pod that runs: a changed budget holds for the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_pod_grace_seconds: Option<i64>,
    /// The images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<EffectiveImages>,
    /// The version of the programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The parts of the grace period, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GraceBreakdown {
    /// The server's preStop hook.
    pub pre_stop: i64,
    /// The server's drain.
    pub server_drain: i64,
    /// The ingestor's drain.
    pub ingestor_drain: i64,
    /// The last checkpoint.
    pub checkpoint: i64,
    /// The rest.
    pub margin: i64,
}

/// The images of the programs, in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EffectiveImages {
    /// The ingestor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingestor: Option<String>,
    /// The server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// The claim that the database is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageStatus {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
    /// Its UID: another claim of the same name is another, empty one.
    #[serde(rename = "claimUID", skip_serializing_if = "Option::is_none")]
    pub claim_uid: Option<String>,
    /// What it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<String>,
    /// What it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<String>,
    /// Whether a database was made on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initialized: Option<bool>,
}

/// The pod template, and what would change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateStatus {
    /// The hash of the template that was applied last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The field whose change made the last rollout, such as `spec.image.tag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rollout_reason: Option<String>,
    /// Under `spec.rollout.hold`: what differs, and is not applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
}

/// How the last pod ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastShutdown {
    /// The pod.
    #[serde(rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// How it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Whether everything was done that is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean: Option<bool>,
    /// What ended it, such as `SIGTERM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The grace period that it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_seconds: Option<i64>,
    /// How much of it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<i64>,
    /// What took how long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<ShutdownPhase>,
}

/// How the end of a pod is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Observed {
    /// The operator saw the pod end.
    Watch,
    /// The next pod served the report of the last one.
    Report,
    /// It is not.
    None,
}

/// A step of a shutdown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShutdownPhase {
    /// Such as `checkpoint`.
    pub name: String,
    /// How long it took.
    pub milliseconds: i64,
}
