//! Volumes that are disks: each claim gets a file system of its own of the size that it asks for, so that it can be
//! full, and grows when the claim grows.
//!
//! What a CSI driver and its provisioner and resizer do together, done with less: local volumes, which
//! the kubelet mounts and gives to the pod's group, on XFS in files. (Not on ext4: it lets only those with
//! `CAP_SYS_RESOURCE` grow it while it is in use.)

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::node::NODE;
use crate::disk::{Mount, run, sparse_file, text};

/// The name by which claims find us.
const PROVISIONER: &str = "disks.tests.meshcore.dev";
/// The default class, which grows, and one that doesn't.
const CLASSES: &str = "\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}
provisioner: disks.tests.meshcore.dev
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fixed}
provisioner: disks.tests.meshcore.dev
volumeBindingMode: WaitForFirstConsumer
";
/// XFS has no less.
const LEAST: u64 = 300 << 20;
/// How often claims are looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// The disks; they go with this value.
#[derive(Debug)]
pub struct Disks {
    made: Arc<Mutex<BTreeMap<String, Disk>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Disk {
    image: PathBuf,
    mount: Mount,
    /// What the claim says that it has.
    capacity: u64,
}

impl Disks {
    /// Installs the classes and serves claims from a thread of its own.
    pub(super) fn start(access: Access, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir(&folder)?;
        let made: Arc<Mutex<_>> = Arc::default();
        let stop = CancellationToken::new();
        let worker = Worker {
            access,
            folder,
            disks: Arc::clone(&made),
        };
        let token = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let work = async {
                let classes = worker.access.apply_yaml(CLASSES).await;
                drop(ready.send(classes.map(drop)));
                worker.work().await;
            };
            runtime.block_on(token.run_until_cancelled(work));
        });
        is_ready.recv()??;
        Ok(Self {
            made,
            stop,
            thread: Some(thread),
        })
    }

    /// Where the disk of a claim is mounted on the node.
    ///
    /// # Errors
    /// When it has none yet.
    pub fn path(&self, namespace: &str, claim: &str) -> Result<PathBuf> {
        let disks = lock(&self.made);
        let disk = disks.values().find(|disk| {
            let name = disk.image.file_stem().and_then(|name| name.to_str());
            name == Some(&format!("{namespace}.{claim}"))
        });
        let disk = disk.with_context(|| format!("{namespace}/{claim} has no disk"))?;
        Ok(disk.mount.path().to_owned())
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Worker {
    access: Access,
    folder: PathBuf,
    disks: Arc<Mutex<BTreeMap<String, Disk>>>,
}

impl Worker {
    async fn work(&self) {
        let mut last = String::new();
        loop {
            if let Err(error) = self.look().await {
                // Also while the API server is away; it is tried again.
                let error = format!("{error:#}");
                if error != last {
                    crate::announce(&format!("volumes: {error}"));
                    last = error;
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn look(&self) -> Result<()> {
        let client = self.access.client().await?;
        loop {
            let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
            for claim in claims.list(&ListParams::default()).await? {
                self.serve(&client, &claim)
                    .await
                    .with_context(|| claim.name_any())?;
            }
            self.remove_released(&client).await?;
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn serve(&self, client: &Client, claim: &PersistentVolumeClaim) -> Result<()> {
        let annotations = claim.annotations();
        let is_ours = annotations
            .get("volume.kubernetes.io/storage-provisioner")
            .is_some_and(|name| name == PROVISIONER);
        let has_node = annotations.contains_key("volume.kubernetes.io/selected-node");
        let volume = format!("pvc-{}", claim.uid().context("a UID")?);
        let has_disk = lock(&self.disks).contains_key(&volume);
        if !is_ours || claim.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        if !has_disk && has_node {
            return self.provision(client, claim, &volume).await;
        }
        if has_disk {
            return self.grow(client, claim, &volume).await;
        }
        Ok(())
    }

    async fn provision(
        &self,
        client: &Client,
        claim: &PersistentVolumeClaim,
        volume: &str,
    ) -> Result<()> {
        let namespace = claim.namespace().context("a namespace")?;
        let spec = claim.spec.as_ref().context("a spec")?;
        let size = requested(claim)?;
        let capacity = bytes(&size)?;
        let image = self
            .folder
            .join(format!("{namespace}.{}.img", claim.name_any()));
        sparse_file(&image, capacity.max(LEAST).div_ceil(1 << 20))?;
        run("mkfs.xfs", &["-q", text(&image)?])?;
        let mount = Mount::image(&image, &self.folder.join(volume))?;
        let object = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": volume, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
            "spec": {
                "capacity": {"storage": size},
                "accessModes": spec.access_modes,
                "storageClassName": spec.storage_class_name,
                "persistentVolumeReclaimPolicy": "Delete",
                "local": {"path": mount.path()},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace,
                             "name": claim.name_any(), "uid": claim.uid()},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}]}},
            },
        });
        let disk = Disk {
            image,
            mount,
            capacity,
        };
        lock(&self.disks).insert(volume.to_owned(), disk);
        let volumes: Api<PersistentVolume> = Api::all(client.clone());
        let object: PersistentVolume = serde_json::from_value(object)?;
        volumes
            .create(&kube::api::PostParams::default(), &object)
            .await?;
        Ok(())
    }

    /// Grows the disk of a claim that asks for more, as a resizer does: first the volume, then what the claim says
    /// that it has.
    async fn grow(
        &self,
        client: &Client,
        claim: &PersistentVolumeClaim,
        volume: &str,
    ) -> Result<()> {
        let size = requested(claim)?;
        let wanted = bytes(&size)?;
        if let Some(disk) = lock(&self.disks).get(volume) {
            if disk.capacity >= wanted {
                return Ok(());
            }
            disk.grow(wanted.max(LEAST))?;
        }
        let capacity = json!({"storage": size});
        let volumes: Api<PersistentVolume> = Api::all(client.clone());
        let patch = Patch::Merge(json!({"spec": {"capacity": capacity}}));
        volumes
            .patch(volume, &PatchParams::default(), &patch)
            .await?;
        let namespace = claim.namespace().context("a namespace")?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        let patch = Patch::Merge(json!({"status": {"capacity": capacity}}));
        claims
            .patch_status(&claim.name_any(), &PatchParams::default(), &patch)
            .await?;
        if let Some(disk) = lock(&self.disks).get_mut(volume) {
            disk.capacity = wanted;
        }
        Ok(())
    }

    async fn remove_released(&self, client: &Client) -> Result<()> {
        let volumes: Api<PersistentVolume> = Api::all(client.clone());
        for volume in volumes.list(&ListParams::default()).await? {
            let phase = volume
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            if phase == Some("Released") {
                let name = volume.name_any();
                volumes.delete(&name, &DeleteParams::default()).await?;
                let disk = lock(&self.disks).remove(&name);
                if let Some(disk) = disk {
                    drop(disk.mount);
                    std::fs::remove_file(&disk.image).ok();
                }
            }
        }
        Ok(())
    }
}

impl Disk {
    /// Grows the file, the loop device and the file system, which stays in use.
    fn grow(&self, bytes: u64) -> Result<()> {
        let file = std::fs::File::options().write(true).open(&self.image)?;
        file.set_len(bytes)?;
        let found = std::process::Command::new("findmnt")
            .args(["--noheadings", "--output=SOURCE"])
            .arg(self.mount.path())
            .output()?;
        let device = String::from_utf8(found.stdout)?;
        run("losetup", &["--set-capacity", device.trim()])?;
        run("xfs_growfs", &[text(self.mount.path())?])?;
        Ok(())
    }
}

fn requested(claim: &PersistentVolumeClaim) -> Result<String> {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let Quantity(size) = requests
        .and_then(|requests| requests.get("storage"))
        .context("a size")?;
    Ok(size.clone())
}

fn bytes(size: &str) -> Result<u64> {
    let digits = size.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = match &size[digits.len()..] {
        "" => 1,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        other => anyhow::bail!("a size in {other}; Mi and Gi are known here"),
    };
    Ok(digits.parse::<u64>()? * unit)
}

fn lock(disks: &Mutex<BTreeMap<String, Disk>>) -> MutexGuard<'_, BTreeMap<String, Disk>> {
    disks.lock().unwrap_or_else(PoisonError::into_inner)
}
