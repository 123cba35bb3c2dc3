//! How each program of the control plane is started.

use std::path::PathBuf;
use std::process::Command;

use super::node::{NODE_ADDRESS, NodeLayout};
use super::programs::Programs;

/// A program of the control plane, or of the node of a [`Cluster`](super::Cluster).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The store behind the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers: garbage collector, StatefulSets, namespaces, service accounts, quotas, volumes.
    ControllerManager,
    /// What gives pods a node.
    Scheduler,
    /// What runs containers.
    Containerd,
    /// What runs pods.
    Kubelet,
    /// What makes Services work.
    Proxy,
    /// What finds Services by their names.
    Dns,
}

impl Component {
    /// Those that every control plane has, in the order of their start.
    pub(super) const PLANE: [Self; 3] = [Self::Etcd, Self::ApiServer, Self::ControllerManager];

    /// A word for the name of its log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
            Self::Dns => "coredns",
        }
    }
}

/// What the commands have in common. Each names the folder, by which the janitor knows its processes.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) folder: PathBuf,
    pub(super) port: u16,
    pub(super) programs: Programs,
    /// Present if there is a node.
    pub(super) node: Option<NodeLayout>,
}

impl Layout {
    /// The command of a component; `None` for one of a node, where there is none.
    pub(super) fn command(&self, component: Component) -> Option<Command> {
        match component {
            Component::Etcd => Some(self.etcd()),
            Component::ApiServer => Some(self.api_server()),
            Component::ControllerManager => Some(self.controller_manager()),
            _ => self.node.as_ref()?.command(component),
        }
    }

    /// The address of the API server.
    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where etcd listens: no port, so none can be taken already.
    pub(super) fn etcd_socket(&self) -> PathBuf {
        self.folder.join("etcd.sock")
    }

    fn etcd(&self) -> Command {
        let mut command = Command::new(self.programs.etcd());
        command
            .arg(self.flag("data-dir", "etcd"))
            .arg(format!(
                "--listen-client-urls=unix://{}",
                self.etcd_socket().display()
            ))
            // It insists on a host and a port, which nobody asks for.
            .arg("--advertise-client-urls=http://127.0.0.1:1")
            .arg("--listen-peer-urls=http://127.0.0.1:0")
            .arg("--unsafe-no-fsync");
        command
    }

    fn api_server(&self) -> Command {
        let mut command = Command::new(self.programs.api_server());
        command
            .arg(format!(
                "--etcd-servers=unix://{}",
                self.etcd_socket().display()
            ))
            .arg(format!("--secure-port={}", self.port))
            .arg(self.flag("tls-cert-file", "server.crt"))
            .arg(self.flag("tls-private-key-file", "server.key"))
            .arg(self.flag("client-ca-file", "ca.crt"))
            .arg(self.flag("token-auth-file", "tokens.csv"))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(self.flag("service-account-key-file", "tokens.pub"))
            .arg(self.flag("service-account-signing-key-file", "tokens.key"))
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .args(["--authorization-mode=Node,RBAC", "--allow-privileged=true"])
            .arg(self.flag("audit-policy-file", "audit-policy.yaml"))
            .arg(self.flag("audit-log-path", "audit.log"))
            .arg("--audit-log-mode=blocking-strict")
            // In MB: the log must not be rotated below its readers.
            .arg("--audit-log-maxsize=100000");
        if self.node.is_some() {
            command
                .arg(format!("--advertise-address={NODE_ADDRESS}"))
                .arg(self.flag("kubelet-client-certificate", "kubelet-client.crt"))
                .arg(self.flag("kubelet-client-key", "kubelet-client.key"))
                .arg("--kubelet-preferred-address-types=InternalIP");
        } else {
            command
                .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
                // It would refuse to announce loopback as the endpoint of the Service "kubernetes".
                .arg("--endpoint-reconciler-type=none");
        }
        command
    }

    fn controller_manager(&self) -> Command {
        let mut command = Command::new(self.programs.controller_manager());
        command
            .arg(self.flag("kubeconfig", "controller-manager.kubeconfig"))
            .arg(self.flag("service-account-private-key-file", "tokens.key"))
            .arg(self.flag("root-ca-file", "ca.crt"))
            // Each controller has the rights that it has in a real cluster.
            .arg("--use-service-account-credentials=true")
            .args(["--leader-elect=false", "--secure-port=0"])
            // The default of 20 requests per second makes the start take four seconds longer.
            .args(["--kube-api-qps=1000", "--kube-api-burst=2000"])
            .arg("--enable-hostpath-provisioner=true");
        if self.node.is_none() {
            // It deletes pods of nodes that don't exist, after 40 s, and tests give pods such a node.
            command.arg("--controllers=*,-pod-garbage-collector-controller");
        }
        command
    }

    fn flag(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.folder.join(file).display())
    }
}
