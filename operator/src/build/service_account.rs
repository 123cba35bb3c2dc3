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
