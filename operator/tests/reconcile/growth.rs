//! The size of the claim: it grows where its class lets it, and never shrinks.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use meshcore_resource::MeshCoreDeployment;
use serde_json::json;

use crate::support::{Stage, condition, message, minimal, with};

/// A class whose volumes may grow, and a volume of it for the claim of this stage.
async fn growing_class(stage: &Stage) -> String {
    let name = format!("grows-{}", stage.ns());
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": "example.org/none", "allowVolumeExpansion": true, "volumeBindingMode": "Immediate"},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
            "csi": {"driver": "example.org", "volumeHandle": name}, "persistentVolumeReclaimPolicy": "Retain"}},
    ]});
    stage
        .plane
        .admin()
        .apply_yaml(&objects.to_string())
        .await
        .unwrap();
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_grows_and_says_how_far_it_is() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let class = growing_class(&stage).await;
    let storage = |size: &str| with(json!({"storage": {"size": size, "storageClassName": class}}));
    stage.apply("mesh", storage("1Gi")).await;
    stage.until_available("mesh").await;
    let bound = stage
        .until_condition("mesh", "StorageReady", "True", "ClaimBound")
        .await;
    assert_eq!(condition(&bound, "StorageResizing").0, "False");

    stage.apply("mesh", storage("2Gi")).await;
    let growing = stage
        .until_condition("mesh", "StorageResizing", "True", "Growing")
        .await;
    assert_eq!(
        condition(&growing, "Ready").0,
        "True",
        "a volume that grows is no trouble"
    );
    let status = growing.status.unwrap().storage.unwrap();
    assert_eq!(status.requested.as_deref(), Some("2Gi"));
    assert_eq!(status.capacity.as_deref(), Some("1Gi"));

    // What the driver and the kubelet say at the end.
    let grown = json!({"status": {"capacity": {"storage": "2Gi"}}});
    let api: Api<PersistentVolumeClaim> = stage.api();
    api.patch_status("mesh-data", &PatchParams::default(), &Patch::Merge(grown))
        .await
        .unwrap();
    stage
        .until_condition("mesh", "StorageResizing", "False", "AsRequested")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_may_not_grow_says_so_and_the_rest_goes_on() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    let larger = with(json!({"storage": {"size": "2Gi"}, "service": {"port": 8000}}));
    stage.apply("mesh", larger).await;
    let refused = stage
        .until_condition("mesh", "Stalled", "True", "Refused")
        .await;
    let text = message(&refused, "Stalled");
    assert!(
        text.contains("PersistentVolumeClaim") && text.contains("mesh-data"),
        "{text}"
    );
    let service: Service = stage.api().get("mesh").await.unwrap();
    assert_eq!(service.spec.unwrap().ports.unwrap()[0].port, 8000);
    let resource: MeshCoreDeployment = stage.api().get("mesh").await.unwrap();
    assert_eq!(condition(&resource, "StorageResizing").0, "False");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_asks_for_less_than_its_claim_has_does_not_shrink_it() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let sized = |size: &str| with(json!({"storage": {"size": size}}));
    stage.apply("mesh", sized("2Gi")).await;
    stage.until_available("mesh").await;
    stage.delete::<MeshCoreDeployment>("mesh").await;
    stage.until_gone::<StatefulSet>("mesh").await;

    stage.apply("mesh", sized("1Gi")).await;
    let adopted = stage.until_available("mesh").await;
    let storage = adopted.status.unwrap().storage.unwrap();
    assert_eq!(storage.requested.as_deref(), Some("2Gi"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_volume_is_gone_is_told() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let class = growing_class(&stage).await;
    stage
        .apply(
            "mesh",
            with(json!({"storage": {"size": "1Gi", "storageClassName": class}})),
        )
        .await;
    stage
        .until_condition("mesh", "StorageReady", "True", "ClaimBound")
        .await;
    let volumes: Api<PersistentVolume> = Api::all(stage.client.clone());
    let free = json!({"metadata": {"finalizers": null}});
    volumes
        .delete(&class, &DeleteParams::default())
        .await
        .unwrap();
    volumes
        .patch(&class, &PatchParams::default(), &Patch::Merge(free))
        .await
        .unwrap();
    let lost = stage
        .until_condition("mesh", "Stalled", "True", "VolumeLost")
        .await;
    assert!(message(&lost, "Stalled").contains("mesh-data"));
    assert_eq!(condition(&lost, "StorageReady").0, "False");
}
