//! What somebody else changes: ours is put back, theirs is left alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DeleteParams;
use meshcore_operator::names;
use serde_json::{Value, json};

use crate::support::{Child, Stage, with};

/// A resource with every optional object that a cluster always serves.
fn everything() -> Value {
    with(json!({
        "ingress": {"host": "mesh.example.org"},
        "networkPolicy": {"enabled": true},
        "podDisruptionBudget": {"enabled": true},
    }))
}

/// A stage with that resource, available, and nothing more to be done.
async fn stage() -> Option<Stage> {
    let stage = Stage::set().await?;
    stage.apply("mesh", everything()).await;
    stage.until_available("mesh").await;
    stage.quiet().await;
    Some(stage)
}

/// Takes our label from an object and waits until it is back.
async fn loses_its_label<K: Child>(stage: &Stage, name: &str) {
    let without = json!({"metadata": {"labels": {names::MANAGED_BY: null}}});
    stage.patch::<K>(name, without).await;
    stage
        .until(name, "labelled", |object: &K| {
            let labels = object.meta().labels.as_ref();
            labels.is_some_and(|labels| labels.contains_key(names::MANAGED_BY))
        })
        .await;
}

/// Deletes an object and waits until there is another.
async fn is_deleted<K: Child>(stage: &Stage, name: &str) {
    let before = stage.api::<K>().get(name).await.unwrap();
    stage
        .api::<K>()
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    stage
        .until(name, "made anew", |object: &K| {
            object.meta().uid != before.meta().uid && object.meta().deletion_timestamp.is_none()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_gets_its_label_back() {
    let Some(stage) = stage().await else { return };
    let config = stage.config_map("mesh").await;
    loses_its_label::<ConfigMap>(&stage, &config).await;
    loses_its_label::<ServiceAccount>(&stage, "mesh").await;
    loses_its_label::<PersistentVolumeClaim>(&stage, "mesh-data").await;
    loses_its_label::<Service>(&stage, "mesh").await;
    loses_its_label::<Service>(&stage, "mesh-pods").await;
    loses_its_label::<StatefulSet>(&stage, "mesh").await;
    loses_its_label::<Ingress>(&stage, "mesh").await;
    loses_its_label::<NetworkPolicy>(&stage, "mesh").await;
    loses_its_label::<PodDisruptionBudget>(&stage, "mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_made_anew_when_it_is_deleted() {
    let Some(stage) = stage().await else { return };
    let config = stage.config_map("mesh").await;
    is_deleted::<ConfigMap>(&stage, &config).await;
    is_deleted::<ServiceAccount>(&stage, "mesh").await;
    is_deleted::<Service>(&stage, "mesh").await;
    is_deleted::<Service>(&stage, "mesh-pods").await;
    is_deleted::<Ingress>(&stage, "mesh").await;
    is_deleted::<NetworkPolicy>(&stage, "mesh").await;
    is_deleted::<PodDisruptionBudget>(&stage, "mesh").await;
    is_deleted::<StatefulSet>(&stage, "mesh").await;
    stage.until_available("mesh").await;
}

/// Patches an object and waits until the value at a JSON pointer is what it was.
async fn heals<K: Child>(stage: &Stage, name: &str, pointer: &str, patch: Value) {
    let value = |object: &K| {
        serde_json::to_value(object)
            .unwrap()
            .pointer(pointer)
            .cloned()
    };
    let before = value(&stage.api::<K>().get(name).await.unwrap());
    let drifted = stage.patch::<K>(name, patch).await;
    assert_ne!(value(&drifted), before, "{pointer} is drift");
    stage
        .until(name, &format!("healed at {pointer}"), |object: &K| {
            value(object) == before
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_ours_is_put_back() {
    let Some(stage) = stage().await else { return };
    let account = json!({"automountServiceAccountToken": true});
    heals::<ServiceAccount>(&stage, "mesh", "/automountServiceAccountToken", account).await;
    let ports = json!({"spec": {"ports": [{"name": "http", "port": 81}]}});
    heals::<Service>(&stage, "mesh", "/spec/ports/0/port", ports).await;
    let not_ready = json!({"spec": {"publishNotReadyAddresses": false}});
    heals::<Service>(
        &stage,
        "mesh-pods",
        "/spec/publishNotReadyAddresses",
        not_ready,
    )
    .await;
    let host = json!({"spec": {"rules": [{"host": "evil.example.org"}]}});
    heals::<Ingress>(&stage, "mesh", "/spec/rules/0/host", host).await;
    let open = json!({"spec": {"ingress": [{}]}});
    heals::<NetworkPolicy>(&stage, "mesh", "/spec/ingress", open).await;
    let strict = json!({"spec": {"maxUnavailable": 0}});
    heals::<PodDisruptionBudget>(&stage, "mesh", "/spec/maxUnavailable", strict).await;
    let grace = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 30}}}});
    let path = "/spec/template/spec/terminationGracePeriodSeconds";
    heals::<StatefulSet>(&stage, "mesh", path, grace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_replica_goes_away() {
    let Some(stage) = stage().await else { return };
    for replicas in [2, 0] {
        let scaled = json!({"spec": {"replicas": replicas}});
        heals::<StatefulSet>(&stage, "mesh", "/spec/replicas", scaled).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_others_stay_and_cause_no_write() {
    let Some(stage) = stage().await else { return };
    let template = json!({"spec": {"template": {
        "metadata": {"annotations": {names::RESTARTED_AT: "2026-11-21T00:00:00Z", "example.org/injected": "yes"}},
        "spec": {
            "priorityClassName": null,
            "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["theirs"]}],
        },
    }}});
    let mark = stage.mark().await;
    stage.patch::<StatefulSet>("mesh", template).await;
    stage
        .strategic::<StatefulSet>(
            "mesh",
            json!({"spec": {"template": {"spec": {"containers": [
                {"name": "injected", "image": "sidecar:1"},
            ]}}}}),
        )
        .await;
    let theirs = json!({"metadata": {"annotations": {"example.org/theirs": "1"}, "labels": {"theirs": "1"}}});
    stage.patch::<Service>("mesh", theirs.clone()).await;
    stage
        .patch::<PersistentVolumeClaim>("mesh-data", theirs)
        .await;
    // The pod is replaced by one with the restart annotation, which the operator follows to its end.
    stage
        .until(
            "mesh-0",
            "restarted",
            |pod: &k8s_openapi::api::core::v1::Pod| {
                let annotations = pod.metadata.annotations.as_ref();
                let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
                annotations.is_some_and(|all| all.contains_key(names::RESTARTED_AT))
                    && containers == 2
            },
        )
        .await;
    stage.until_available("mesh").await;
    stage.quiet().await;
    let writes = stage.since(mark).await.writes();
    let writes = writes.only(|entry| entry.subresource != "status" && entry.resource != "events");
    assert_eq!(writes.len(), 0, "{writes}");
    let set = stage.api::<StatefulSet>().get("mesh").await.unwrap();
    let template = set.spec.unwrap().template;
    assert!(
        template
            .metadata
            .unwrap()
            .annotations
            .unwrap()
            .contains_key(names::RESTARTED_AT)
    );
    let pod = template.spec.unwrap();
    assert_eq!(pod.containers.len(), 2);
    assert!(pod.host_aliases.is_some());
}
