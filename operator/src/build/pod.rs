//! The pod template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meshcore_resource::{LocalRef, MeshCoreDeployment};

use super::{container, labels, places, security, service_account};
use crate::settings::Settings;

pub(super) fn template(
    resource: &MeshCoreDeployment,
    settings: &Settings,
    config_name: &str,
) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::of_pod(resource)),
            annotations: non_empty(resource.spec.pod.annotations.clone(), BTreeMap::is_empty),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(resource, settings, config_name)),
    }
}

fn spec(resource: &MeshCoreDeployment, settings: &Settings, config_name: &str) -> PodSpec {
    let pod = &resource.spec.pod;
    PodSpec {
        init_containers: Some(vec![container::ingestor(resource, settings)]),
        containers: vec![container::server(resource, settings)],
        volumes: Some(places::volumes(resource, config_name)),
        termination_grace_period_seconds: Some(grace(resource)),
        security_context: Some(security::of_pod(pod)),
        service_account_name: Some(service_account::name(resource)),
        automount_service_account_token: Some(false),
        // Dozens of variables of other services, one of which could be a setting of ours by its name.
        enable_service_links: Some(false),
        image_pull_secrets: pull_secrets(&resource.spec.image.pull_secrets),
        node_selector: non_empty(pod.node_selector.clone(), BTreeMap::is_empty),
        affinity: pod.affinity.clone(),
        tolerations: non_empty(pod.tolerations.clone(), Vec::is_empty),
        topology_spread_constraints: non_empty(
            pod.topology_spread_constraints.clone(),
            Vec::is_empty,
        ),
        priority_class_name: non_empty(pod.priority_class_name.clone(), String::is_empty),
        runtime_class_name: non_empty(pod.runtime_class_name.clone(), String::is_empty),
        ..PodSpec::default()
    }
}

/// The sum of the budget, and nothing else.
fn grace(resource: &MeshCoreDeployment) -> i64 {
    let seconds = resource.spec.shutdown.termination_grace_period_seconds();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn pull_secrets(secrets: &[LocalRef]) -> Option<Vec<LocalObjectReference>> {
    let reference = |secret: &LocalRef| LocalObjectReference {
        name: secret.name.clone(),
    };
    non_empty(secrets.iter().map(reference).collect(), Vec::is_empty)
}

/// `None` for what is empty: an empty list that is applied is a list that is owned.
fn non_empty<T>(value: T, is_empty: impl Fn(&T) -> bool) -> Option<T> {
    (!is_empty(&value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, labels, resource, settings};
    use super::*;

    fn built(spec: Value) -> (MeshCoreDeployment, Value) {
        let resource = resource(spec);
        let template = json_of(&template(&resource, &settings(), "bay-config-1"));
        (resource, template)
    }

    /// The labels are the StatefulSet's selector, and `managed-by` is what the operator's watch of the pods looks for.
    #[test]
    fn a_pod_is_both_programs_and_nothing_that_was_not_asked_for() {
        let (resource, template) = built(json!({}));
        assert_eq!(
            template,
            json!({
                "metadata": {"labels": labels()},
                "spec": {
                    "initContainers": [json_of(&container::ingestor(&resource, &settings()))],
                    "containers": [json_of(&container::server(&resource, &settings()))],
                    "volumes": json_of(&places::volumes(&resource, "bay-config-1")),
                    "securityContext": json_of(&security::of_pod(&resource.spec.pod)),
                    "serviceAccountName": "bay",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 60,
                },
            })
        );
    }

    #[test]
    fn the_grace_period_is_the_sum_of_the_budget() {
        let shutdown = json!({
            "preStopSeconds": 1, "serverDrainSeconds": 20, "ingestorDrainSeconds": 300, "checkpointSeconds": 2000, "marginSeconds": 7,
        });
        let (_, template) = built(json!({ "shutdown": shutdown }));
        assert_eq!(template["spec"]["terminationGracePeriodSeconds"], 2328);
    }

    #[test]
    fn labels_of_the_resource_are_added_and_replace_none_of_ours() {
        let pod = json!({
            "labels": {"team": "radio", "app.kubernetes.io/name": "other", "app.kubernetes.io/version": "9"},
            "annotations": {"a": "b"},
        });
        let (_, template) = built(json!({ "pod": pod }));
        let mut expected = labels();
        expected["team"] = "radio".into();
        expected["app.kubernetes.io/version"] = "9".into();
        assert_eq!(
            template["metadata"],
            json!({"labels": expected, "annotations": {"a": "b"}})
        );
    }

    #[test]
    fn where_it_runs_is_the_resources_choice() {
        let pod = json!({
            "nodeSelector": {"a": "b"},
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "t"}]}},
            "tolerations": [{"operator": "Exists"}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "t", "whenUnsatisfiable": "DoNotSchedule"}],
            "priorityClassName": "mesh",
            "runtimeClassName": "gvisor",
            "serviceAccountName": "mesh",
        });
        let spec = json!({"pod": pod, "image": {"pullSecrets": [{"name": "registry"}]}});
        let (_, template) = built(spec);
        for (key, value) in pod.as_object().unwrap() {
            assert_eq!(template["spec"][key], *value, "{key}");
        }
        assert_eq!(
            template["spec"]["imagePullSecrets"],
            json!([{"name": "registry"}])
        );
    }
}
