//! The StatefulSet of 0 or 1 pods.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use meshcore_resource::MeshCoreDeployment;

use super::metadata::name;
use super::{image, labels, metadata, pod};
use crate::names::{VERSION, headless_service};
use crate::settings::Settings;

/// Revisions to go back to by `kubectl rollout undo`. Each keeps its `ConfigMap`.
const REVISIONS: i32 = 2;

pub(super) fn build(
    resource: &MeshCoreDeployment,
    settings: &Settings,
    config_name: &str,
) -> StatefulSet {
    let mut metadata = metadata::owned(resource, name(resource));
    if let Some(version) = image::version(&resource.spec.image, settings) {
        metadata
            .labels
            .get_or_insert_default()
            .insert(VERSION.to_owned(), version);
    }
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            // Never more: the second would be a second writer.
            replicas: Some(i32::from(!resource.spec.stopped)),
            selector: labels::label_selector(resource),
            service_name: Some(headless_service(name(resource))),
            template: pod::template(resource, settings, config_name),
            // With one pod the order means nothing, but `OrderedReady` waits for a broken pod to become ready before it
            // replaces it by a good one.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: None,
            }),
            revision_history_limit: Some(REVISIONS),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}
