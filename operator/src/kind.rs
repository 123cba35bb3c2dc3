//! The kinds of objects that a resource is made into, and how the API server calls them.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that the operator watches: those that it makes, and their pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The programs' configuration.
    ConfigMap,
    /// The pod's account.
    ServiceAccount,
    /// The claim of the database: `PersistentVolumeClaim`.
    Claim,
    /// The server's address, and the pod's host name.
    Service,
    /// The pod's owner.
    StatefulSet,
    /// A way in.
    Ingress,
    /// Another way in, of the Gateway API.
    HttpRoute,
    /// Who may talk to the pod.
    NetworkPolicy,
    /// What an eviction must heed.
    PodDisruptionBudget,
    /// Made by the StatefulSet; only read, and deleted when it is stuck.
    Pod,
}

impl Kind {
    /// Every kind that each API server has; [`Kind::HttpRoute`] is there only with the Gateway API.
    pub const BUILT_IN: [Self; 9] = [
        Self::ConfigMap,
        Self::ServiceAccount,
        Self::Claim,
        Self::Service,
        Self::StatefulSet,
        Self::Ingress,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::Pod,
    ];

    /// The name that manifests have, such as `PersistentVolumeClaim`.
    pub fn name(self) -> &'static str {
        self.words().2
    }

    /// The plural in paths and roles, such as `persistentvolumeclaims`.
    pub fn plural(self) -> &'static str {
        self.words().3
    }

    /// What a client needs to address it. The version of an `HTTPRoute` is the cluster's to say.
    pub fn api_resource(self, http_route_version: &str) -> ApiResource {
        let (group, version, kind, plural) = self.words();
        let version = match self {
            Self::HttpRoute => http_route_version,
            _ => version,
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::Claim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::NetworkPolicy => (
                "networking.k8s.io",
                "v1",
                "NetworkPolicy",
                "networkpolicies",
            ),
            Self::PodDisruptionBudget => (
                "policy",
                "v1",
                "PodDisruptionBudget",
                "poddisruptionbudgets",
            ),
            Self::Pod => ("", "v1", "Pod", "pods"),
        }
    }
}
