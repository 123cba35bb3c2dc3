//! The service account of the pod, which never talks to an API server.

use k8s_openapi::api::core::v1::ServiceAccount;
use meshcore_resource::MeshCoreDeployment;

use super::metadata;

/// An account without a token; none where the resource names one of its own.
pub(super) fn build(resource: &MeshCoreDeployment) -> Option<ServiceAccount> {
    let is_ours = resource.spec.pod.service_account_name.is_empty();
    is_ours.then(|| ServiceAccount {
        metadata: metadata::owned(resource, metadata::name(resource)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}

/// The account that the pod runs as.
pub(super) fn name(resource: &MeshCoreDeployment) -> String {
    let theirs = &resource.spec.pod.service_account_name;
    if theirs.is_empty() {
        metadata::name(resource)
    } else {
        theirs
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{json_of, metadata, resource};
    use super::*;

    #[test]
    fn the_account_has_no_token() {
        let resource = resource(json!({}));
        assert_eq!(
            json_of(&build(&resource)),
            json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": metadata("bay"),
                "automountServiceAccountToken": false,
            })
        );
        assert_eq!(super::name(&resource), "bay");
    }

    #[test]
    fn an_account_that_is_named_is_somebody_elses() {
        let resource = resource(json!({"pod": {"serviceAccountName": "mesh"}}));
        assert_eq!(build(&resource), None);
        assert_eq!(super::name(&resource), "mesh");
    }
}
