//! The containers of a pod, as its template tells a kubelet.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container as PodContainer, PodSecurityContext, PodSpec, Probe, Volume,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshcore_operator::Bundle;
use meshcore_testkit::container::{Bind, Container, ContainerSpec, PROGRAMS, Root};
use meshcore_testkit::programs_beside;
use tempfile::TempDir;

/// The volumes of a pod as folders. They go with this value.
pub(crate) struct Sandbox {
    folder: TempDir,
    pod: PodSpec,
    volumes: BTreeMap<String, PathBuf>,
}

impl Sandbox {
    /// Makes the volumes. Secrets are empty, as optional ones are that don't exist.
    pub(crate) fn new(bundle: &Bundle) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The user of the containers has to get through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let template = &bundle.stateful_set.spec.as_ref().unwrap().template;
        let pod = template.spec.clone().unwrap();
        let volumes = pod.volumes.iter().flatten().map(|volume| {
            let path = folder.path().join("volumes").join(&volume.name);
            fs::create_dir_all(&path).unwrap();
            fill(
                &path,
                volume,
                bundle,
                pod.security_context.as_ref().unwrap(),
            );
            (volume.name.clone(), path)
        });
        let volumes = volumes.collect();
        Self {
            folder,
            pod,
            volumes,
        }
    }

    pub(crate) fn pod(&self) -> &PodSpec {
        &self.pod
    }

    /// The volume with the database.
    pub(crate) fn data(&self) -> &Path {
        &self.volumes["meshcore-data"]
    }

    /// Starts a container: the first one in a network of its own, the next one in that of the first.
    pub(crate) fn start(&self, container: &PodContainer, first: Option<&Running>) -> Running {
        let network = first.map(|first| &first.0);
        let container = Container::start(self.spec(container), self.folder.path(), network);
        Running(container.unwrap())
    }

    /// Every line is for one thing that the template says.
    fn spec(&self, container: &PodContainer) -> ContainerSpec {
        let pod = self.pod.security_context.as_ref().unwrap();
        let own = container.security_context.as_ref().unwrap();
        let capabilities = own.capabilities.as_ref().unwrap();
        assert_eq!(capabilities.drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(own.allow_privilege_escalation, Some(false));
        let id = |id: Option<i64>| u32::try_from(id.unwrap()).unwrap();
        let programs = programs_beside(env!("CARGO_BIN_EXE_meshcore-operator"));
        ContainerSpec {
            name: container.name.clone(),
            root: Root::Host {
                programs: programs.to_owned(),
            },
            command: vec![format!("{PROGRAMS}/meshcore-{}", container.name)],
            env: env(container),
            mounts: self.binds(container),
            user: id(pod.run_as_user),
            group: id(pod.run_as_group),
            more_group: id(pod.fs_group),
            read_only: own.read_only_root_filesystem == Some(true),
            termination_log: container.termination_message_path.clone(),
        }
    }

    fn binds(&self, container: &PodContainer) -> Vec<Bind> {
        let mounts = container.volume_mounts.iter().flatten();
        mounts
            .map(|mount| Bind {
                source: self.volumes[&mount.name].clone(),
                target: mount.mount_path.clone(),
                read_only: mount.read_only == Some(true),
            })
            .collect()
    }
}

/// What the kubelet puts into a volume, and whom it gives it to.
fn fill(path: &Path, volume: &Volume, bundle: &Bundle, context: &PodSecurityContext) {
    if volume.config_map.is_some() {
        for (key, text) in bundle.config_map.data.iter().flatten() {
            fs::write(path.join(key), text).unwrap();
        }
    }
    let group = context.fs_group.map(|group| u32::try_from(group).unwrap());
    chown(path, Some(0), group).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o2775)).unwrap();
}

/// The environment of the container and nothing of ours.
fn env(container: &PodContainer) -> Vec<(String, String)> {
    let env = container.env.iter().flatten();
    env.map(|env| (env.name.clone(), env.value.clone().unwrap_or_default()))
        .collect()
}

/// A container that runs; it is killed with this value.
pub(crate) struct Running(Container);

impl Running {
    /// Whether a probe succeeds, over both families: a cluster has one of them, or both.
    pub(crate) fn answers(&self, probe: &Probe) -> bool {
        let get = probe.http_get.as_ref().unwrap();
        let IntOrString::Int(port) = get.port else {
            panic!("{get:?}")
        };
        let path = get.path.as_ref().unwrap();
        let timeout = probe.timeout_seconds.unwrap().to_string();
        ["127.0.0.1", "[::1]"].iter().all(|host| {
            let url = format!("http://{host}:{port}{path}");
            let curl = ["curl", "--silent", "--fail", "--max-time", &timeout, &url];
            self.0.in_its_network(&curl).unwrap().status.success()
        })
    }

    pub(crate) fn log(&self) -> String {
        self.0.log()
    }

    pub(crate) fn capabilities(&self) -> String {
        self.0.capabilities().unwrap()
    }

    pub(crate) fn termination_log(&self) -> String {
        self.0.termination_log().unwrap()
    }

    /// Sends SIGTERM and gives the exit code.
    pub(crate) fn stop(&mut self, limit: Duration) -> Option<i32> {
        self.0.stop(limit).unwrap()
    }
}
