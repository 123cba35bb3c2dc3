//! All objects that one resource becomes.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DynamicObject;

/// All objects that one resource becomes. Whoever applies them takes the struct apart without `..`, so that none can
/// be forgotten; `None` is an object that the resource does not ask for, and one of ours with its name is deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The programs' configuration: immutable, `<name>-config-<hash>`.
    pub config_map: ConfigMap,
    /// `<name>`, without a token; none where the pod has a service account of its own.
    pub service_account: Option<ServiceAccount>,
    /// `<name>-data`; none where the resource names an existing claim.
    pub claim: Option<PersistentVolumeClaim>,
    /// `<name>`: the server.
    pub service: Service,
    /// `<name>-pods`: the pod's host name.
    pub headless_service: Service,
    /// `<name>`, of 0 or 1 replica.
    pub stateful_set: StatefulSet,
    /// `<name>`, where it is asked for.
    pub ingress: Option<Ingress>,
    /// `<name>`, where it is asked for and the cluster serves the kind. `k8s-openapi` does not have it.
    pub http_route: Option<DynamicObject>,
    /// `<name>`, where it is asked for.
    pub network_policy: Option<NetworkPolicy>,
    /// `<name>`, where it is asked for.
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
}
