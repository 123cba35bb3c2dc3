//! Resources: created as fast as the API server takes them, and waited for until each has all its objects and says so.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use meshcore_operator::names;
use meshcore_resource::MeshCoreDeployment;
use serde_json::json;
use tokio::task::JoinHandle;

use super::CONCURRENCY;
use super::cluster::{Cluster, MESHES};
use super::process::PATIENCE;

/// The least that a resource has.
pub(super) fn resource(n: usize) -> Result<MeshCoreDeployment> {
    let resource = json!({
        "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
        "metadata": {"name": format!("mesh-{n}"), "namespace": MESHES},
        "spec": {
            "mqttSources": [{"name": "local", "broker": "mqtt://mosquitto:1883"}],
            "storage": {"size": "1Gi"},
        },
    });
    Ok(serde_json::from_value(resource)?)
}

/// Creates resources; each goes to `created` as the API server answers it.
pub(super) async fn create(
    api: &Api<MeshCoreDeployment>,
    count: usize,
    mut created: impl FnMut(MeshCoreDeployment),
) -> Result<()> {
    let mut answers = futures::stream::iter(0..count)
        .map(async |n| {
            let answer = api.create(&PostParams::default(), &resource(n)?).await;
            answer.with_context(|| format!("create resource {n}"))
        })
        .buffer_unordered(CONCURRENCY);
    while let Some(resource) = answers.try_next().await? {
        created(resource);
    }
    Ok(())
}

/// Watches the resources until so many have a status about their spec as it is; gives when that was.
pub(super) async fn follow(cluster: &Cluster, count: usize) -> Result<Followed> {
    let api = cluster.api::<MeshCoreDeployment>(MESHES);
    // The watch is there before anything is created, or the end could be missed by its first back-off.
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut ready = Some(ready);
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut done = HashSet::new();
        while done.len() < count {
            let event = events.next().await.context("the watch ended")??;
            if matches!(event, watcher::Event::InitDone)
                && let Some(ready) = ready.take()
            {
                ready.send(()).ok();
            }
            if let watcher::Event::Apply(resource) | watcher::Event::InitApply(resource) = event
                && says_how_it_is(&resource)
            {
                done.insert(resource.name_any());
            }
        }
        Ok(Instant::now())
    });
    is_ready.await.context("the watch did not begin")?;
    Ok(Followed(task))
}

/// A watch on the resources.
pub(super) struct Followed(JoinHandle<Result<Instant>>);

impl Followed {
    /// When the last resource got its status.
    pub(super) async fn end(self) -> Result<Instant> {
        tokio::time::timeout(PATIENCE, self.0)
            .await
            .context("not all resources got a status")??
    }
}

fn says_how_it_is(resource: &MeshCoreDeployment) -> bool {
    let Some(status) = &resource.status else {
        return false;
    };
    let is_stalled = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        condition.type_ == "Stalled" && condition.status == "True"
    };
    status.observed_generation == resource.metadata.generation
        && !status.conditions.iter().any(is_stalled)
}

/// Checks that all objects of `count` resources are there; waits for those that are not, and gives for how long.
pub(super) async fn all_there(cluster: &Cluster, count: usize) -> Result<Duration> {
    let began = Instant::now();
    has_all::<ConfigMap>(cluster, count, |_, _| true).await?;
    has_all::<ServiceAccount>(cluster, count, |name, of| name == of).await?;
    has_all::<PersistentVolumeClaim>(cluster, count, |name, of| name == names::claim(of)).await?;
    has_all::<Service>(cluster, count, |name, of| name == of).await?;
    has_all::<Service>(cluster, count, |name, of| {
        name == names::headless_service(of)
    })
    .await?;
    has_all::<StatefulSet>(cluster, count, |name, of| name == of).await?;
    Ok(began.elapsed())
}

/// Whether each resource has an object of this kind whose name is right.
async fn has_all<K>(
    cluster: &Cluster,
    count: usize,
    is_right: impl Fn(&str, &str) -> bool,
) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
    K::DynamicType: Default,
{
    let api = cluster.api::<K>(MESHES);
    let ours = ListParams::default().labels(&names::managed_selector());
    let until = Instant::now() + PATIENCE;
    loop {
        let found = api.list_metadata(&ours).await?;
        let whose: BTreeSet<&str> = found
            .iter()
            .filter_map(|object| {
                let of = object.labels().get(names::INSTANCE)?;
                is_right(object.metadata.name.as_deref()?, of).then_some(of.as_str())
            })
            .collect();
        if whose.len() == count {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "{} of {count} resources have a {}",
            whose.len(),
            K::kind(&K::DynamicType::default())
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
