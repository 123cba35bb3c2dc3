//! The claim with the database: adopted, grown, guarded, never silently replaced.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::PostParams;
use meshcore_operator::names;
use serde_json::{Value, json};

use crate::support::{Stage, condition, message, minimal, with};

fn replicas(set: &StatefulSet) -> Option<i32> {
    set.spec.as_ref().and_then(|spec| spec.replicas)
}

async fn claim(stage: &Stage) -> PersistentVolumeClaim {
    stage.api().get("mesh-data").await.unwrap()
}

/// Makes a claim that the operator did not make.
async fn make_claim(stage: &Stage, name: &str, labels: Value) -> PersistentVolumeClaim {
    let claim = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }));
    stage
        .api()
        .create(&PostParams::default(), &claim.unwrap())
        .await
        .unwrap()
}

/// A resource with a database, whose claim is then lost: nothing holds it any more.
async fn lose_claim(stage: &Stage) -> String {
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    stage.apply("mesh", with(json!({"stopped": true}))).await;
    stage
        .until_condition("mesh", "Ready", "True", "Stopped")
        .await;
    let uid = claim(stage).await.metadata.uid.unwrap();
    stage.delete::<PersistentVolumeClaim>("mesh-data").await;
    stage.until_gone::<PersistentVolumeClaim>("mesh-data").await;
    uid
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_claim_is_not_made_anew_until_somebody_accepts_the_loss() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let uid = lose_claim(&stage).await;
    let lost = stage
        .until_condition("mesh", "Stalled", "True", "ClaimLost")
        .await;
    assert!(message(&lost, "Stalled").contains(&uid));
    stage.apply("mesh", minimal()).await;
    stage
        .until_condition("mesh", "Ready", "False", "ClaimLost")
        .await;
    let set: StatefulSet = stage.api().get("mesh").await.unwrap();
    assert_eq!(replicas(&set), Some(0));
    assert!(
        stage
            .api::<PersistentVolumeClaim>()
            .get_opt("mesh-data")
            .await
            .unwrap()
            .is_none()
    );

    stage
        .annotate("mesh", json!({names::ACCEPT_LOST_CLAIM: uid}))
        .await;
    let anew = stage.until_available("mesh").await;
    let storage = anew.status.unwrap().storage.unwrap();
    assert_ne!(storage.claim_uid.as_deref(), Some(uid.as_str()));
    assert_eq!(storage.initialized, Some(true));
    let annotations = anew.metadata.annotations.unwrap();
    assert_eq!(
        annotations.get(names::INITIALIZED_CLAIM),
        storage.claim_uid.as_ref()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_claim_in_the_place_of_a_lost_one_is_not_used_either() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let uid = lose_claim(&stage).await;
    let labels = json!({names::MANAGED_BY: names::FIELD_MANAGER, names::INSTANCE: "mesh"});
    make_claim(&stage, "mesh-data", labels).await;
    stage.apply("mesh", minimal()).await;
    stage
        .until_condition("mesh", "Stalled", "True", "ClaimLost")
        .await;
    stage
        .annotate("mesh", json!({names::ACCEPT_LOST_CLAIM: uid}))
        .await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_on_a_claim_that_is_being_deleted() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    let before = claim(&stage).await.metadata.uid.unwrap();
    // As the pod's use of it would keep it, if the pod had a machine.
    let used = |finalizers| json!({"metadata": {"finalizers": finalizers}});
    stage
        .patch::<PersistentVolumeClaim>("mesh-data", used(json!(["example.org/used"])))
        .await;
    stage.delete::<PersistentVolumeClaim>("mesh-data").await;
    let stalled = stage
        .until_condition("mesh", "Stalled", "True", "ClaimTerminating")
        .await;
    assert!(message(&stalled, "Stalled").contains("mesh-data"));
    assert_eq!(condition(&stalled, "StorageReady").1, "ClaimTerminating");
    let pod: Option<Pod> = stage.api().get_opt("mesh-0").await.unwrap();
    assert!(pod.is_some(), "a pod that runs is left alone");

    stage.apply("mesh", with(json!({"stopped": true}))).await;
    stage.until_gone::<Pod>("mesh-0").await;
    stage
        .patch::<PersistentVolumeClaim>("mesh-data", used(json!(null)))
        .await;
    stage.until_gone::<PersistentVolumeClaim>("mesh-data").await;
    stage.apply("mesh", minimal()).await;
    let lost = stage
        .until_condition("mesh", "Stalled", "True", "ClaimLost")
        .await;
    assert!(message(&lost, "Stalled").contains(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_somebody_else_is_not_adopted() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let theirs = make_claim(&stage, "mesh-data", json!({"app": "theirs"})).await;
    stage.apply("mesh", minimal()).await;
    let refused = stage
        .until_condition("mesh", "Stalled", "True", "NameConflict")
        .await;
    let text = message(&refused, "Stalled");
    assert!(
        text.contains("PersistentVolumeClaim") && text.contains("existingClaim"),
        "{text}"
    );
    let after = claim(&stage).await;
    assert_eq!(
        after.metadata.resource_version,
        theirs.metadata.resource_version
    );
    assert!(
        stage
            .api::<StatefulSet>()
            .get_opt("mesh")
            .await
            .unwrap()
            .is_none()
    );

    // The cure that the message names.
    let labels = json!({names::MANAGED_BY: names::FIELD_MANAGER, names::INSTANCE: "mesh"});
    stage
        .patch::<PersistentVolumeClaim>("mesh-data", json!({"metadata": {"labels": labels}}))
        .await;
    let adopted = stage.until_available("mesh").await;
    assert_eq!(
        adopted.status.unwrap().storage.unwrap().claim_uid,
        theirs.metadata.uid
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_claim_is_used_as_it_is() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let mut spec = minimal();
    spec["storage"] = json!({"existingClaim": "theirs"});
    stage.apply("mesh", spec).await;
    let waiting = stage
        .until_condition("mesh", "Stalled", "True", "ClaimMissing")
        .await;
    assert!(message(&waiting, "Stalled").contains("/theirs"));
    stage.until("mesh-0", "there", |_: &Pod| true).await;

    let theirs = make_claim(&stage, "theirs", json!({})).await;
    let ready = stage.until_available("mesh").await;
    assert_eq!(
        ready.status.unwrap().storage.unwrap().claim_uid,
        theirs.metadata.uid
    );
    let after: PersistentVolumeClaim = stage.api().get("theirs").await.unwrap();
    assert_eq!(after.metadata.labels, None);
    assert!(
        stage
            .api::<PersistentVolumeClaim>()
            .get_opt("mesh-data")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reclaim_policy_sets_and_takes_the_owner_of_the_claim() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let storage = |policy| with(json!({"storage": {"size": "1Gi", "reclaimPolicy": policy}}));
    for (policy, owners) in [("Retain", 0), ("Delete", 1), ("Retain", 0)] {
        stage.apply("mesh", storage(policy)).await;
        stage
            .until("mesh-data", policy, |claim: &PersistentVolumeClaim| {
                claim.metadata.owner_references.as_ref().map_or(0, Vec::len) == owners
            })
            .await;
    }
}
