//! The operator, as users install it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use meshcore_testkit::kubernetes::{Cluster, helm};

/// Where it lives.
pub(crate) const NAMESPACE: &str = "meshcore-system";

/// Installs both charts by Helm, and waits until the operator is ready.
pub(super) async fn install(cluster: &Cluster) {
    // It needs no more than what it makes.
    let namespace = format!(
        "apiVersion: v1\nkind: Namespace\n\
         metadata: {{name: {NAMESPACE}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}\n"
    );
    cluster.admin().apply_yaml(&namespace).await.unwrap();
    let wait = ["--wait", "--timeout=3m"];
    let crds = chart("meshcore-operator-crds");
    run(cluster, &[&["install", "crds", &crds], &wait[..]].concat())
        .await
        .unwrap();
    let operator = chart("meshcore-operator");
    let install = ["install", "meshcore", &operator];
    run(cluster, &[&install, &wait[..]].concat()).await.unwrap();
}

/// Runs Helm in the operator's namespace.
pub(crate) async fn run(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let helm = helm(4)?.context("Go is missing")?;
    let output = tokio::process::Command::new(helm)
        .args(arguments)
        .arg(format!("--namespace={NAMESPACE}"))
        .env("KUBECONFIG", cluster.admin().kubeconfig())
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "helm {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// A chart of the repository.
pub(crate) fn chart(name: &str) -> String {
    repository().join("charts").join(name).display().to_string()
}

/// The repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
