//! The operator as a process, with the rights that its chart gives it.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use meshcore_operator::rbac::{OWN_NAMESPACE, WATCHED, yaml};
use meshcore_testkit::kubernetes::{Access, ControlPlane, Namespace};
use meshcore_testkit::{Program, free_port, http_get, wait_until};
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_meshcore-operator");
/// For what needs no more than a few requests.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running operator; it is killed with this value.
pub(crate) struct Operator {
    pub(crate) program: Program,
    url: String,
    _folder: TempDir,
}

impl Operator {
    /// Starts one that looks after `namespace` alone, and has its Lease there.
    pub(crate) fn start(access: &Access, namespace: &Namespace, flags: &[&str]) -> Self {
        let name = namespace.name();
        let namespaced = ["--namespace", name, "--lease-namespace", name];
        Self::start_with(access.kubeconfig(), &[&namespaced, flags].concat())
    }

    /// Starts one with just these flags.
    pub(crate) fn start_with(kubeconfig: &Path, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let arguments = [&["run", "--address", &address], flags].concat();
        let env = [("KUBECONFIG", kubeconfig)];
        let log = folder.path().join("operator.log");
        Self {
            program: Program::start(Path::new(BINARY), &arguments, &env, &log).unwrap(),
            url: format!("http://{address}"),
            _folder: folder,
        }
    }

    /// Where it serves health and metrics.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The status and the body of a route.
    pub(crate) fn get(&self, route: &str) -> Option<(u16, String)> {
        http_get(&format!("{}{route}", self.url)).ok()
    }

    pub(crate) fn wait_ready(&mut self) {
        let url = format!("{}/health/ready", self.url);
        self.program.wait_ready(&url, SOON).unwrap();
    }

    /// Waits until a route answers with this status and these words.
    pub(crate) fn wait_for(&self, route: &str, status: u16, words: &str, limit: Duration) {
        let mut last = None;
        let waited = wait_until(words, limit, || {
            last = self.get(route);
            let (now, body) = last.as_ref()?;
            (*now == status && body.contains(words)).then_some(())
        });
        assert!(waited.is_ok(), "{route}: {last:?}\n{}", self.program.log());
    }

    /// Whether this one says that it leads.
    pub(crate) fn leads(&self) -> bool {
        let metrics = self
            .get("/metrics")
            .map(|(_, body)| body)
            .unwrap_or_default();
        metrics.contains("\nmeshcore_operator_leader 1\n")
    }

    pub(crate) fn wait_to_lead(&self, limit: Duration) {
        let waited = wait_until("it leads", limit, || self.leads().then_some(()));
        assert!(waited.is_ok(), "{}", self.program.log());
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) fn stop(&mut self, limit: Duration) -> ExitStatus {
        self.program.terminate().unwrap();
        self.program.wait(limit).unwrap()
    }
}

/// A service account with the rights of the operator in one namespace.
pub(crate) async fn account(plane: &ControlPlane, namespace: &Namespace) -> Access {
    let name = namespace.name();
    let access = plane.service_account(name, "operator").await.unwrap();
    let rules = format!("{}{}", yaml(WATCHED), yaml(OWN_NAMESPACE));
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: operator, namespace: {name}}}\n\
         rules:\n{rules}---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
         metadata: {{name: operator, namespace: {name}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator}}\n\
         subjects: [{{kind: ServiceAccount, name: operator, namespace: {name}}}]\n"
    );
    plane.admin().apply_yaml(&role).await.unwrap();
    access
}
