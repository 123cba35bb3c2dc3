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
