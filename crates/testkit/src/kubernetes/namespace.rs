//! A place of its own for each test.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;

use super::access::Access;
use super::wait_for;

/// A namespace that is deleted with this value. When the test fails, what is in it is printed first.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    access: Access,
}

impl Namespace {
    pub(super) async fn create(access: Access, labels: &[(&str, &str)]) -> Result<Self> {
        let name = format!("test-{:08x}", crate::random() >> 32);
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let object = core::Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            ..core::Namespace::default()
        };
        let namespaces: Api<core::Namespace> = Api::all(access.client().await?);
        namespaces.create(&PostParams::default(), &object).await?;
        let namespace = Self { name, access };
        namespace.wait_for_controllers().await?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for what each namespace gets: pods are refused before their ServiceAccount exists, and a ConfigMap that
    /// comes later would be news to whoever watches them.
    async fn wait_for_controllers(&self) -> Result<()> {
        let client = self.access.client().await?;
        let accounts: Api<core::ServiceAccount> = Api::namespaced(client.clone(), &self.name);
        wait_for("the default ServiceAccount exists", async || {
            accounts.get_opt("default").await.ok().flatten()
        })
        .await?;
        let maps: Api<core::ConfigMap> = Api::namespaced(client, &self.name);
        wait_for("the authority's certificate is there", async || {
            maps.get_opt("kube-root-ca.crt").await.ok().flatten()
        })
        .await?;
        Ok(())
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
