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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{json_of, metadata, resource, selector, settings};
    use super::*;

    /// The version is a label of the StatefulSet alone: in the template it would restart the pod, and a selector can't
    /// change.
    #[test]
    fn a_stateful_set_has_one_pod_and_says_its_version() {
        let resource = resource(json!({}));
        let mut metadata = metadata("bay");
        metadata["labels"]["app.kubernetes.io/version"] = "0.1.0".into();
        assert_eq!(
            json_of(&build(&resource, &settings(), "bay-config-1")),
            json!({
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": metadata,
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": selector()},
                    "serviceName": "bay-pods",
                    "template": json_of(&pod::template(&resource, &settings(), "bay-config-1")),
                    "podManagementPolicy": "Parallel",
                    "updateStrategy": {"type": "RollingUpdate"},
                    "revisionHistoryLimit": 2,
                },
            })
        );
    }

    #[test]
    fn a_stopped_one_has_no_pod_and_is_the_same_otherwise() {
        let built = |spec| build(&resource(spec), &settings(), "bay-config-1");
        let mut stopped = built(json!({"stopped": true}));
        let spec = stopped.spec.as_mut().unwrap();
        assert_eq!(spec.replicas, Some(0));
        spec.replicas = Some(1);
        assert_eq!(stopped, built(json!({})));
    }
}
