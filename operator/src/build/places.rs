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
pub(super) const CONFIG_KEY: &str = "ingestor.json";
/// The database file in the containers.
const DATABASE: &str = "/data/meshcore.db";
/// What the names of the operator's own volumes begin with; `spec.pod.volumes` can't have such names.
const RESERVED_VOLUMES: &str = "meshcore-";
/// Where the operator mounts volumes; `spec.pod.volumeMounts` can't go there or below.
const RESERVED_PATHS: [&str; 3] = [DATA, CONFIGURATION, TMP];

/// The volume with the database.
pub(super) const DATA: &str = "/data";
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, resource};
    use super::*;

    fn in_pod(spec: Value) -> (Value, Value, Value) {
        let resource = resource(spec);
        (
            json_of(&volumes(&resource, "bay-config-1")),
            json_of(&ingestor_mounts(&resource)),
            json_of(&server_mounts(&resource)),
        )
    }

    #[test]
    fn both_containers_write_the_data_and_only_the_ingestor_sees_its_configuration() {
        let data = json!({"name": "meshcore-data", "mountPath": "/data"});
        let tmp = json!({"name": "meshcore-tmp", "mountPath": "/tmp"});
        let config = json!({"name": "meshcore-config", "mountPath": "/etc/meshcore/config", "readOnly": true});
        let (volumes, ingestor, server) = in_pod(json!({}));
        assert_eq!(
            volumes,
            json!([
                {"name": "meshcore-data", "persistentVolumeClaim": {"claimName": "bay-data"}},
                {"name": "meshcore-config", "configMap": {"name": "bay-config-1"}},
                {"name": "meshcore-tmp", "emptyDir": {"sizeLimit": "16Mi"}},
            ])
        );
        assert_eq!(ingestor, json!([data, config, tmp]));
        assert_eq!(server, json!([data, tmp]));
    }

    #[test]
    fn a_claim_that_exists_is_mounted_instead() {
        let (volumes, _, _) = in_pod(json!({"storage": {"existingClaim": "mine"}}));
        assert_eq!(
            volumes[0]["persistentVolumeClaim"],
            json!({"claimName": "mine"})
        );
    }

    /// One that is missing must not keep the pod from starting, and one that changes must not look like a change of all.
    #[test]
    fn each_secret_is_an_optional_volume_with_the_keys_that_are_used() {
        let source = |name: &str, user: &str| {
            json!({
                "name": name,
                "broker": "mqtts://b",
                "credentialsSecretRef": {"name": "brokers", "usernameKey": user},
                "tls": {"caSecretRef": {"name": "a.ca"}},
            })
        };
        let spec = json!({"mqttSources": [source("x", "x-user"), source("y", "y-user")]});
        let (volumes, ingestor, server) = in_pod(spec);
        let item = |key: &str| json!({"key": key, "path": key});
        let hashed = format!("meshcore-secret-{}", hash::hex("a.ca", 32));
        assert_eq!(
            volumes.as_array().unwrap()[3..],
            [
                json!({"name": hashed, "secret": {
                    "secretName": "a.ca", "optional": true, "items": [item("ca.crt")],
                }}),
                json!({"name": "meshcore-secret-brokers", "secret": {
                    "secretName": "brokers",
                    "optional": true,
                    "items": [item("password"), item("x-user"), item("y-user")],
                }}),
            ]
        );
        assert_eq!(
            ingestor.as_array().unwrap()[3..],
            [
                json!({"name": hashed, "mountPath": "/etc/meshcore/secrets/a.ca", "readOnly": true}),
                json!({"name": "meshcore-secret-brokers", "mountPath": "/etc/meshcore/secrets/brokers", "readOnly": true}),
            ]
        );
        assert!(!server.to_string().contains("secret"), "{server}");
    }

    #[test]
    fn the_resources_volumes_are_added_to_both_containers_but_not_in_place_of_ours() {
        let names = ["authorities", "meshcore-data", "meshcore-other"];
        let paths = [
            "/authorities",
            "/data",
            "/data/",
            "/etc/meshcore/config/x",
            "/tmp/x",
            "/database",
        ];
        let volumes = names.map(|name| json!({"name": name, "emptyDir": {}}));
        let mounts = paths.map(|path| json!({"name": "authorities", "mountPath": path}));
        let (volumes, ingestor, server) =
            in_pod(json!({"pod": {"volumes": volumes, "volumeMounts": mounts}}));
        let added = [
            json!({"name": "authorities", "mountPath": "/authorities"}),
            json!({"name": "authorities", "mountPath": "/database"}),
        ];
        assert_eq!(
            volumes.as_array().unwrap()[3..],
            [json!({"name": "authorities", "emptyDir": {}})]
        );
        assert_eq!(ingestor.as_array().unwrap()[3..], added);
        assert_eq!(server.as_array().unwrap()[2..], added);
    }

    /// What is left out here must have been refused before, or nobody would know.
    #[test]
    fn the_rules_refuse_what_is_left_out() {
        let refused = |pod: Value| {
            let violations = resource(json!({ "pod": pod })).validate();
            violations
                .iter()
                .any(|violation| violation.path.starts_with("spec.pod.volume"))
        };
        let volume = |name: &str| json!({"volumes": [{"name": name, "emptyDir": {}}]});
        assert!(refused(volume("meshcore-data")) && !refused(volume("data")));
        for path in RESERVED_PATHS {
            for below in ["", "/", "/x"] {
                let path = format!("{path}{below}");
                let mount = json!([{"name": "a", "mountPath": path}]);
                assert!(
                    refused(
                        json!({"volumes": [{"name": "a", "emptyDir": {}}], "volumeMounts": mount})
                    ),
                    "{path}"
                );
            }
        }
    }
}
