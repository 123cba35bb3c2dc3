//! The node of a [`Cluster`](super::Cluster): which programs it has, and what they read.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::authority::Authority;
use super::component::Component;
use super::programs::NodePrograms;
use crate::process::http_get;

/// The one node.
pub const NODE: &str = "node1";
/// Its address, of a range that is kept for documentation (RFC 5737). The kubelet takes no loopback.
pub const NODE_ADDRESS: &str = "192.0.2.10";
/// The addresses of pods.
const PODS: &str = "10.244.0.0/24";
/// The image that holds the namespaces of a pod.
pub(super) const PAUSE_IMAGE: &str = "localhost/meshcore-test/pause:1";

/// Who speaks to the API server from the node: name, group, kubeconfig.
pub(super) const USERS: [(&str, &str, &str); 4] = [
    ("system:kube-scheduler", "", "scheduler.kubeconfig"),
    ("system:node:node1", "system:nodes", "kubelet.kubeconfig"),
    ("system:kube-proxy", "", "proxy.kubeconfig"),
    ("coredns", "", "dns.kubeconfig"),
];

/// What `CoreDNS` may read.
pub(super) const DNS_ROLE: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: coredns}
rules:
  - {apiGroups: [''], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: coredns}]
";

/// Folders and programs of the node.
#[derive(Debug)]
pub(super) struct NodeLayout {
    /// Configuration, certificates and kubeconfigs: that of the control plane.
    pub(super) folder: PathBuf,
    /// Images, containers and volumes.
    pub(super) disk: PathBuf,
    /// The control group that all pods are in.
    pub(super) cgroup: String,
    pub(super) programs: NodePrograms,
}

impl NodeLayout {
    /// Writes what the programs read, and makes the control group.
    pub(super) fn write_files(&self, folder: &Path, authority: &Authority) -> Result<()> {
        authority.client("kubelet-client", "kube-apiserver", Some("system:masters"))?;
        authority.server("kubelet", &[NODE, NODE_ADDRESS, "127.0.0.1"])?;
        let network = folder.join("network");
        fs::create_dir_all(&network)?;
        fs::create_dir_all(&self.disk)?;
        fs::write(network.join("10-pods.conflist"), self.pod_network())?;
        fs::write(folder.join("containerd.toml"), self.containerd_file())?;
        fs::write(folder.join("kubelet.yaml"), self.kubelet_file())?;
        fs::write(folder.join("Corefile"), self.dns_file())?;
        // Nothing of this machine's own DNS, such as its search domains.
        fs::write(
            folder.join("resolv.conf"),
            format!("nameserver {NODE_ADDRESS}\n"),
        )?;
        self.make_cgroup()
    }

    /// The command of a component of the node.
    pub(super) fn command(&self, component: Component) -> Option<Command> {
        let programs = &self.programs;
        let mut command;
        match component {
            Component::Scheduler => {
                command = Command::new(programs.scheduler());
                command
                    .arg(self.flag("kubeconfig", "scheduler.kubeconfig"))
                    .args(["--leader-elect=false", "--secure-port=0"]);
            }
            Component::Containerd => {
                command = Command::new("containerd");
                command.arg("--config").arg(self.file("containerd.toml"));
            }
            Component::Kubelet => {
                command = Command::new(programs.kubelet());
                command
                    .arg(self.flag("config", "kubelet.yaml"))
                    .arg(self.flag("kubeconfig", "kubelet.kubeconfig"))
                    .arg(format!(
                        "--root-dir={}",
                        self.disk.join("kubelet").display()
                    ))
                    .arg(format!("--hostname-override={NODE}"))
                    .arg(format!("--node-ip={NODE_ADDRESS}"));
            }
            Component::Proxy => {
                command = Command::new(programs.proxy());
                command
                    .arg(self.flag("kubeconfig", "proxy.kubeconfig"))
                    .arg(format!("--hostname-override={NODE}"))
                    .arg(format!("--cluster-cidr={PODS}"))
                    // It would change a limit of the whole machine.
                    .arg("--conntrack-max-per-core=0");
            }
            Component::Dns => {
                command = Command::new(programs.dns());
                command.arg("-conf").arg(self.file("Corefile"));
            }
            Component::Etcd | Component::ApiServer | Component::ControllerManager => return None,
        }
        Some(command)
    }

    /// Whether a component of the node answers.
    pub(super) fn is_ready(&self, component: Component) -> bool {
        let answers = |url: &str| http_get(url).is_ok_and(|(status, _)| status == 200);
        match component {
            Component::Containerd => UnixStream::connect(self.containerd_socket()).is_ok(),
            Component::Kubelet => answers("http://127.0.0.1:10248/healthz"),
            Component::Proxy => TcpStream::connect("127.0.0.1:10256").is_ok(),
            Component::Dns => answers("http://127.0.0.1:8181/ready"),
            // The scheduler serves nothing here; pods wait for it.
            _ => true,
        }
    }

    /// Loads images from OCI archives.
    pub(super) fn load_images(&self, archives: &[PathBuf]) -> Result<()> {
        for archive in archives {
            let output = Command::new("ctr")
                .arg("--address")
                .arg(self.containerd_socket())
                .args(["--namespace=k8s.io", "images", "import", "--no-unpack"])
                .arg(archive)
                .output()
                .context("start ctr")?;
            anyhow::ensure!(
                output.status.success(),
                "ctr images import {}: {}",
                archive.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    pub(super) fn containerd_socket(&self) -> PathBuf {
        self.disk.join("containerd.sock")
    }

    fn pod_network(&self) -> String {
        format!(
            r#"{{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {{"type": "host-local", "dataDir": "{}", "ranges": [[{{"subnet": "{PODS}"}}]],
            "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#,
            self.disk.join("addresses").display()
        )
    }

    fn containerd_file(&self) -> String {
        let disk = self.disk.display();
        let network = self.file("network");
        format!(
            r#"version = 2
root = "{disk}/containerd/root"
state = "{disk}/containerd/state"
[grpc]
  address = "{disk}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Not every machine lets its root lower this (CAP_SYS_RESOURCE).
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{network}"
"#,
            network = network.display()
        )
    }

    fn kubelet_file(&self) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        format!(
            "apiVersion: kubelet.config.k8s.io/v1beta1\n\
             kind: KubeletConfiguration\n\
             authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {ca}}}}}\n\
             authorization: {{mode: Webhook}}\n\
             cgroupDriver: cgroupfs\n\
             cgroupRoot: /{cgroup}\n\
             failSwapOn: false\n\
             failCgroupV1: false\n\
             containerRuntimeEndpoint: unix://{socket}\n\
             clusterDNS: [{NODE_ADDRESS}]\n\
             clusterDomain: cluster.local\n\
             resolvConf: {resolv}\n\
             tlsCertFile: {certificate}\n\
             tlsPrivateKeyFile: {key}\n\
             # The disk is that of the machine, however full it is.\n\
             evictionHard: {{memory.available: 100Mi}}\n\
             imageGCHighThresholdPercent: 100\n\
             localStorageCapacityIsolation: false\n\
             # As few seconds as it allows between a change of a Secret and its file.\n\
             syncFrequency: 10s\n\
             nodeStatusUpdateFrequency: 2s\n\
             maxPods: 200\n",
            ca = file("ca.crt"),
            cgroup = self.cgroup,
            socket = self.containerd_socket().display(),
            resolv = file("resolv.conf"),
            certificate = file("kubelet.crt"),
            key = file("kubelet.key"),
        )
    }

    fn dns_file(&self) -> String {
        format!(
            ".:53 {{\n\
             \x20 bind {NODE_ADDRESS}\n\
             \x20 ready 127.0.0.1:8181\n\
             \x20 errors\n\
             \x20 cache 5\n\
             \x20 kubernetes cluster.local {{\n\
             \x20   kubeconfig {}\n\
             \x20 }}\n\
             }}\n",
            self.file("dns.kubeconfig").display()
        )
    }

    /// The kubelet wants it to be there, for each controller.
    fn make_cgroup(&self) -> Result<()> {
        for controller in fs::read_dir("/sys/fs/cgroup").context("control groups")? {
            let controller = controller?;
            if controller.file_type()?.is_dir() {
                let group = controller.path().join(&self.cgroup);
                fs::create_dir_all(&group).with_context(|| group.display().to_string())?;
            }
        }
        Ok(())
    }

    fn flag(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.file(file).display())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
