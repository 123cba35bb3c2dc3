//! The environment of the containers: what `meshcore_resource::programs` says, and what only a cluster can look up.

use k8s_openapi::api::core::v1::EnvVar;
use meshcore_resource::programs::Env;
use meshcore_resource::{EnvVar as Wish, MeshCoreDeployment};

use super::places;

pub(super) fn of_ingestor(resource: &MeshCoreDeployment) -> Vec<EnvVar> {
    let programs = resource.ingestor_env(&places::of_programs());
    merged(&resource.spec.ingestor.env, programs)
}

pub(super) fn of_server(resource: &MeshCoreDeployment) -> Vec<EnvVar> {
    let programs = resource.server_env(&places::of_programs());
    merged(&resource.spec.server.env, programs)
}

/// The resource's own variables in their order, which matters to `$(OTHER)` in a value, then those that are made.
fn merged(wishes: &[Wish], programs: Env) -> Vec<EnvVar> {
    let is_made = |name: &str| wishes.iter().all(|wish| wish.name != name);
    let made = programs.into_iter().filter(|(name, _)| is_made(name));
    let made = made.map(|(name, value)| EnvVar {
        name,
        value: Some(value),
        value_from: None,
    });
    wishes.iter().map(variable).chain(made).collect()
}

fn variable(wish: &Wish) -> EnvVar {
    EnvVar {
        name: wish.name.clone(),
        value: wish.value.clone(),
        value_from: wish.value_from.clone(),
    }
}
