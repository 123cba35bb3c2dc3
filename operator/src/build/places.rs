//! Where things are in the pod: volumes, and where each container finds them.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use meshcore_resource::MeshCoreDeployment;
use meshcore_resource::programs::Places;

use super::hash;
use super::metadata::name;
use crate::names::{self, INGESTOR_PORT, SERVER_PORT};

/// The key of the `ConfigMap` with the ingestor's file.
pub const CONFIG_KEY: &str = "ingestor.json";
/// The database file in the containers.
pub const DATABASE: &str = "/data/meshcore.db";
/// What the names of the operator's own volumes begin with; `spec.pod.volumes` can't have such names.
pub const RESERVED_VOLUMES: &str = "meshcore-";
/// Where the operator mounts volumes; `spec.pod.volumeMounts` can't go there or below.
pub const RESERVED_PATHS: [&str; 3] = [DATA, CONFIGURATION, TMP];

const DATA: &str = "/data";
const CONFIGURATION: &str = "/etc/meshcore";
const CONFIG: &str = "/etc/meshcore/config";
const SECRETS: &str = "/etc/meshcore/secrets";
const TMP: &str = "/tmp";

const DATA_VOLUME: &str = "meshcore-data";
const CONFIG_VOLUME: &str = "meshcore-config";
const TMP_VOLUME: &str = "meshcore-tmp";
const SECRET_VOLUME: &str = "meshcore-secret-";
/// The programs write nothing there, but libraries may; what outgrows it gets the pod evicted.
const TMP_SIZE: &str = "16Mi";
/// The longest name of a volume.
const MAX_NAME: usize = 63;

/// The folder of the secrets.
pub(super) fn secrets() -> PathBuf {
    SECRETS.into()
}

/// What the programs are told. They listen on all addresses of the pod, of both families.
pub(super) fn of_programs() -> Places {
    Places {
        db: DATABASE.into(),
        config: PathBuf::from(CONFIG).join(CONFIG_KEY),
        secrets: secrets(),
        ingestor_address: format!("[::]:{INGESTOR_PORT}"),
        server_address: format!("[::]:{SERVER_PORT}"),
    }
}

/// The volumes of the pod: ours, then those of the resource. One of the resource's with a name of ours is left out:
/// an API server refuses the second one, and with it the whole StatefulSet.
pub(super) fn volumes(resource: &MeshCoreDeployment, config_name: &str) -> Vec<Volume> {
    let mut volumes = vec![data(resource), config(config_name), tmp()];
    volumes.extend(mounted_secrets(resource).map(|secret| secret.volume()));
    let theirs: Vec<Volume> = resource.spec.pod.volumes.clone();
    volumes.extend(
        theirs
            .into_iter()
            .filter(|volume| !volume.name.starts_with(RESERVED_VOLUMES)),
    );
    volumes
}

/// What the ingestor sees.
pub(super) fn ingestor_mounts(resource: &MeshCoreDeployment) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount(DATA_VOLUME, DATA),
        read_only(CONFIG_VOLUME, CONFIG),
        mount(TMP_VOLUME, TMP),
    ];
    mounts.extend(mounted_secrets(resource).map(|secret| secret.mount()));
    mounts.extend(mounts_of_resource(resource));
    mounts
}

/// What the server sees: no secret, and the data for writing too, since readers of a WAL need its `-shm` file.
pub(super) fn server_mounts(resource: &MeshCoreDeployment) -> Vec<VolumeMount> {
    let mut mounts = vec![mount(DATA_VOLUME, DATA), mount(TMP_VOLUME, TMP)];
    mounts.extend(mounts_of_resource(resource));
    mounts
}

fn mounts_of_resource(resource: &MeshCoreDeployment) -> impl Iterator<Item = VolumeMount> {
    let theirs: Vec<VolumeMount> = resource.spec.pod.volume_mounts.clone();
    theirs
        .into_iter()
        .filter(|mount| !is_reserved_path(&mount.mount_path))
}

/// Whether a path is where the operator mounts volumes, or below.
fn is_reserved_path(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    RESERVED_PATHS.iter().any(|reserved| {
        let below = path.strip_prefix(reserved);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    })
}

fn data(resource: &MeshCoreDeployment) -> Volume {
    let existing = resource.spec.storage.existing_claim.clone();
    Volume {
        name: DATA_VOLUME.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: existing.unwrap_or_else(|| names::claim(name(resource))),
            read_only: None,
        }),
        ..Volume::default()
    }
}

fn config(config_name: &str) -> Volume {
    Volume {
        name: CONFIG_VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_name.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn tmp() -> Volume {
    Volume {
        name: TMP_VOLUME.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(TMP_SIZE.to_owned())),
            medium: None,
        }),
        ..Volume::default()
    }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount(volume, path)
    }
}

/// A Secret with the keys that are used of it.
///
/// Each has a volume of its own: the kubelet replaces all files of a volume when one of them changes, and the ingestor
/// would take that for a change of every source.
struct MountedSecret {
    name: String,
    keys: Vec<String>,
}

/// The Secrets in the order of their names, so that the order of the sources does not matter.
fn mounted_secrets(resource: &MeshCoreDeployment) -> impl Iterator<Item = MountedSecret> {
    let mut keys_by_secret = std::collections::BTreeMap::<_, std::collections::BTreeSet<_>>::new();
    for file in resource.spec.secret_files() {
        keys_by_secret
            .entry(file.secret)
            .or_default()
            .insert(file.key);
    }
    keys_by_secret
        .into_iter()
        .map(|(name, keys)| MountedSecret {
            name,
            keys: keys.into_iter().collect(),
        })
}

impl MountedSecret {
    /// Only the keys that are used, as files. Neither the Secret nor a key must be there: what is missing degrades the
    /// source that needs it, and comes into the volume when it is made.
    fn volume(&self) -> Volume {
        let item = |key: &String| KeyToPath {
            key: key.clone(),
            path: key.clone(),
            mode: None,
        };
        Volume {
            name: self.volume_name(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(self.name.clone()),
                items: Some(self.keys.iter().map(item).collect()),
                optional: Some(true),
                default_mode: None,
            }),
            ..Volume::default()
        }
    }

    fn mount(&self) -> VolumeMount {
        read_only(&self.volume_name(), &format!("{SECRETS}/{}", self.name))
    }

    /// Volumes have stricter names than Secrets: what does not fit is replaced by its hash.
    fn volume_name(&self) -> String {
        let fits = !self.name.contains('.') && SECRET_VOLUME.len() + self.name.len() <= MAX_NAME;
        if fits {
            return format!("{SECRET_VOLUME}{}", self.name);
        }
        format!("{SECRET_VOLUME}{}", hash::hex(&self.name, 32))
    }
}
