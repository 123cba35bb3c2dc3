//! A place of its own for each test.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;

use super::access::Access;

/// A namespace that is deleted with this value. When the test fails, what is in it is printed first.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    access: Access,
}

impl Namespace {
    pub(super) async fn create(access: Access, labels: &[(&str, &str)]) -> Result<Self> {
        let name = format!("test-{:08x}", super::random() >> 32);
        let mut yaml = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n");
        if !labels.is_empty() {
            yaml.push_str("  labels:\n");
        }
        for (key, value) in labels {
            writeln!(yaml, "    {key}: \"{value}\"")?;
        }
        access.apply_yaml(&yaml).await?;
        let namespace = Self { name, access };
        namespace.wait_for_service_account().await?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Pods are refused before their ServiceAccount exists.
    async fn wait_for_service_account(&self) -> Result<()> {
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.access.client().await?, &self.name);
        tokio::time::timeout(Duration::from_mins(1), async {
            while accounts.get_opt("default").await?.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        })
        .await
        .with_context(|| format!("{} has no default ServiceAccount", self.name))?
    }

    /// What is in it, in the words of kubectl.
    fn contents(&self) -> String {
        let list = ["api-resources", "--verbs=list", "--namespaced", "-o=name"];
        let kinds = self.access.kubectl_now(&list).unwrap_or_default();
        let kinds: Vec<&str> = kinds
            .lines()
            .filter(|kind| !kind.starts_with("events"))
            .collect();
        let ours: Vec<&str> = kinds
            .iter()
            .copied()
            .filter(|kind| kind.ends_with(".meshcore.dev"))
            .chain(["statefulsets.apps"])
            .collect();
        [
            vec!["get", &kinds.join(","), "-o=wide", "--ignore-not-found"],
            vec!["get", &ours.join(","), "-o=yaml", "--ignore-not-found"],
            vec!["get", "events", "--sort-by=.lastTimestamp"],
        ]
        .iter_mut()
        .map(|arguments| {
            arguments.extend(["-n", &self.name]);
            self.access
                .kubectl_now(arguments)
                .unwrap_or_else(|error| error.to_string())
        })
        .collect::<Vec<_>>()
        .join("\n")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::announce(&format!("in {}:\n{}", self.name, self.contents()));
        }
        let delete = ["delete", "namespace", &self.name, "--wait=false"];
        if let Err(error) = self.access.kubectl_now(&delete) {
            crate::announce(&format!("{} stays: {error}", self.name));
        }
    }
}
