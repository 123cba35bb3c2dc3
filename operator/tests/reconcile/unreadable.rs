//! Resources that the installed definition lets through and the operator can't read, or knows only in part.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::core::{ApiResource, DynamicObject};
use meshcore_resource::MeshCoreDeployment;
use meshcore_testkit::kubernetes::{ControlPlane, Version, wait_for};
use serde_json::{Value, json};

use crate::support::{Stage, minimal, with};

/// A control plane whose definition accepts any spec; the operator's own is on the one that the other tests share.
async fn loose() -> Option<&'static ControlPlane> {
    static LOOSE: OnceLock<Option<ControlPlane>> = OnceLock::new();
    let plane = LOOSE.get_or_init(|| ControlPlane::start(Version::chosen()).unwrap());
    let plane = plane.as_ref()?;
    let crd = meshcore_resource::crd_yaml();
    let mut crd: Value = serde_yaml::from_str(&crd).unwrap();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    schema["required"].take();
    schema["x-kubernetes-validations"].take();
    plane.install_crds(&crd.to_string()).await.unwrap();
    Some(plane)
}

/// Applies a resource that has no type, and with null in the place of fields that are to go.
async fn apply(stage: &Stage, name: &str, spec: Value) {
    let object = json!({
        "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
        "metadata": {"name": name, "namespace": stage.ns()}, "spec": spec,
    });
    let applied = stage.plane.admin().apply_yaml(&object.to_string()).await;
    applied.unwrap();
}

/// Waits until a condition of a resource that has no type has this reason; its message.
async fn until_reason(stage: &Stage, name: &str, type_: &str, reason: &str) -> String {
    let kind = ApiResource::erase::<MeshCoreDeployment>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(stage.client.clone(), stage.ns(), &kind);
    let mut last = None;
    let found = wait_for(reason, async || {
        let resource = api.get(name).await.unwrap();
        let mut conditions = resource.data["status"]["conditions"].as_array()?.clone();
        conditions.retain(|one| one["type"] == type_ && one["reason"] == reason);
        last = Some(resource.data);
        Some(conditions.pop()?["message"].as_str()?.to_owned())
    })
    .await;
    found.unwrap_or_else(|error| panic!("{error}: {last:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_cannot_be_read_says_where_and_holds_up_no_other() {
    let Some(plane) = loose().await else { return };
    let mut stage = Stage::on(plane).await;
    stage.start().await;
    let wrong = [
        (
            "text",
            json!({"mqttSources": "none", "storage": {"size": "1Gi"}}),
            "spec.mqttSources",
        ),
        (
            "number",
            with(json!({"retention": {"packetDays": "many"}})),
            "spec.retention.packetDays",
        ),
        (
            "lacking",
            json!({"storage": {"size": "1Gi"}}),
            "spec.mqttSources",
        ),
        (
            "word",
            with(json!({"storage": {"size": "1Gi", "reclaimPolicy": "Recycle"}})),
            "spec.storage.reclaimPolicy",
        ),
    ];
    for (name, spec, _) in &wrong {
        apply(&stage, name, spec.clone()).await;
    }
    for (name, _, field) in &wrong {
        let text = until_reason(&stage, name, "Stalled", "Unreadable").await;
        assert!(
            text.contains(field) && text.contains("correct the resource"),
            "{name}: {text}"
        );
    }
    apply(&stage, "good", minimal()).await;
    stage.until("good", "there", |_: &StatefulSet| true).await;
    stage.until("good-0", "there", |_: &Pod| true).await;
    until_reason(&stage, "good", "Ready", "Starting").await;
    // Longer than the longest pause between two tries.
    stage.idle_for(Duration::from_secs(5)).await;

    apply(&stage, "number", minimal()).await;
    stage.until("number", "there", |_: &StatefulSet| true).await;
    until_reason(&stage, "number", "Ready", "Starting").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_a_later_version_is_passed_over() {
    let Some(plane) = loose().await else { return };
    let mut stage = Stage::on(plane).await;
    stage.start().await;
    apply(&stage, "mesh", with(json!({"future": {"is": "bright"}}))).await;
    stage.until("mesh", "there", |_: &StatefulSet| true).await;
    until_reason(&stage, "mesh", "Ready", "Starting").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rules_refuse_is_not_made_either() {
    let Some(plane) = loose().await else { return };
    let mut stage = Stage::on(plane).await;
    stage.start().await;
    let source = json!({"name": "local", "broker": "mqtt://mosquitto:1883"});
    let wrong = [
        (
            "twice",
            json!({"mqttSources": [source, source]}),
            "spec.mqttSources",
        ),
        (
            "negative",
            json!({"retention": {"packetDays": -1}}),
            "spec.retention.packetDays",
        ),
    ];
    for (name, spec, field) in wrong {
        apply(&stage, name, with(spec)).await;
        let text = until_reason(&stage, name, "Stalled", "Invalid").await;
        assert!(text.contains(field), "{name}: {text}");
        let sets = stage.api::<StatefulSet>();
        assert!(sets.get_opt(name).await.unwrap().is_none(), "{name}");
    }
}
