//! Objects that are none of the operator's business.

use std::fmt::Debug;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::PostParams;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::CONCURRENCY;
use super::cluster::{Cluster, OTHERS};

/// How large a Secret or a ConfigMap is, bytes.
const BYTES: usize = 10 * 1024;

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) secrets: usize,
    pub(super) config_maps: usize,
    pub(super) pods: usize,
}

/// How much of Secrets and ConfigMaps that is, KiB.
pub(super) fn kib(counts: Counts) -> f64 {
    crate::measure::float((counts.secrets + counts.config_maps) * BYTES) / 1024.0
}

/// Creates them.
pub(super) async fn create(cluster: &Cluster, counts: Counts) -> Result<()> {
    let text = "x".repeat(BYTES);
    create_all::<Secret>(cluster, counts.secrets, &json!({"stringData": {"a": text}})).await?;
    create_all::<ConfigMap>(cluster, counts.config_maps, &json!({"data": {"a": text}})).await?;
    let container = json!({"name": "other", "image": "registry.example.org/other"});
    let pod = json!({"spec": {"containers": [container]}});
    create_all::<Pod>(cluster, counts.pods, &pod).await
}

async fn create_all<K>(cluster: &Cluster, count: usize, of: &Value) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<K> = cluster.api(OTHERS);
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    futures::stream::iter(0..count)
        .map(async |n| {
            let mut object = of.clone();
            object["metadata"] = json!({"name": format!("other-{n}"), "labels": {"app": "other"}});
            let object: K = serde_json::from_value(object)?;
            let answer = api.create(&PostParams::default(), &object).await;
            answer.with_context(|| format!("create {kind} {n}"))
        })
        .buffer_unordered(CONCURRENCY)
        .try_for_each(async |_| Ok(()))
        .await
}
