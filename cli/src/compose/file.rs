//! The compose file: what is in it, in the order in which people read it.

use meshcore_resource::MeshCoreDeployment;
use serde::Serialize;

use super::service::Service;

/// The whole file.
#[derive(Debug, Serialize)]
pub(super) struct ComposeFile {
    /// Of the project, and so of the volume.
    name: String,
    services: Services,
    volumes: Volumes,
}

#[derive(Debug, Serialize)]
struct Services {
    ingestor: Service,
    server: Service,
}

/// The one volume, as docker makes it without a word more.
#[derive(Debug, Serialize)]
struct Volumes {
    data: Volume,
}

#[derive(Debug, Serialize)]
struct Volume {}

impl ComposeFile {
    /// `secrets` is the folder of the secrets, as seen from the file.
    pub(super) fn new(resource: &MeshCoreDeployment, secrets: &str) -> Self {
        Self {
            name: resource.name().to_owned(),
            services: Services {
                ingestor: Service::ingestor(resource, secrets),
                server: Service::server(resource),
            },
            volumes: Volumes { data: Volume {} },
        }
    }

    pub(super) fn to_yaml(&self) -> anyhow::Result<String> {
        Ok(serde_yaml::to_string(self)?)
    }
}
