//! The resource and the fields of its spec that the programs live by.
#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats its struct inside a function"
)]

use k8s_openapi::api::core::v1::{EnvVarSource, ResourceRequirements};
use kube::{CustomResource, KubeSchema};
use meshcore_lifecycle::ShutdownBudget;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::{
    HttpRoute, Image, Ingress, NetworkPolicy, PodDisruptionBudget, PodSettings, Rollout, Service,
};
use crate::source::{MqttSource, SecretKeyRef, SecretRef};
use crate::status::MeshCoreDeploymentStatus;
use crate::{is_default, rules};

/// What is asked for. Only `mqttSources` and `storage` must be there.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "meshcore.dev",
    version = "v1alpha1",
    kind = "MeshCoreDeployment",
    plural = "meshcoredeployments",
    singular = "meshcoredeployment",
    shortname = "mcd",
    category = "meshcore",
    namespaced,
    doc = "One analyzer: its sources, its storage, how it stops.",
    derive = "PartialEq",
    status = "MeshCoreDeploymentStatus",
    validation = rules::NAME.rule(),
    validation = rules::CLASS_STAYS.rule(),
    validation = rules::MODE_STAYS.rule(),
    validation = rules::CLAIM_STAYS.rule(),
    validation = rules::SIZE_GROWS.rule(),
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Version", "type": "string", "jsonPath": ".status.effective.version"}"#,
    printcolumn = r#"{"name": "Storage", "type": "string", "jsonPath": ".status.storage.capacity"}"#,
    printcolumn = r#"{"name": "Grace", "type": "integer", "jsonPath": ".status.effective.terminationGracePeriodSeconds"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[schemars(transform = rules::Rules(&[&rules::ONE_ROUTE]))]
#[serde(rename_all = "camelCase")]
pub struct MeshCoreDeploymentSpec {
    /// The images of the programs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Image,
    /// The brokers to listen to, 1 to 8, with distinct names.
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub mqtt_sources: Vec<MqttSource>,
    /// The channels whose messages are decrypted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub channels: Channels,
    /// How long to keep what.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retention: Retention,
    /// Settings of the ingestor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ingestor: IngestorSettings,
    /// Settings of the server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub server: ServerSettings,
    /// Where the database is kept.
    pub storage: Storage,
    /// How the grace period is divided.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(transform = rules::Rules(&[&rules::BUDGET_SUM, &rules::MARGIN]))]
    pub shutdown: ShutdownBudget,
    /// Nothing runs, and the data stay.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stopped: bool,
    /// The operator leaves everything as it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// How changes reach the pod.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rollout: Rollout,
    /// The service in front of the server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service: Service,
    /// An Ingress; not together with `httpRoute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// A route of the Gateway API; not together with `ingress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRoute>,
    /// A `NetworkPolicy`, if it is asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network_policy: NetworkPolicy,
    /// A `PodDisruptionBudget`, if it is asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod_disruption_budget: PodDisruptionBudget,
    /// What is added to the pod.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: PodSettings,
}

/// The channels whose messages are decrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channels {
    /// Hashtag channels, with or without `#`; the key follows from the name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), transform = &rules::HASHTAG)]
    pub hashtags: Vec<String>,
    /// A Secret whose key `channel-keys.yaml` is a map of channel names and keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_secret_ref: Option<SecretRef>,
}

/// How long to keep what, in days; 0 keeps it for ever.
///
/// What is not said is the ingestor's to decide, and has no default in the schema: in a file that was CoreScope's, the
/// ingestor's own default deletes no packet, only a value that somebody chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// Transmissions with their observations: 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 36_500))]
    pub packet_days: Option<i64>,
    /// Nodes not heard since: 365.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 36_500))]
    pub node_days: Option<i64>,
    /// Observers not heard since: 365.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 36_500))]
    pub observer_days: Option<i64>,
    /// Samples of observers, and dead letters: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 36_500))]
    pub metrics_days: Option<i64>,
}

/// Settings of the ingestor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngestorSettings {
    /// `info`, or a filter such as `info,sqlx=warn`.
    #[schemars(transform = &rules::LOG_LEVEL)]
    pub log_level: String,
    /// Requests and limits of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::Rules(&rules::RESOURCES))]
    pub resources: Option<ResourceRequirements>,
    /// Variables beside those that the resource makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
}

impl Default for IngestorSettings {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            resources: None,
            env: Vec::new(),
        }
    }
}

/// Settings of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerSettings {
    /// `info`, or a filter such as `info,sqlx=warn`.
    #[schemars(transform = &rules::LOG_LEVEL)]
    pub log_level: String,
    /// Requests and limits of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::Rules(&rules::RESOURCES))]
    pub resources: Option<ResourceRequirements>,
    /// Variables beside those that the resource makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
    /// Connections at once; further ones get 503.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_connections: i64,
    /// The key that requests must show which ask for more than reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretKeyRef>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            resources: None,
            env: Vec::new(),
            max_connections: 2000,
            api_key_secret_ref: None,
        }
    }
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = rules::Secretive { field: "value", text: &rules::VARIABLE_VALUE },
    transform = rules::Rules(&[&rules::VALUE_OR_FROM])
)]
pub struct EnvVar {
    /// Its name.
    #[schemars(transform = &rules::VARIABLE)]
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where a cluster takes the value from; without effect outside one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::Rules(&[&rules::ONE_VALUE_FROM]))]
    pub value_from: Option<EnvVarSource>,
}

/// Where the database is kept: a claim of our own, or one that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::Rules(&rules::STORAGE))]
pub struct Storage {
    /// How large the claim is, such as `10Gi`. It may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::SIZE)]
    pub size: Option<String>,
    /// The storage class; none takes the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub storage_class_name: Option<String>,
    /// `ReadWriteOnce`, unless the class can do better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
    /// What becomes of the claim when the resource is deleted: it stays, unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// A claim that exists; it stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub existing_claim: Option<String>,
}

/// Who may use the claim at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// The pods of one machine.
    #[default]
    ReadWriteOnce,
    /// One pod.
    ReadWriteOncePod,
}

/// What becomes of the claim when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReclaimPolicy {
    /// It stays, and a new resource of the same name adopts it.
    #[default]
    Retain,
    /// It goes, and the data with it.
    Delete,
}

impl MeshCoreDeploymentSpec {
    /// A spec with nothing but what must be there.
    pub fn new(mqtt_sources: Vec<MqttSource>, storage: Storage) -> Self {
        Self {
            image: Image::default(),
            mqtt_sources,
            channels: Channels::default(),
            retention: Retention::default(),
            ingestor: IngestorSettings::default(),
            server: ServerSettings::default(),
            storage,
            shutdown: ShutdownBudget::default(),
            stopped: false,
            paused: false,
            rollout: Rollout::default(),
            service: Service::default(),
            ingress: None,
            http_route: None,
            network_policy: NetworkPolicy::default(),
            pod_disruption_budget: PodDisruptionBudget::default(),
            pod: PodSettings::default(),
        }
    }
}
