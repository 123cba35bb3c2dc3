//! Namespaces of Linux, put together from a pod template.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec, Probe, Volume};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshcore_operator::Bundle;
use meshcore_testkit::{Program, programs_beside};
use tempfile::TempDir;

/// The folder of the programs in the container.
const PROGRAMS: &str = "/program";

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
    pub(crate) fn start(&self, container: &Container, first: Option<&Running>) -> Running {
        let own = self.folder.path().join(&container.name);
        fs::create_dir_all(own.join("root")).unwrap();
        let termination_log = own.join("termination-log");
        fs::write(&termination_log, "").unwrap();
        fs::set_permissions(&termination_log, fs::Permissions::from_mode(0o666)).unwrap();
        let script = own.join("start.sh");
        fs::write(&script, self.script(container, &own, first.is_none())).unwrap();
        let mut command = if let Some(first) = first {
            let mut command = Command::new("nsenter");
            command.args([
                "--net",
                "--target",
                &first.program.id().to_string(),
                "unshare",
            ]);
            command
        } else {
            let mut command = Command::new("unshare");
            command.arg("--net");
            command
        };
        command.args(["--mount", "sh", "-e"]).arg(&script);
        let log = own.join("log");
        let program = Program::start_command::<&str, &str>(&mut command, &[], &log).unwrap();
        Running {
            program,
            termination_log,
        }
    }

    /// Every line is for one thing that the template says.
    fn script(&self, container: &Container, own: &Path, is_first: bool) -> String {
        let root = own.join("root").display().to_string();
        let programs = programs_beside(env!("CARGO_BIN_EXE_meshcore-operator")).display();
        let mut script = format!(
            "mount -t tmpfs root {root}\n\
             for host in bin lib lib64 sbin usr; do\n\
               if [ -L /$host ]; then cp -P /$host {root}/; continue; fi\n\
               mkdir {root}/$host && mount --bind -o ro /$host {root}/$host\n\
             done\n\
             mkdir {root}{PROGRAMS} {root}/dev\n\
             mount --bind -o ro {programs} {root}{PROGRAMS}\n\
             touch {root}{log}\n\
             mount --bind {own}/termination-log {root}{log}\n",
            log = container.termination_message_path.as_ref().unwrap(),
            own = own.display(),
        );
        if is_first {
            script += "ip link set lo up\n";
        }
        for mount in container.volume_mounts.iter().flatten() {
            let (volume, path) = (self.volumes[&mount.name].display(), &mount.mount_path);
            let options = if mount.read_only == Some(true) {
                "-o ro"
            } else {
                ""
            };
            writeln!(
                script,
                "mkdir -p {root}{path}\nmount --bind {options} {volume} {root}{path}"
            )
            .unwrap();
        }
        let security = container.security_context.as_ref().unwrap();
        if security.read_only_root_filesystem == Some(true) {
            writeln!(script, "mount -o remount,ro {root}").unwrap();
        }
        writeln!(
            script,
            "exec chroot {root} {} {} {}",
            identity(&self.pod, container),
            env(container),
            binary(container)
        )
        .unwrap();
        script
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

fn identity(pod: &PodSpec, container: &Container) -> String {
    let context = pod.security_context.as_ref().unwrap();
    let (user, group) = (context.run_as_user.unwrap(), context.run_as_group.unwrap());
    let capabilities = container
        .security_context
        .as_ref()
        .unwrap()
        .capabilities
        .as_ref()
        .unwrap();
    assert_eq!(capabilities.drop, Some(vec!["ALL".to_owned()]));
    format!(
        "setpriv --reuid {user} --regid {group} --groups {} --bounding-set -all --inh-caps -all --no-new-privs",
        context.fs_group.unwrap()
    )
}

/// The environment of the container and nothing of ours.
fn env(container: &Container) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let env = container.env.iter().flatten();
    let pairs = env.map(|env| {
        quoted(&format!(
            "{}={}",
            env.name,
            env.value.clone().unwrap_or_default()
        ))
    });
    format!("env -i {}", pairs.collect::<Vec<_>>().join(" "))
}

fn binary(container: &Container) -> String {
    format!("{PROGRAMS}/meshcore-{}", container.name)
}

/// A container that runs; it is killed with this value.
pub(crate) struct Running {
    program: Program,
    termination_log: PathBuf,
}

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
            let curl = Command::new("nsenter")
                .args(["--net", "--target", &self.program.id().to_string()])
                .args(["curl", "--silent", "--fail", "--max-time", &timeout])
                .arg(format!("http://{host}:{port}{path}"))
                .output();
            curl.unwrap().status.success()
        })
    }

    pub(crate) fn log(&self) -> String {
        self.program.log()
    }

    pub(crate) fn termination_log(&self) -> String {
        fs::read_to_string(&self.termination_log).unwrap()
    }

    /// Sends SIGTERM and gives the exit code.
    pub(crate) fn stop(&mut self, limit: Duration) -> Option<i32> {
        self.program.terminate().unwrap();
        self.program.wait(limit).unwrap().code()
    }
}
