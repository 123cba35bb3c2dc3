//! The programs' configuration, in an object that never changes: a change is another object.

use k8s_openapi::api::core::v1::ConfigMap;
use meshcore_resource::MeshCoreDeployment;

use super::{hash, metadata, places};

/// Hexadecimal digits of the hash in the name: 40 bits, for the few configurations that one resource has had.
const HASH_DIGITS: usize = 10;

pub(super) fn build(resource: &MeshCoreDeployment) -> ConfigMap {
    let content = content(resource);
    let name = format!(
        "{}-config-{}",
        metadata::name(resource),
        hash::hex(&content, HASH_DIGITS)
    );
    ConfigMap {
        metadata: metadata::owned(resource, name),
        data: Some([(places::CONFIG_KEY.to_owned(), content)].into()),
        immutable: Some(true),
        binary_data: None,
    }
}

/// The ingestor's file, for the eyes of people too. Its text decides the name of the object, and so whether the pod
/// restarts: it must not depend on the order in which a map happens to be kept.
fn content(resource: &MeshCoreDeployment) -> String {
    let mut config = resource.spec.ingestor_config(&places::secrets());
    config.sort_all_objects();
    format!("{config:#}\n")
}
