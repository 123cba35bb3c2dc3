//! The fields that there are, by the path of their parent, straight from the types.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meshcore_config::field_names;

use crate::{
    Channels, CredentialsRef, Digests, EnvVar, HttpRoute, Image, IngestorSettings, Ingress,
    LocalRef, MeshCoreDeployment, MeshCoreDeploymentSpec, MqttSource, NetworkPolicy, ParentRef,
    PodDisruptionBudget, PodSettings, Retention, Rollout, SecretKeyRef, SecretRef, ServerSettings,
    Service, ShutdownBudget, SourceTls, Storage,
};

/// The fields under `parent`, such as `spec.mqttSources[0].tls`; none where anything may stand.
pub(super) fn of(parent: &str) -> &'static [&'static str] {
    match without_indices(parent).as_str() {
        "" => field_names::<MeshCoreDeployment>(),
        "metadata" => field_names::<ObjectMeta>(),
        "spec" => field_names::<MeshCoreDeploymentSpec>(),
        "spec.image" => field_names::<Image>(),
        "spec.image.digests" => field_names::<Digests>(),
        "spec.image.pullSecrets" => field_names::<LocalRef>(),
        "spec.mqttSources" => field_names::<MqttSource>(),
        "spec.mqttSources.credentialsSecretRef" => field_names::<CredentialsRef>(),
        "spec.mqttSources.tls" => field_names::<SourceTls>(),
        "spec.mqttSources.tls.caSecretRef" | "spec.server.apiKeySecretRef" => {
            field_names::<SecretKeyRef>()
        }
        "spec.mqttSources.tls.clientCertSecretRef" | "spec.channels.keysSecretRef" => {
            field_names::<SecretRef>()
        }
        "spec.channels" => field_names::<Channels>(),
        "spec.retention" => field_names::<Retention>(),
        "spec.ingestor" => field_names::<IngestorSettings>(),
        "spec.server" => field_names::<ServerSettings>(),
        "spec.ingestor.env" | "spec.server.env" => field_names::<EnvVar>(),
        "spec.storage" => field_names::<Storage>(),
        "spec.shutdown" => field_names::<ShutdownBudget>(),
        "spec.rollout" => field_names::<Rollout>(),
        "spec.service" => field_names::<Service>(),
        "spec.ingress" => field_names::<Ingress>(),
        "spec.httpRoute" => field_names::<HttpRoute>(),
        "spec.httpRoute.parentRefs" => field_names::<ParentRef>(),
        "spec.networkPolicy" => field_names::<NetworkPolicy>(),
        "spec.podDisruptionBudget" => field_names::<PodDisruptionBudget>(),
        "spec.pod" => field_names::<PodSettings>(),
        _ => &[],
    }
}

fn without_indices(path: &str) -> String {
    let mut parts = path.split(['[', ']']);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    // Every second part is an index.
    for part in parts.skip(1).step_by(2) {
        plain.push_str(part);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn fields_of_list_items_are_known() {
        assert!(of("spec.mqttSources[7]").contains(&"iataFilter"));
        assert!(of("spec.mqttSources[7].tls").contains(&"serverName"));
        assert!(of("spec").contains(&"mqttSources"));
        assert!(of("spec.pod.affinity").is_empty());
    }
}
