//! The limit of the operator: a loop that knows what to apply. The same objects and a status of the same size, by
//! server-side apply, with the same account and the same concurrency; nothing is read, watched, compared or kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use meshcore_operator::build::{Facts, build};
use meshcore_operator::{Bundle, Settings, names};
use meshcore_resource::MeshCoreDeployment;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cluster::{Cluster, MESHES};
use super::process::PATIENCE;
use super::{CONCURRENCY, resources};

/// Writes for each resource: its six objects and a status.
pub(super) const WRITES: usize = 7;

/// What the plain loop took.
pub(super) struct Bare {
    /// Creation of the resources, when nobody does anything about them.
    pub(super) created: Duration,
    /// From the first creation until all is applied.
    pub(super) applied: Duration,
}

/// Runs it.
pub(super) async fn run(cluster: &Cluster, count: usize) -> Result<Bare> {
    let api = cluster.api::<MeshCoreDeployment>(MESHES);
    let began = Instant::now();
    resources::create(&api, count, drop).await?;
    let created = began.elapsed();
    tokio::time::timeout(PATIENCE, delete_all(&api))
        .await
        .context("resources stay")??;

    let client = cluster.operator.client().await?;
    let began = Instant::now();
    tokio::time::timeout(PATIENCE, create_and_apply(client, api, count))
        .await
        .context("the plain loop does not end")??;
    let applied = began.elapsed();
    resources::all_there(cluster, count).await?;
    Ok(Bare { created, applied })
}

async fn delete_all(api: &Api<MeshCoreDeployment>) -> Result<()> {
    let all = ListParams::default();
    // In one request: kubectl asks for each of them several times, which takes minutes.
    api.delete_collection(&DeleteParams::default(), &all)
        .await?;
    while !api.list(&all).await?.items.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Applies each resource as soon as it is created, while others are being created.
async fn create_and_apply(
    client: Client,
    api: Api<MeshCoreDeployment>,
    count: usize,
) -> Result<()> {
    // It never has more than there are resources.
    let (sender, receiver) = mpsc::unbounded_channel();
    let creating = tokio::spawn(async move {
        resources::create(&api, count, |resource| drop(sender.send(resource))).await
    });
    let created = futures::stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    let client = Arc::new(client);
    created
        .map(|resource| tokio::spawn(apply(Arc::clone(&client), resource)))
        .buffer_unordered(CONCURRENCY)
        .map(|done| done?)
        .try_for_each(async |()| Ok(()))
        .await?;
    creating.await?
}

async fn apply(client: Arc<Client>, resource: MeshCoreDeployment) -> Result<()> {
    let settings = Settings {
        image_registry: String::new(),
        image_tag: "1.0.0".to_owned(),
    };
    let bundle = build(&resource, &settings, &Facts::default());
    let name = resource.metadata.name.as_deref().context("a name")?;
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    for mut object in objects(&bundle) {
        object["metadata"]["annotations"][names::APPLIED_HASH] = json!("0123456789abcdef");
        let api = api_of(&client, &object)?;
        let name = object["metadata"]["name"].as_str().context("a name")?;
        api.patch(name, &params, &Patch::Apply(&object)).await?;
    }
    let status = status(&resource);
    let api = api_of(&client, &status)?;
    api.patch_status(name, &params, &Patch::Apply(&status))
        .await?;
    Ok(())
}

fn objects(bundle: &Bundle) -> Vec<Value> {
    let Bundle {
        config_map,
        service_account,
        claim,
        service,
        headless_service,
        stateful_set,
        ingress: _,
        http_route: _,
        network_policy: _,
        pod_disruption_budget: _,
    } = bundle;
    let objects = json!([
        config_map,
        service_account,
        claim,
        service,
        headless_service,
        stateful_set
    ]);
    match objects {
        Value::Array(objects) => objects,
        _ => unreachable!("it is written as one"),
    }
}

fn api_of(client: &Client, object: &Value) -> Result<Api<DynamicObject>> {
    let version = object["apiVersion"].as_str().context("a version")?;
    let kind = object["kind"].as_str().context("a kind")?;
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Ok(Api::namespaced_with(client.clone(), MESHES, &resource))
}

/// A status with as much in it as the operator's first one has.
fn status(resource: &MeshCoreDeployment) -> Value {
    let generation = resource.metadata.generation;
    let conditions = [
        "Ready",
        "Reconciling",
        "Stalled",
        "StorageReady",
        "StorageResizing",
        "StoragePressure",
        "ShutdownBudgetAtRisk",
        "RolloutPending",
    ];
    let conditions = conditions.map(|r#type| {
        json!({
            "type": r#type, "status": "False", "reason": "Starting", "observedGeneration": generation,
            "message": "the pod has not been scheduled yet, or not all of its containers are ready",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    });
    json!({
        "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
        "metadata": {"name": resource.metadata.name, "uid": resource.metadata.uid},
        "status": {
            "observedGeneration": generation,
            "conditions": conditions,
            "effective": {
                "terminationGracePeriodSeconds": 60,
                "breakdown": {"preStop": 5, "serverDrain": 20, "ingestorDrain": 10, "checkpoint": 15, "margin": 10},
                "images": {"ingestor": "meshcore-ingestor:1.0.0", "server": "meshcore-server:1.0.0"},
            },
            "storage": {"requested": "1Gi"},
            "template": {"hash": "0123456789abcdef"},
        },
    })
}
