//! Names, namespaces and owners of the children.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use meshcore_resource::{API_VERSION, KIND, MeshCoreDeployment};

use super::labels;

/// The name of the resource.
pub(super) fn name(resource: &MeshCoreDeployment) -> &str {
    resource.name()
}

/// The metadata of a child that goes when the resource goes.
pub(super) fn owned(resource: &MeshCoreDeployment, name: impl Into<String>) -> ObjectMeta {
    ObjectMeta {
        owner_references: Some(vec![owner(resource)]),
        ..kept(resource, name)
    }
}

/// The metadata of a child that stays when the resource goes.
pub(super) fn kept(resource: &MeshCoreDeployment, name: impl Into<String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: resource.metadata.namespace.clone(),
        labels: Some(labels::of_children(resource)),
        ..ObjectMeta::default()
    }
}

/// The reference to the resource as controller.
///
/// `blockOwnerDeletion` is left out: where owner references are guarded (`OwnerReferencesPermissionEnforcement`, as on
/// `OpenShift`) it needs a right to the resource's finalizers, and nothing here waits for children in the foreground.
fn owner(resource: &MeshCoreDeployment) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: name(resource).to_owned(),
        uid: resource.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
