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
