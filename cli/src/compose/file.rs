//! The compose file: what is in it, in the order in which people read it.

use std::collections::BTreeMap;

use meshcore_resource::MeshCoreDeployment;
use serde::Serialize;

use super::service::Service;

/// The whole file.
#[derive(Debug, Serialize)]
pub(super) struct ComposeFile {
    /// Of the project, and so of the volume.
    name: String,
    services: Services,
    volumes: BTreeMap<&'static str, Empty>,
}

#[derive(Debug, Serialize)]
struct Services {
    ingestor: Service,
    server: Service,
}

/// A volume as docker makes it.
#[derive(Debug, Serialize)]
struct Empty {}

impl ComposeFile {
    /// `secrets` is the folder of the secrets, as seen from the file.
    pub(super) fn new(resource: &MeshCoreDeployment, secrets: &str) -> Self {
        Self {
            name: resource.name().to_owned(),
            services: Services {
                ingestor: Service::ingestor(resource, secrets),
                server: Service::server(resource),
            },
            volumes: BTreeMap::from([(super::service::VOLUME, Empty {})]),
        }
    }

    pub(super) fn to_yaml(&self) -> anyhow::Result<String> {
        Ok(serde_yaml::to_string(self)?)
    }
}
