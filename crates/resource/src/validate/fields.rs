//! The rules between the fields of one spec, in the order of the fields.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVarSource, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Violations;
use crate::quantity::Amount;
use crate::rules;
use crate::{EnvVar, MeshCoreDeploymentSpec, MqttSource, PodSettings, ShutdownBudget, Storage};

pub(super) fn check(spec: &MeshCoreDeploymentSpec, violations: &mut Violations) {
    for (at, source) in spec.mqtt_sources.iter().enumerate() {
        check_source(&format!("spec.mqttSources[{at}]"), source, violations);
    }
    check_resources(
        "spec.ingestor.resources",
        spec.ingestor.resources.as_ref(),
        violations,
    );
    check_env("spec.ingestor.env", &spec.ingestor.env, violations);
    check_resources(
        "spec.server.resources",
        spec.server.resources.as_ref(),
        violations,
    );
    check_env("spec.server.env", &spec.server.env, violations);
    check_storage(&spec.storage, violations);
    check_shutdown(spec.shutdown, violations);
    check_annotations(
        "spec.service.annotations",
        &spec.service.annotations,
        violations,
    );
    if let Some(ingress) = &spec.ingress {
        check_annotations("spec.ingress.annotations", &ingress.annotations, violations);
    }
    let has_both = spec.ingress.is_some() && spec.http_route.is_some();
    violations.unless(!has_both, "spec", &rules::ONE_ROUTE);
    check_pod(&spec.pod, violations);
}

fn check_source(path: &str, source: &MqttSource, violations: &mut Violations) {
    let is_without_tls = rules::matches(rules::WITHOUT_TLS_PATTERN, &source.broker);
    let holds = source.tls.is_none() || !is_without_tls;
    violations.unless(holds, path, &rules::TLS_NEEDS_SCHEME);
}

fn check_resources(
    path: &str,
    resources: Option<&ResourceRequirements>,
    violations: &mut Violations,
) {
    let Some(resources) = resources else { return };
    let none = BTreeMap::new();
    let limits = resources.limits.as_ref().unwrap_or(&none);
    let requests = resources.requests.as_ref().unwrap_or(&none);
    let amount = |quantity: &Quantity| Amount::parse(&quantity.0);
    let are_quantities =
        |map: &BTreeMap<_, _>| map.values().all(|quantity| amount(quantity).is_some());
    violations.unless(are_quantities(limits), path, &rules::LIMITS);
    violations.unless(are_quantities(requests), path, &rules::REQUESTS);
    let is_within = |name: &String, request: &Quantity| {
        let limit = limits.get(name).and_then(amount);
        limit
            .zip(amount(request))
            .is_none_or(|(limit, request)| request <= limit)
    };
    let are_within = requests
        .iter()
        .all(|(name, request)| is_within(name, request));
    violations.unless(are_within, path, &rules::REQUESTS_WITHIN_LIMITS);
}

fn check_env(path: &str, env: &[EnvVar], violations: &mut Violations) {
    for (at, variable) in env.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let has_both = variable.value.is_some() && variable.value_from.is_some();
        violations.unless(!has_both, &path, &rules::VALUE_OR_FROM);
        if let Some(from) = &variable.value_from {
            let path = format!("{path}.valueFrom");
            violations.unless(sources(from) == 1, &path, &rules::ONE_VALUE_FROM);
        }
    }
}

fn sources(from: &EnvVarSource) -> usize {
    let EnvVarSource {
        config_map_key_ref,
        field_ref,
        file_key_ref,
        resource_field_ref,
        secret_key_ref,
    } = from;
    [
        config_map_key_ref.is_some(),
        field_ref.is_some(),
        file_key_ref.is_some(),
        resource_field_ref.is_some(),
        secret_key_ref.is_some(),
    ]
    .into_iter()
    .filter(|is_there| *is_there)
    .count()
}

fn check_storage(storage: &Storage, violations: &mut Violations) {
    let Storage {
        size,
        storage_class_name,
        access_mode,
        reclaim_policy,
        existing_claim,
    } = storage;
    let has_claim = existing_claim.is_some();
    let path = "spec.storage";
    violations.unless(size.is_some() || has_claim, path, &rules::SIZE_OR_CLAIM);
    for (is_beside, rule) in [
        (size.is_some(), &rules::CLAIM_WITHOUT_SIZE),
        (storage_class_name.is_some(), &rules::CLAIM_WITHOUT_CLASS),
        (access_mode.is_some(), &rules::CLAIM_WITHOUT_MODE),
        (reclaim_policy.is_some(), &rules::CLAIM_WITHOUT_POLICY),
    ] {
        violations.unless(!(has_claim && is_beside), path, rule);
    }
}

fn check_shutdown(budget: ShutdownBudget, violations: &mut Violations) {
    let sum = budget.termination_grace_period_seconds();
    let path = "spec.shutdown";
    violations.unless(
        sum <= ShutdownBudget::MAX_TOTAL_SECONDS,
        path,
        &rules::BUDGET_SUM,
    );
    let is_enough = budget.margin_seconds >= ShutdownBudget::MIN_MARGIN_SECONDS;
    violations.unless(is_enough, path, &rules::MARGIN);
}

fn check_annotations(
    path: &str,
    annotations: &BTreeMap<String, String>,
    violations: &mut Violations,
) {
    check_keys(path, annotations, violations);
    let is_ours = |key: &String| key.starts_with("meshcore.dev/");
    violations.unless(
        !annotations.keys().any(is_ours),
        path,
        &rules::ANNOTATIONS_NOT_OURS,
    );
}

fn check_keys(path: &str, map: &BTreeMap<String, String>, violations: &mut Violations) {
    let are_keys = map
        .keys()
        .all(|key| rules::matches(rules::KEY_PATTERN, key));
    violations.unless(are_keys, path, &rules::KEYS);
}

fn check_pod(pod: &PodSettings, violations: &mut Violations) {
    check_keys("spec.pod.labels", &pod.labels, violations);
    let is_ours =
        |key: &String| key.starts_with("app.kubernetes.io/") || key.starts_with("meshcore.dev/");
    let has_ours = pod.labels.keys().any(is_ours);
    violations.unless(!has_ours, "spec.pod.labels", &rules::LABELS_NOT_OURS);
    check_annotations("spec.pod.annotations", &pod.annotations, violations);
    check_keys("spec.pod.nodeSelector", &pod.node_selector, violations);
    let mut mounts = pod.volume_mounts.iter();
    let have_volumes =
        mounts.all(|mount| pod.volumes.iter().any(|volume| volume.name == mount.name));
    violations.unless(have_volumes, "spec.pod", &rules::MOUNTS_HAVE_VOLUMES);
}
