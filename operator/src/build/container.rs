//! The two containers.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, Lifecycle, LifecycleHandler, ResourceRequirements,
    SleepAction, VolumeMount,
};
use meshcore_resource::{MeshCoreDeployment, ShutdownBudget};

use super::probes::Probes;
use super::{environment, image, places, probes, resources, security};
use crate::names::{INGESTOR, INGESTOR_PORT, SERVER, SERVER_PORT};
use crate::settings::Settings;

/// The ingestor, as a native sidecar: it starts before the server and migrates, and it is stopped when the server has
/// ended. It has no preStop hook: a sidecar's runs at once when the pod ends, not in its turn.
pub(super) fn ingestor(resource: &MeshCoreDeployment, settings: &Settings) -> Container {
    let spec = &resource.spec;
    let parts = Parts {
        name: INGESTOR,
        digest: &spec.image.digests.ingestor,
        port: ("metrics", INGESTOR_PORT),
        env: environment::of_ingestor(resource),
        mounts: places::ingestor_mounts(resource),
        resources: resources::of_ingestor(&spec.ingestor),
        probes: probes::of_ingestor(),
    };
    Container {
        restart_policy: Some("Always".to_owned()),
        ..container(resource, settings, parts)
    }
}

/// The server, as the main container: the pod is stopped when it is.
pub(super) fn server(resource: &MeshCoreDeployment, settings: &Settings) -> Container {
    let spec = &resource.spec;
    let parts = Parts {
        name: SERVER,
        digest: &spec.image.digests.server,
        port: ("http", SERVER_PORT),
        env: environment::of_server(resource),
        mounts: places::server_mounts(resource),
        resources: resources::of_server(&spec.server),
        probes: probes::of_server(),
    };
    Container {
        lifecycle: pre_stop(&spec.shutdown),
        ..container(resource, settings, parts)
    }
}

/// What tells the containers apart.
struct Parts<'a> {
    name: &'static str,
    digest: &'a str,
    port: (&'static str, i32),
    env: Vec<EnvVar>,
    mounts: Vec<VolumeMount>,
    resources: ResourceRequirements,
    probes: Probes,
}

fn container(resource: &MeshCoreDeployment, settings: &Settings, parts: Parts<'_>) -> Container {
    let Parts {
        name,
        digest,
        port,
        env,
        mounts,
        resources,
        probes,
    } = parts;
    let wanted = &resource.spec.image;
    Container {
        name: name.to_owned(),
        image: Some(image::reference(wanted, name, digest, settings)),
        image_pull_policy: Some(image::pull_policy(wanted)),
        ports: Some(vec![ContainerPort {
            name: Some(port.0.to_owned()),
            container_port: port.1,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        env: Some(env),
        volume_mounts: Some(mounts),
        resources: Some(resources),
        startup_probe: Some(probes.startup),
        readiness_probe: Some(probes.readiness),
        liveness_probe: Some(probes.liveness),
        security_context: Some(security::of_container()),
        // The report of the shutdown, and nothing else: logs would hide that there is none.
        termination_message_path: Some("/dev/termination-log".to_owned()),
        termination_message_policy: Some("File".to_owned()),
        ..Container::default()
    }
}

/// The hook that lets endpoints drain while the server still serves; 0 seconds means none.
fn pre_stop(budget: &ShutdownBudget) -> Option<Lifecycle> {
    let seconds = i64::from(budget.pre_stop_seconds);
    (seconds > 0).then(|| Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction { seconds }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, resource, settings};
    use super::*;

    fn get(path: &str, port: i32) -> Value {
        json!({"path": path, "port": port})
    }

    /// The kubelet keeps a container with `restartPolicy: Always` among the init containers running beside the others,
    /// starts it before them, and ends it after them.
    #[test]
    fn the_ingestor_is_a_sidecar_that_starts_first_and_ends_last() {
        let resource = resource(json!({}));
        assert_eq!(
            json_of(&ingestor(&resource, &settings())),
            json!({
                "name": "ingestor",
                "image": "registry/mesh/meshcore-ingestor:0.1.0",
                "imagePullPolicy": "IfNotPresent",
                "restartPolicy": "Always",
                "ports": [{"name": "metrics", "containerPort": 8081, "protocol": "TCP"}],
                "env": json_of(&environment::of_ingestor(&resource)),
                "volumeMounts": json_of(&places::ingestor_mounts(&resource)),
                "resources": json_of(&resources::of_ingestor(&resource.spec.ingestor)),
                "startupProbe": {
                    "httpGet": get("/health/startup", 8081),
                    "periodSeconds": 2, "failureThreshold": 1800, "timeoutSeconds": 2,
                },
                "readinessProbe": {
                    "httpGet": get("/health/ready", 8081),
                    "periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 5,
                },
                "livenessProbe": {
                    "httpGet": get("/health/live", 8081),
                    "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5,
                },
                "securityContext": json_of(&security::of_container()),
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            })
        );
    }

    #[test]
    fn the_server_still_serves_while_endpoints_drain() {
        let resource = resource(json!({"image": {"pullPolicy": "Always"}}));
        assert_eq!(
            json_of(&server(&resource, &settings())),
            json!({
                "name": "server",
                "image": "registry/mesh/meshcore-server:0.1.0",
                "imagePullPolicy": "Always",
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "env": json_of(&environment::of_server(&resource)),
                "volumeMounts": json_of(&places::server_mounts(&resource)),
                "resources": json_of(&resources::of_server(&resource.spec.server)),
                "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                "startupProbe": {
                    "httpGet": get("/health/live", 8080),
                    "periodSeconds": 1, "failureThreshold": 120, "timeoutSeconds": 1,
                },
                "readinessProbe": {
                    "httpGet": get("/health/ready", 8080),
                    "periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 5,
                },
                "livenessProbe": {
                    "httpGet": get("/health/live", 8080),
                    "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5,
                },
                "securityContext": json_of(&security::of_container()),
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            })
        );
    }

    #[test]
    fn there_is_no_hook_where_nothing_is_to_be_waited_for() {
        let resource = resource(json!({"shutdown": {"preStopSeconds": 0}}));
        assert_eq!(server(&resource, &settings()).lifecycle, None);
    }
}
