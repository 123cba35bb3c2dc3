//! A whole Kubernetes on this machine: a control plane and a node with a kubelet, containers, volumes, Services and
//! names, in namespaces of its own.

use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;

use super::component::Component;
use super::control_plane::{ControlPlane, apart};
use super::disks::Disks;
use super::node::{DNS_ROLE, NODE, NODE_ADDRESS, NodeLayout};
use super::programs::{Programs, Version, node};
use super::wait_for;
use crate::disk::run;

/// The folder that `scripts/apart.sh` gives to what it runs.
const FOLDER: &str = "MESHCORE_APART";

/// A control plane with a node. It ends with the process that called [`Cluster::move_apart`].
pub struct Cluster {
    // It speaks to the API server, so it ends first.
    disks: Disks,
    plane: ControlPlane,
    folder: PathBuf,
}

impl Cluster {
    /// Replaces this process by itself in namespaces of its own, if it isn't there yet; the first thing in `main`.
    /// Nothing that is started there outlives it.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn move_apart() -> Result<()> {
        if std::env::var_os(FOLDER).is_some() {
            return Ok(());
        }
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/apart.sh");
        let error = Command::new(script)
            .arg(std::env::current_exe()?)
            .args(arguments)
            .exec();
        Err(error).with_context(|| format!("start {script}"))
    }

    /// Starts everything, with these images of `scripts/images.sh`; `None` where there is no Go to build it with.
    ///
    /// # Errors
    /// When it does not start.
    ///
    /// # Panics
    /// When Go is missing and `CI` is `true`.
    pub fn start(images: &[&str]) -> Result<Option<Self>> {
        let folder = std::env::var_os(FOLDER).context("move_apart comes first")?;
        let folder = PathBuf::from(folder);
        let (Some(programs), Some(node)) = (Programs::of(Version::chosen())?, node()?) else {
            return Ok(None);
        };
        let archives = archives(&[&["pause"], images].concat())?;
        make_network()?;
        // Written to at each request.
        let memory = folder.join("memory");
        std::fs::create_dir(&memory)?;
        let memory_text = memory.to_str().context("a path that is text")?;
        run("mount", &["-t", "tmpfs", "memory", memory_text])?;
        // A folder below, since that of the mount can't be removed.
        let plane_folder = memory.join("kubernetes");
        std::fs::create_dir(&plane_folder)?;
        let layout = NodeLayout {
            folder: plane_folder.clone(),
            disk: folder.join("node"),
            cgroup: name_of(&folder)?,
            programs: node,
        };
        let plane = ControlPlane::prepare(plane_folder, programs, Some(layout))?;
        apart(|| start_all(&plane, &archives))?;
        let disks = Disks::start(plane.admin().clone(), folder.join("disks"))?;
        Ok(Some(Self {
            disks,
            plane,
            folder,
        }))
    }

    /// Loads further images, from OCI archives.
    pub fn load_images(&self, archives: &[PathBuf]) -> Result<()> {
        self.plane.node_layout()?.load_images(archives)
    }

    /// The volumes.
    pub fn disks(&self) -> &Disks {
        &self.disks
    }

    /// A folder that goes with the cluster.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `ctr` for the containers of this node.
    pub fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("ctr")
            .arg("--address")
            .arg(self.plane.node_layout()?.containerd_socket())
            .arg("--namespace=k8s.io")
            .args(arguments)
            .output()?;
        ensure!(
            output.status.success(),
            "ctr {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Deref for Cluster {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}

async fn start_all(plane: &ControlPlane, archives: &[PathBuf]) -> Result<()> {
    plane.start_all(&Component::PLANE).await?;
    plane.admin().apply_yaml(DNS_ROLE).await?;
    plane
        .start_all(&[Component::Scheduler, Component::Containerd])
        .await?;
    plane.node_layout()?.load_images(archives)?;
    plane
        .start_all(&[Component::Kubelet, Component::Proxy, Component::Dns])
        .await?;
    let nodes: Api<Node> = Api::all(plane.client().await?);
    wait_for("the node is ready", async || {
        let node = nodes.get_opt(NODE).await.ok().flatten()?;
        let conditions = node.status?.conditions?;
        conditions
            .iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
            .then_some(())
    })
    .await
}

/// Builds what [`Cluster::start`] with these images needs, as far as it is missing.
///
/// # Errors
/// When it can't be built, or Go is missing.
pub fn build_cluster(images: &[&str]) -> Result<()> {
    Programs::of(Version::chosen())?.context("Go is missing")?;
    node()?.context("Go is missing")?;
    archives(&[&["pause"], images].concat())?;
    Ok(())
}

/// The archives of these images, built where they are missing or old; those in the folder that `MESHCORE_IMAGES`
/// names are taken as they are.
///
/// # Errors
/// When they can't be built.
pub fn archives(images: &[&str]) -> Result<Vec<PathBuf>> {
    if let Some(folder) = std::env::var_os("MESHCORE_IMAGES") {
        let file = |image: &&str| Path::new(&folder).join(format!("{image}.tar"));
        return Ok(images.iter().map(file).collect());
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/images.sh");
    let output = Command::new(script)
        .args(images)
        .stdin(Stdio::null())
        // Building takes minutes, so its progress is shown.
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {script}"))?;
    ensure!(
        output.status.success(),
        "{script} failed: {}",
        output.status
    );
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(PathBuf::from).collect())
}

/// A network with the address of the node and nothing else; nobody outside can be reached.
fn make_network() -> Result<()> {
    let address = format!("{NODE_ADDRESS}/24");
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["link", "add", "node0", "type", "bridge"])?;
    run("ip", &["address", "add", &address, "dev", "node0"])?;
    run("ip", &["link", "set", "node0", "up"])?;
    // The kubelet takes the address from the way out.
    run(
        "ip",
        &[
            "route",
            "add",
            "default",
            "via",
            "192.0.2.1",
            "dev",
            "node0",
        ],
    )?;
    run("sysctl", &["-qw", "net.ipv4.ip_forward=1"])
}

fn name_of(folder: &Path) -> Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    Ok(name.context("a folder with a name")?.to_owned())
}
