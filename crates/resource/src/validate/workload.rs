//! Rules of what is run: programs, storage, shutdown, and what stands around them in a cluster.

use meshcore_config::log_level;

use super::checks::Checks;
use crate::programs::is_reserved_variable;
use crate::{
    EnvVar, HttpRoute, Image, IngestorSettings, Ingress, MeshCoreDeploymentSpec, NetworkPolicy,
    PodSettings, Retention, ServerSettings, Service, Storage,
};

/// As the ingestor has it: a century.
const MAX_DAYS: i64 = 36_500;
const MAX_QUANTITY: usize = 20;
const MAX_ENV: usize = 64;
const MAX_ENV_VALUE: usize = 4096;
const MAX_ANNOTATION: usize = 4096;
const MAX_LIST: usize = 32;

pub(super) fn check(spec: &MeshCoreDeploymentSpec, checks: &mut Checks) {
    let MeshCoreDeploymentSpec {
        image,
        mqtt_sources: _,
        channels: _,
        retention,
        ingestor,
        server,
        storage,
        shutdown,
        stopped: _,
        paused: _,
        rollout: _,
        service,
        ingress,
        http_route,
        network_policy,
        pod_disruption_budget: _,
        pod,
    } = spec;
    check_image(image, checks);
    check_retention(retention, checks);
    check_programs(ingestor, server, checks);
    check_storage(storage, checks);
    checks.accepted("spec.shutdown", shutdown.validate());
    check_service(service, checks);
    checks.that(
        "spec.httpRoute",
        ingress.is_none() || http_route.is_none(),
        || "cannot go with spec.ingress; remove one of them".to_owned(),
    );
    if let Some(ingress) = ingress {
        check_ingress(ingress, checks);
    }
    if let Some(route) = http_route {
        check_route(route, checks);
    }
    let NetworkPolicy {
        enabled: _,
        ingress_from,
        extra_egress,
    } = network_policy;
    checks.count(
        "spec.networkPolicy.ingressFrom",
        ingress_from.len(),
        0..=MAX_LIST,
    );
    checks.count(
        "spec.networkPolicy.extraEgress",
        extra_egress.len(),
        0..=MAX_LIST,
    );
    check_pod(pod, checks);
}

fn check_image(image: &Image, checks: &mut Checks) {
    let Image {
        registry,
        tag,
        digests,
        pull_policy: _,
        pull_secrets,
    } = image;
    for (path, text, max, marks, named) in [
        (
            "spec.image.registry",
            registry,
            255,
            "-_.:/",
            "-, _, ., : and /",
        ),
        ("spec.image.tag", tag, 128, "-_.", "-, _ and ."),
    ] {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
        checks.that(
            path,
            text.len() <= max && text.chars().all(is_allowed),
            || format!("must be at most {max} letters, digits, {named}"),
        );
    }
    for (path, digest) in [
        ("spec.image.digests.ingestor", &digests.ingestor),
        ("spec.image.digests.server", &digests.server),
    ] {
        checks.that(path, digest.is_empty() || is_sha256(digest), || {
            "must be sha256: and 64 hexadecimal digits".to_owned()
        });
    }
    checks.count("spec.image.pullSecrets", pull_secrets.len(), 0..=8);
    for (at, secret) in pull_secrets.iter().enumerate() {
        checks.dns_subdomain(&format!("spec.image.pullSecrets[{at}].name"), &secret.name);
    }
}

fn is_sha256(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    })
}

fn check_retention(retention: &Retention, checks: &mut Checks) {
    let Retention {
        packet_days,
        node_days,
        observer_days,
        metrics_days,
    } = *retention;
    for (key, days) in [
        ("packetDays", packet_days),
        ("nodeDays", node_days),
        ("observerDays", observer_days),
        ("metricsDays", metrics_days),
    ] {
        // What is not said is the ingestor's default, which is good.
        let Some(days) = days else { continue };
        checks.that(
            &format!("spec.retention.{key}"),
            (0..=MAX_DAYS).contains(&days),
            || format!("{days} is out of range; use 1 to {MAX_DAYS}, or 0 to keep for ever"),
        );
    }
}

fn check_programs(ingestor: &IngestorSettings, server: &ServerSettings, checks: &mut Checks) {
    checks.accepted("spec.ingestor.logLevel", log_level(&ingestor.log_level));
    checks.accepted("spec.server.logLevel", log_level(&server.log_level));
    for (path, level) in [
        ("spec.ingestor.logLevel", &ingestor.log_level),
        ("spec.server.logLevel", &server.log_level),
    ] {
        checks.that(path, level.len() <= 256, || {
            "is longer than 256 characters".to_owned()
        });
    }
    check_env("spec.ingestor.env", &ingestor.env, checks);
    check_env("spec.server.env", &server.env, checks);
    checks.range(
        "spec.server.maxConnections",
        server.max_connections,
        1..=100_000,
    );
    if let Some(key) = &server.api_key_secret_ref {
        checks.dns_subdomain("spec.server.apiKeySecretRef.name", &key.name);
        checks.secret_key("spec.server.apiKeySecretRef.key", key.key_or("key"));
    }
}

fn check_env(path: &str, env: &[EnvVar], checks: &mut Checks) {
    checks.count(path, env.len(), 0..=MAX_ENV);
    for (at, variable) in env.iter().enumerate() {
        let EnvVar {
            name,
            value,
            value_from,
        } = variable;
        let path = format!("{path}[{at}]");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = !name.is_empty()
            && name.len() <= 128
            && name.chars().all(is_allowed)
            && !name.starts_with(|c: char| c.is_ascii_digit());
        checks.that(&format!("{path}.name"), is_name, || {
            "must be the name of a variable: letters, digits and _".to_owned()
        });
        checks.that(&format!("{path}.name"), !is_reserved_variable(name), || {
            format!("{name} is made from other fields of the resource; change those")
        });
        let is_twin = env.iter().take(at).any(|other| other.name == *name);
        checks.that(&format!("{path}.name"), !is_twin, || {
            format!("{name} stands there twice; remove one")
        });
        checks.that(&path, value.is_none() || value_from.is_none(), || {
            "has both value and valueFrom; remove one of them".to_owned()
        });
        let value = value.as_deref().unwrap_or_default();
        let is_value = value.len() <= MAX_ENV_VALUE && !value.contains('\0');
        checks.that(&format!("{path}.value"), is_value, || {
            format!("must be at most {MAX_ENV_VALUE} characters")
        });
    }
}

fn check_storage(storage: &Storage, checks: &mut Checks) {
    let Storage {
        size,
        storage_class_name,
        access_mode,
        reclaim_policy,
        existing_claim,
    } = storage;
    if let Some(claim) = existing_claim {
        checks.dns_subdomain("spec.storage.existingClaim", claim);
        for (key, is_set) in [
            ("size", size.is_some()),
            ("storageClassName", storage_class_name.is_some()),
            ("accessMode", access_mode.is_some()),
            ("reclaimPolicy", reclaim_policy.is_some()),
        ] {
            checks.that(&format!("spec.storage.{key}"), !is_set, || {
                "cannot go with existingClaim, which stands alone; remove one of them".to_owned()
            });
        }
    } else if size.is_none() {
        checks.violated(
            "spec.storage",
            "has neither size nor existingClaim; write for example size: 10Gi",
        );
    }
    if let Some(size) = size {
        checks.that("spec.storage.size", is_size(size), || {
            "must be a quantity such as 10Gi or 500Mi".to_owned()
        });
    }
    if let Some(class) = storage_class_name {
        checks.dns_subdomain("spec.storage.storageClassName", class);
    }
}

/// A quantity of bytes above zero, as Kubernetes writes it.
fn is_size(text: &str) -> bool {
    const UNITS: [&str; 13] = [
        "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let end = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    text.len() <= MAX_QUANTITY
        && UNITS.contains(&unit)
        && !whole.is_empty()
        && is_digits(whole)
        && is_digits(fraction)
        && number.contains(|c: char| matches!(c, '1'..='9'))
}

fn check_service(service: &Service, checks: &mut Checks) {
    checks.range("spec.service.port", service.port, 1..=65_535);
    checks.map(
        "spec.service.annotations",
        &service.annotations,
        MAX_ANNOTATION,
    );
}

fn check_ingress(ingress: &Ingress, checks: &mut Checks) {
    let Ingress {
        class_name,
        host,
        tls_secret_name,
        annotations,
    } = ingress;
    // Ingress takes a wildcard for the first label.
    let named = host.strip_prefix("*.").unwrap_or(host);
    checks.dns_subdomain("spec.ingress.host", named);
    for (path, name) in [
        ("spec.ingress.className", class_name),
        ("spec.ingress.tlsSecretName", tls_secret_name),
    ] {
        if let Some(name) = name {
            checks.dns_subdomain(path, name);
        }
    }
    checks.map("spec.ingress.annotations", annotations, MAX_ANNOTATION);
}

fn check_route(route: &HttpRoute, checks: &mut Checks) {
    let HttpRoute {
        parent_refs,
        hostnames,
    } = route;
    checks.count("spec.httpRoute.parentRefs", parent_refs.len(), 1..=MAX_LIST);
    for (at, parent) in parent_refs.iter().enumerate() {
        let path = format!("spec.httpRoute.parentRefs[{at}]");
        checks.dns_subdomain(&format!("{path}.name"), &parent.name);
        if let Some(namespace) = &parent.namespace {
            checks.dns_label(&format!("{path}.namespace"), namespace);
        }
        if let Some(section) = &parent.section_name {
            checks.dns_subdomain(&format!("{path}.sectionName"), section);
        }
    }
    checks.count("spec.httpRoute.hostnames", hostnames.len(), 0..=16);
    for (at, host) in hostnames.iter().enumerate() {
        let plain = host.strip_prefix("*.").unwrap_or(host);
        checks.dns_subdomain(&format!("spec.httpRoute.hostnames[{at}]"), plain);
    }
}

fn check_pod(pod: &PodSettings, checks: &mut Checks) {
    let PodSettings {
        labels,
        annotations,
        node_selector,
        affinity: _,
        tolerations,
        topology_spread_constraints,
        priority_class_name,
        runtime_class_name,
        service_account_name,
        security_context: _,
        volumes,
        volume_mounts,
    } = pod;
    checks.map("spec.pod.labels", labels, 63);
    checks.map("spec.pod.annotations", annotations, MAX_ANNOTATION);
    checks.map("spec.pod.nodeSelector", node_selector, 63);
    for (path, count) in [
        ("spec.pod.tolerations", tolerations.len()),
        (
            "spec.pod.topologySpreadConstraints",
            topology_spread_constraints.len(),
        ),
        ("spec.pod.volumes", volumes.len()),
        ("spec.pod.volumeMounts", volume_mounts.len()),
    ] {
        checks.count(path, count, 0..=MAX_LIST);
    }
    for (path, name) in [
        ("spec.pod.priorityClassName", priority_class_name),
        ("spec.pod.runtimeClassName", runtime_class_name),
        ("spec.pod.serviceAccountName", service_account_name),
    ] {
        checks.optional_name(path, name);
    }
}
