//! Where the programs are: in folders that `scripts/kubernetes.sh` fills once and names.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The exit code of the script when there is no Go to build with.
const GO_IS_MISSING: i32 = 3;

/// The value of `MESHCORE_KUBERNETES` by which a person does without.
const NONE: &str = "none";

/// A version of Kubernetes that the API tests run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.34, the default.
    V1_34,
    /// The newest minor version there is a module of.
    Newest,
}

impl Version {
    /// The version that `MESHCORE_KUBERNETES` names: `1.34` (also when it is not set) or `newest`. With `none` there
    /// is no control plane at all.
    ///
    /// # Panics
    /// When it names something else.
    pub fn chosen() -> Self {
        match std::env::var("MESHCORE_KUBERNETES").as_deref() {
            Err(_) | Ok("" | "1.34" | NONE) => Self::V1_34,
            Ok("newest") => Self::Newest,
            Ok(other) => panic!("MESHCORE_KUBERNETES is {other}; it may be 1.34, newest or none"),
        }
    }

    fn set(self) -> &'static str {
        match self {
            Self::V1_34 => "1.34",
            Self::Newest => "newest",
        }
    }
}

/// The programs of one control plane.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    server: PathBuf,
    common: PathBuf,
}

impl Programs {
    /// The programs of `version`, built if they are missing; `None` where there is no Go.
    pub(super) fn of(version: Version) -> Result<Option<Self>> {
        let Some(common) = set(Version::V1_34.set())? else {
            return Ok(None);
        };
        // etcd and kubectl serve all versions.
        Ok(set(version.set())?.map(|server| Self { server, common }))
    }

    pub(super) fn etcd(&self) -> PathBuf {
        self.common.join("etcd")
    }

    pub(super) fn kubectl(&self) -> PathBuf {
        self.common.join("kubectl")
    }

    pub(super) fn api_server(&self) -> PathBuf {
        self.server.join("kube-apiserver")
    }

    pub(super) fn controller_manager(&self) -> PathBuf {
        self.server.join("kube-controller-manager")
    }
}

/// The programs of a node; `None` where there is no Go.
///
/// # Errors
/// When they can't be built.
pub(super) fn node() -> Result<Option<NodePrograms>> {
    let (Some(kubernetes), Some(dns)) = (set("node")?, set("coredns")?) else {
        return Ok(None);
    };
    Ok(Some(NodePrograms { kubernetes, dns }))
}

/// The programs of a node; containerd is Debian's.
#[derive(Debug, Clone)]
pub(super) struct NodePrograms {
    kubernetes: PathBuf,
    dns: PathBuf,
}

impl NodePrograms {
    pub(super) fn scheduler(&self) -> PathBuf {
        self.kubernetes.join("kube-scheduler")
    }

    pub(super) fn kubelet(&self) -> PathBuf {
        self.kubernetes.join("kubelet")
    }

    pub(super) fn proxy(&self) -> PathBuf {
        self.kubernetes.join("kube-proxy")
    }

    pub(super) fn dns(&self) -> PathBuf {
        self.dns.join("coredns")
    }
}

/// The `helm` of a major version, 3 or 4; `None` where there is no Go.
///
/// # Errors
/// When it can't be built.
pub fn helm(major: u8) -> Result<Option<PathBuf>> {
    Ok(set(&format!("helm-{major}"))?.map(|folder| folder.join("helm")))
}

/// kubectl, for what it does without an API server; `None` where there is no Go.
///
/// # Errors
/// When it can't be built.
pub fn kubectl() -> Result<Option<PathBuf>> {
    Ok(set(Version::V1_34.set())?.map(|folder| folder.join("kubectl")))
}

/// The files with the CRDs of the Gateway API's standard channel; `None` where there is no Go.
///
/// # Errors
/// When the module can't be had.
pub fn gateway_api_crds() -> Result<Option<Vec<PathBuf>>> {
    files("gateway-api")
}

/// The files with the CRDs of Argo CD's Application and of Flux; `None` where there is no Go.
///
/// # Errors
/// When a module can't be had.
pub fn gitops_crds() -> Result<Option<Vec<PathBuf>>> {
    files("gitops")
}

/// The Lua interpreter that Argo CD runs health checks with; `None` where there is no Go.
///
/// # Errors
/// When it can't be built.
pub fn lua() -> Result<Option<PathBuf>> {
    Ok(set("lua")?.map(|folder| folder.join("glua")))
}

/// The files of a set, sorted.
fn files(name: &str) -> Result<Option<Vec<PathBuf>>> {
    let Some(folder) = set(name)? else {
        return Ok(None);
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(Some(files))
}

/// The folder of a set of programs, by the script that builds what is missing.
fn set(name: &str) -> Result<Option<PathBuf>> {
    if std::env::var("MESHCORE_KUBERNETES").as_deref() == Ok(NONE) {
        crate::announce("SKIPPED: MESHCORE_KUBERNETES is none");
        return Ok(None);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/kubernetes.sh");
    let output = Command::new(script)
        .arg(name)
        .stdin(Stdio::null())
        // Building takes minutes, so its progress is shown.
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {script}"))?;
    if output.status.code() == Some(GO_IS_MISSING) {
        let message = "SKIPPED: the Kubernetes programs of the tests need Go (see above)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
        crate::announce(message);
        return Ok(None);
    }
    ensure!(
        output.status.success(),
        "{script} {name} failed: {}",
        output.status
    );
    let folder = String::from_utf8(output.stdout)?;
    Ok(Some(PathBuf::from(folder.trim_end())))
}
