//! One resource becomes all its objects, and a status that tools can read.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use kube::api::ListParams;
use meshcore_operator::names;

use crate::support::{Stage, condition, minimal, observed};

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_becomes_all_its_objects_and_says_how_it_is() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    let starting = stage
        .until_condition("mesh", "Ready", "False", "Starting")
        .await;
    let types = [
        "Reconciling",
        "Stalled",
        "StorageReady",
        "StorageResizing",
        "StoragePressure",
        "ShutdownBudgetAtRisk",
        "RolloutPending",
    ];
    for type_ in types {
        assert_ne!(condition(&starting, type_), Default::default(), "{type_}");
    }
    assert_eq!(condition(&starting, "Reconciling").0, "True");
    let conditions = &starting.status.as_ref().unwrap().conditions;
    assert!(
        conditions
            .iter()
            .all(|one| one.observed_generation == starting.metadata.generation)
    );

    let ours = ListParams::default().labels(&names::managed_selector());
    assert_eq!(
        stage
            .api::<Service>()
            .list(&ours)
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    assert_eq!(
        stage
            .api::<ConfigMap>()
            .list(&ours)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        stage
            .api::<ServiceAccount>()
            .list(&ours)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        stage
            .api::<PersistentVolumeClaim>()
            .list(&ours)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        stage
            .api::<StatefulSet>()
            .list(&ours)
            .await
            .unwrap()
            .items
            .len(),
        1
    );

    let ready = stage.until_available("mesh").await;
    assert_eq!(condition(&ready, "Reconciling").0, "False");
    assert_eq!(condition(&ready, "Stalled").0, "False");
    assert_eq!(observed(&ready), ready.metadata.generation);
    let status = ready.status.unwrap();
    let effective = status.effective.unwrap();
    assert_eq!(effective.termination_grace_period_seconds, Some(60));
    assert_eq!(effective.running_pod_grace_seconds, Some(60));
    assert_eq!(effective.version.as_deref(), Some("1.0.0"));
    assert!(status.template.unwrap().hash.is_some());
    let claim = stage
        .api::<PersistentVolumeClaim>()
        .get("mesh-data")
        .await
        .unwrap();
    let storage = status.storage.unwrap();
    assert_eq!(storage.claim_uid, claim.metadata.uid);
    assert_eq!(storage.initialized, Some(true));
    let annotations = ready.metadata.annotations.unwrap();
    assert_eq!(
        annotations.get(names::INITIALIZED_CLAIM),
        claim.metadata.uid.as_ref()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_made_with_few_requests() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let mark = stage.mark().await;
    stage.apply("mesh", minimal()).await;
    stage
        .until_condition("mesh", "Ready", "False", "Starting")
        .await;
    stage.quiet().await;
    let requests = stage.since(mark).await;
    let requests = requests.only(|entry| !matches!(entry.verb.as_str(), "list" | "watch"));
    assert!(requests.len() <= 15, "{requests}");
}
