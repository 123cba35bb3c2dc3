//! The operator as a process, with the rights of a service account and no others.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use meshcore_testkit::kubernetes::{Access, AuditMark, ControlPlane};
use meshcore_testkit::{Program, free_port};

const LIMIT: Duration = Duration::from_mins(1);

/// A running operator.
pub(crate) struct Operator<'plane> {
    plane: &'plane ControlPlane,
    access: Access,
    program: Program,
    /// Where it serves health and metrics.
    url: String,
    mark: AuditMark,
    _folder: tempfile::TempDir,
}

impl<'plane> Operator<'plane> {
    /// Starts an operator for all namespaces, as the service account that an installation has made.
    pub(crate) async fn start(plane: &'plane ControlPlane, namespace: &str, account: &str) -> Self {
        Self::start_for(plane, namespace, account, None).await
    }

    /// [`Self::start`] for one namespace only.
    pub(crate) async fn start_for(
        plane: &'plane ControlPlane,
        namespace: &str,
        account: &str,
        watched: Option<&str>,
    ) -> Self {
        let access = plane.service_account(namespace, account).await.unwrap();
        let mark = plane.audit().mark().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut env = vec![
            (
                "KUBECONFIG",
                access.kubeconfig().to_str().unwrap().to_owned(),
            ),
            ("POD_NAMESPACE", namespace.to_owned()),
            ("MESHCORE_OPERATOR_LEASE_NAMESPACE", namespace.to_owned()),
            ("MESHCORE_OPERATOR_ADDRESS", address.clone()),
        ];
        env.extend(watched.map(|watched| ("MESHCORE_OPERATOR_NAMESPACES", watched.to_owned())));
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_meshcore-operator"));
        let program = Program::start(&binary, &["run"], &env, &folder.path().join("log")).unwrap();
        let url = format!("http://{address}");
        let mut program = program;
        program
            .wait_ready(&format!("{url}/health/ready"), LIMIT)
            .unwrap();
        Self {
            plane,
            access,
            program,
            url,
            mark,
            _folder: folder,
        }
    }

    /// Makes an analyzer and waits, as a user would, until it is ready. There is no node: its pod is reported as
    /// ready in the kubelet's place.
    pub(crate) async fn makes_an_analyzer_ready(&self, namespace: &str) {
        let yaml = include_str!("../../../manifests/samples/minimal.yaml");
        let admin = self.plane.admin();
        let namespaced = format!("--namespace={namespace}");
        let apply = ["apply", &namespaced, "-f", "-"];
        admin.kubectl_with_input(&apply, yaml).await.unwrap();
        let wait = [
            "wait",
            "--for=condition=Ready",
            &namespaced,
            "mcd/minimal",
            "--timeout=60s",
        ];
        let pods = self.plane.ready_pods(namespace).await.unwrap();
        let waited = admin.kubectl(&wait).await;
        drop(pods);
        waited.unwrap();
    }

    /// What the pod of `helm test` runs.
    pub(crate) fn answers_the_probe_of_helm_test(&self) {
        let url = format!("{}/health/ready", self.url);
        let output = Command::new(env!("CARGO_BIN_EXE_meshcore-operator"))
            .args(["probe", &url])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("ready"));
    }

    /// Ends it, in order.
    pub(crate) fn stops(&mut self) {
        self.program.terminate().unwrap();
        assert_eq!(self.program.wait(LIMIT).unwrap().code(), Some(0));
    }

    /// What it asked for and was not allowed to.
    pub(crate) async fn refusals(&self) -> Vec<String> {
        let requests = self.plane.audit().since(self.mark).await.unwrap();
        let refused = requests
            .by_user(self.access.user())
            .only(|entry| entry.code == 403);
        refused.iter().map(ToString::to_string).collect()
    }
}
