//! Fields that mean something in a cluster only. Parts that are Kubernetes' own types have those here too.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, PodSecurityContext, Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{IngestorSettings, MeshCoreDeploymentSpec, ServerSettings};
use crate::{is_default, rules};

/// The images of the programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Registry and path before the images' names; empty takes the operator's own.
    #[schemars(transform = &rules::REGISTRY)]
    pub registry: String,
    /// Empty takes the operator's own version.
    #[schemars(transform = &rules::TAG)]
    pub tag: String,
    /// Digests; each wins over the tag.
    pub digests: Digests,
    /// When to pull.
    pub pull_policy: PullPolicy,
    /// Secrets for the registry.
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub pull_secrets: Vec<LocalRef>,
}

impl Image {
    /// `<registry>/meshcore-<program>`, by `digest` where there is one, else by tag. Where the resource names no
    /// registry or tag, it is `registry` or `tag`.
    pub fn reference(&self, program: &str, digest: &str, registry: &str, tag: &str) -> String {
        let registry = or(&self.registry, registry).trim_end_matches('/');
        let separator = if registry.is_empty() { "" } else { "/" };
        let name = format!("{registry}{separator}meshcore-{program}");
        if digest.is_empty() {
            format!("{name}:{}", or(&self.tag, tag))
        } else {
            format!("{name}@{digest}")
        }
    }
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

/// Digests of the images, such as `sha256:…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Digests {
    /// The ingestor's.
    #[schemars(transform = &rules::DIGEST)]
    pub ingestor: String,
    /// The server's.
    #[schemars(transform = &rules::DIGEST)]
    pub server: String,
}

/// When to pull an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// When the machine does not have it.
    #[default]
    IfNotPresent,
    /// Each time.
    Always,
    /// Not at all.
    Never,
}

/// An object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalRef {
    /// Its name.
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub name: String,
}

/// How changes reach the pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rollout {
    /// Say what would change, and change nothing.
    pub hold: bool,
}

/// The service in front of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// How it is reached.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Its port.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i64,
    /// Annotations, as load balancers read them.
    #[schemars(transform = rules::Map { values: &rules::ANNOTATION_VALUE, rules: &rules::ANNOTATIONS })]
    pub annotations: BTreeMap<String, String>,
    /// IPv4, IPv6 or both.
    pub ip_family_policy: IpFamilyPolicy,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            port: 80,
            annotations: BTreeMap::new(),
            ip_family_policy: IpFamilyPolicy::default(),
        }
    }
}

/// How a service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of every machine.
    NodePort,
    /// Through a load balancer.
    LoadBalancer,
}

/// Which families of addresses a service has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamilyPolicy {
    /// One.
    #[default]
    SingleStack,
    /// Both, where the cluster has both.
    PreferDualStack,
    /// Both.
    RequireDualStack,
}

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// The class; none takes the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub class_name: Option<String>,
    /// The host name.
    #[schemars(transform = &rules::HOST)]
    pub host: String,
    /// The Secret with the certificate; none serves without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub tls_secret_name: Option<String>,
    /// Annotations, as ingress controllers read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = rules::Map { values: &rules::ANNOTATION_VALUE, rules: &rules::ANNOTATIONS })]
    pub annotations: BTreeMap<String, String>,
}

/// A route of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// The gateways.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// The host names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = &rules::HOST)]
    pub hostnames: Vec<String>,
}

/// A gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Its name.
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub name: String,
    /// Its namespace; none is the resource's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::LABEL)]
    pub namespace: Option<String>,
    /// One of its listeners; none is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub section_name: Option<String>,
}

/// A `NetworkPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Make one.
    pub enabled: bool,
    /// Peers that may reach the server; empty lets all in.
    #[schemars(length(max = 32))]
    pub ingress_from: Vec<NetworkPolicyPeer>,
    /// Rules beside those for names and brokers.
    #[schemars(length(max = 32))]
    pub extra_egress: Vec<NetworkPolicyEgressRule>,
}

/// A `PodDisruptionBudget`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodDisruptionBudget {
    /// Make one. With one replica it guards nothing and can block a drain.
    pub enabled: bool,
}

/// What is added to the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = rules::Rules(&[&rules::MOUNTS_HAVE_VOLUMES]))]
pub struct PodSettings {
    /// Labels.
    #[schemars(transform = rules::Map { values: &rules::LABEL_VALUE, rules: &rules::LABELS })]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[schemars(transform = rules::Map { values: &rules::ANNOTATION_VALUE, rules: &rules::ANNOTATIONS })]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the machines that it may run on.
    #[schemars(transform = rules::Map { values: &rules::LABEL_VALUE, rules: &rules::SELECTOR })]
    pub node_selector: BTreeMap<String, String>,
    /// Kubernetes' `Affinity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Kubernetes' `Toleration`s.
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Kubernetes' `TopologySpreadConstraint`s.
    #[schemars(length(max = 32))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The priority class.
    #[schemars(transform = &rules::OPTIONAL_NAME)]
    pub priority_class_name: String,
    /// The runtime class.
    #[schemars(transform = &rules::OPTIONAL_NAME)]
    pub runtime_class_name: String,
    /// A service account of one's own.
    #[schemars(transform = &rules::OPTIONAL_NAME)]
    pub service_account_name: String,
    /// Kubernetes' `PodSecurityContext`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// Kubernetes' `Volume`s.
    #[schemars(
        length(max = 32),
        transform = rules::ItemTexts(&[("name", &rules::VOLUME_NAME)]),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub volumes: Vec<Volume>,
    /// Kubernetes' `VolumeMount`s, for both containers.
    #[schemars(
        length(max = 32),
        transform = rules::ItemTexts(&[
            ("name", &rules::LABEL),
            ("mountPath", &rules::MOUNT_PATH)
        ]),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"])
    )]
    pub volume_mounts: Vec<VolumeMount>,
}

impl MeshCoreDeploymentSpec {
    /// The fields that say something here, and mean nothing without a cluster. `storage` is not among them:
    /// it must always be there.
    pub fn without_effect_outside_a_cluster(&self) -> Vec<&'static str> {
        let Self {
            image,
            mqtt_sources: _,
            channels: _,
            retention: _,
            ingestor,
            server,
            storage: _,
            shutdown: _,
            stopped: _,
            paused,
            rollout,
            service,
            ingress,
            http_route,
            network_policy,
            pod_disruption_budget,
            pod,
        } = self;
        let IngestorSettings { resources, env, .. } = ingestor;
        let ServerSettings {
            resources: server_resources,
            env: server_env,
            api_key_secret_ref,
            ..
        } = server;
        let takes_from = |env: &[crate::EnvVar]| env.iter().any(|env| env.value_from.is_some());
        let said = [
            ("spec.image", !is_default(image)),
            ("spec.ingestor.resources", resources.is_some()),
            ("spec.ingestor.env[].valueFrom", takes_from(env)),
            ("spec.server.resources", server_resources.is_some()),
            ("spec.server.env[].valueFrom", takes_from(server_env)),
            ("spec.server.apiKeySecretRef", api_key_secret_ref.is_some()),
            ("spec.paused", *paused),
            ("spec.rollout", !is_default(rollout)),
            ("spec.service", !is_default(service)),
            ("spec.ingress", ingress.is_some()),
            ("spec.httpRoute", http_route.is_some()),
            ("spec.networkPolicy", !is_default(network_policy)),
            (
                "spec.podDisruptionBudget",
                !is_default(pod_disruption_budget),
            ),
            ("spec.pod", !is_default(pod)),
        ];
        let said = said.into_iter().filter(|(_, is_said)| *is_said);
        said.map(|(field, _)| field).collect()
    }
}
