//! Stopped, paused, deleted.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use meshcore_operator::names;
use meshcore_resource::MeshCoreDeployment;
use serde_json::json;

use crate::support::{Stage, condition, minimal, observed, with};

fn replicas(set: &StatefulSet) -> Option<i32> {
    set.spec.as_ref().and_then(|spec| spec.replicas)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_resource_has_no_pod_and_keeps_its_data() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    let claim: PersistentVolumeClaim = stage.api().get("mesh-data").await.unwrap();

    stage.apply("mesh", with(json!({"stopped": true}))).await;
    let stopped = stage
        .until_condition("mesh", "Ready", "True", "Stopped")
        .await;
    assert_eq!(condition(&stopped, "Reconciling").0, "False");
    assert!(
        stage
            .api::<Pod>()
            .get_opt("mesh-0")
            .await
            .unwrap()
            .is_none()
    );
    let kept: PersistentVolumeClaim = stage.api().get("mesh-data").await.unwrap();
    assert_eq!(kept.metadata.uid, claim.metadata.uid);

    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_paused_resource_is_touched() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_settled("mesh").await;
    stage
        .apply(
            "mesh",
            with(json!({"paused": true, "service": {"port": 8000}})),
        )
        .await;
    let paused = stage
        .until_condition("mesh", "Ready", "Unknown", "Paused")
        .await;
    assert_eq!(condition(&paused, "Reconciling").0, "False");
    assert_eq!(
        condition(&paused, "StorageReady").0,
        "False",
        "as it was found last"
    );

    stage.quiet().await;
    let mark = stage.mark().await;
    let before = stage.reconciles();
    stage
        .patch::<StatefulSet>("mesh", json!({"spec": {"replicas": 0}}))
        .await;
    stage.until_reconciles(before + 1).await;
    stage.quiet().await;
    assert_eq!(stage.since(mark).await.writes().len(), 0);
    let set: StatefulSet = stage.api().get("mesh").await.unwrap();
    assert_eq!(replicas(&set), Some(0));

    stage
        .apply("mesh", with(json!({"service": {"port": 8000}})))
        .await;
    stage
        .until("mesh", "scaled up again", |set: &StatefulSet| {
            replicas(set) == Some(1)
        })
        .await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_annotation_pauses_too() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    stage.annotate("mesh", json!({names::PAUSED: "true"})).await;
    stage
        .until_condition("mesh", "Ready", "Unknown", "Paused")
        .await;
    stage.annotate("mesh", json!({names::PAUSED: null})).await;
    stage
        .until_condition("mesh", "Ready", "True", "Available")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_made_paused_says_so_and_makes_nothing() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", with(json!({"paused": true}))).await;
    let paused = stage
        .until_condition("mesh", "Ready", "Unknown", "Paused")
        .await;
    assert_eq!(observed(&paused), Some(1));
    assert_eq!(condition(&paused, "StorageReady").0, "Unknown");
    let ours = ListParams::default().labels(&names::managed_selector());
    assert_eq!(
        stage
            .api::<Service>()
            .list(&ours)
            .await
            .unwrap()
            .items
            .len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_resource_leaves_its_claim_and_a_new_one_adopts_it() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    let claim: PersistentVolumeClaim = stage.api().get("mesh-data").await.unwrap();
    stage.delete::<MeshCoreDeployment>("mesh").await;
    stage.until_gone::<MeshCoreDeployment>("mesh").await;
    stage.until_gone::<StatefulSet>("mesh").await;
    stage.until_gone::<Service>("mesh").await;
    stage.until_gone::<Pod>("mesh-0").await;
    let kept: PersistentVolumeClaim = stage.api().get("mesh-data").await.unwrap();
    assert_eq!(kept.metadata.deletion_timestamp, None);

    stage.apply("mesh", minimal()).await;
    let adopted = stage.until_available("mesh").await;
    let storage = adopted.status.unwrap().storage.unwrap();
    assert_eq!(storage.claim_uid, claim.metadata.uid);
    assert_eq!(storage.initialized, Some(true));
    let annotations = adopted.metadata.annotations.unwrap();
    assert_eq!(
        annotations.get(names::INITIALIZED_CLAIM),
        claim.metadata.uid.as_ref()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_to_be_deleted_goes_with_its_resource() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let deleting = json!({"storage": {"size": "1Gi", "reclaimPolicy": "Delete"}});
    stage.apply("mesh", with(deleting)).await;
    stage.until_available("mesh").await;
    stage.delete::<MeshCoreDeployment>("mesh").await;
    stage.until_gone::<MeshCoreDeployment>("mesh").await;
    stage.until_gone::<PersistentVolumeClaim>("mesh-data").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_orphaning_deletion_left_is_taken_over_without_a_restart() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    let pod: Pod = stage.api().get("mesh-0").await.unwrap();
    let orphaning = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let resources = stage.api::<MeshCoreDeployment>();
    resources.delete("mesh", &orphaning).await.unwrap();
    stage.until_gone::<MeshCoreDeployment>("mesh").await;

    let anew = stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    stage
        .until("mesh", "of the new resource", |set: &StatefulSet| {
            let owners = set.metadata.owner_references.iter().flatten();
            owners.map(|owner| &owner.uid).eq(&anew.metadata.uid)
        })
        .await;
    stage.quiet().await;
    let kept: Pod = stage.api().get("mesh-0").await.unwrap();
    assert_eq!(kept.metadata.uid, pod.metadata.uid);
}
