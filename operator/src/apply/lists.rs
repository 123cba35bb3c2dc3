//! Which lists Kubernetes merges by key, and which it takes as a whole.

use crate::kind::Kind;

/// The keys of the list at `path`, which has the names of fields only; `None` for a list that is one value.
///
/// Taken from the API server's own description; a test compares the two.
pub(super) fn keys(kind: Kind, path: &[&str]) -> Option<&'static [&'static str]> {
    match (kind, path) {
        (_, ["metadata", "ownerReferences"]) => Some(&["uid"]),
        (Kind::Service, ["spec", "ports"]) => Some(&["port", "protocol"]),
        (Kind::ServiceAccount, ["secrets"]) => Some(&["name"]),
        (Kind::StatefulSet, ["spec", "template", "spec", rest @ ..]) => pod_keys(rest),
        _ => None,
    }
}

fn pod_keys(path: &[&str]) -> Option<&'static [&'static str]> {
    match path {
        ["containers" | "initContainers", rest @ ..] => container_keys(rest),
        ["volumes" | "imagePullSecrets" | "schedulingGates" | "resourceClaims"] => Some(&["name"]),
        ["hostAliases"] => Some(&["ip"]),
        ["topologySpreadConstraints"] => Some(&["topologyKey", "whenUnsatisfiable"]),
        _ => None,
    }
}

fn container_keys(path: &[&str]) -> Option<&'static [&'static str]> {
    match path {
        [] | ["env"] | ["resources", "claims"] => Some(&["name"]),
        ["ports"] => Some(&["containerPort", "protocol"]),
        ["volumeMounts"] => Some(&["mountPath"]),
        ["volumeDevices"] => Some(&["devicePath"]),
        _ => None,
    }
}
