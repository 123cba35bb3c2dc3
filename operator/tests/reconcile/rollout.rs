//! What restarts the pod: why, and not without consent.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use meshcore_operator::names;
use meshcore_resource::MeshCoreDeployment;
use meshcore_testkit::kubernetes::waiting_status;
use serde_json::json;

use crate::support::{Stage, condition, message, minimal, with};

fn image(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    spec.containers.first()?.image.as_deref()
}

fn reason(resource: &MeshCoreDeployment) -> Option<String> {
    let template = resource.status.as_ref()?.template.as_ref()?;
    template.last_rollout_reason.clone()
}

fn pending(resource: &MeshCoreDeployment) -> Vec<String> {
    let template = resource
        .status
        .as_ref()
        .and_then(|status| status.template.as_ref());
    template
        .map(|template| template.pending.clone())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_explained_by_the_field_that_made_it() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    let first = stage.until_available("mesh").await;
    assert_eq!(reason(&first), None);

    let tag = json!({"image": {"tag": "2.0.0"}, "service": {"port": 8000}});
    stage.apply("mesh", with(tag)).await;
    stage
        .until_condition("mesh", "Ready", "False", "Starting")
        .await;
    stage
        .until("mesh-0", "new", |pod: &Pod| {
            image(pod).is_some_and(|image| image.ends_with(":2.0.0"))
        })
        .await;
    let second = stage.until_available("mesh").await;
    assert_eq!(reason(&second).as_deref(), Some("spec.image.tag"));
    let hash = |resource: &MeshCoreDeployment| {
        let status = resource.status.clone().unwrap();
        status.template.unwrap().hash.unwrap()
    };
    assert_ne!(hash(&first), hash(&second));

    let service = json!({"image": {"tag": "2.0.0"}, "service": {"port": 8001}});
    stage.apply("mesh", with(service)).await;
    let third = stage
        .until_condition("mesh", "Ready", "True", "Available")
        .await;
    assert_eq!(
        hash(&second),
        hash(&third),
        "a port of the Service restarts nothing"
    );
    assert_eq!(reason(&third), reason(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_configuration_goes_when_no_revision_names_it() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let configured = |days: i64| with(json!({"retention": {"packetDays": days}}));
    let mut names = Vec::new();
    for days in 1..=5 {
        stage.apply("mesh", configured(days)).await;
        stage.until_available("mesh").await;
        names.push(stage.config_map("mesh").await);
    }
    names.dedup();
    assert_eq!(names.len(), 5, "each configuration has a name of its own");
    // The StatefulSet keeps two revisions beside the current one, for a rollback.
    stage.until_gone::<ConfigMap>(&names[0]).await;
    stage.until_gone::<ConfigMap>(&names[1]).await;
    let ours = ListParams::default().labels(&names::managed_selector());
    let left = stage.api::<ConfigMap>().list(&ours).await.unwrap();
    assert!(
        left.items
            .iter()
            .any(|map| map.metadata.name.as_ref() == Some(&names[4]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_change_is_announced_and_not_made() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    let config = stage.config_map("mesh").await;
    stage.quiet().await;
    let mark = stage.mark().await;

    let change = json!({"image": {"tag": "2.0.0"}, "retention": {"packetDays": 7}, "service": {"port": 8000}});
    let mut held = change.clone();
    held["rollout"] = json!({"hold": true});
    stage.apply("mesh", with(held.clone())).await;
    let announced = stage
        .until_condition("mesh", "RolloutPending", "True", "Held")
        .await;
    assert_eq!(
        condition(&announced, "Ready"),
        ("True".to_owned(), "Available".to_owned())
    );
    let fields = pending(&announced);
    let named = "spec.template.spec.containers[server].image".to_owned();
    assert!(fields.contains(&named), "{fields:?}");
    let text = message(&announced, "RolloutPending");
    assert!(
        text.contains("spec.image.tag, spec.retention.packetDays"),
        "{text}"
    );
    stage.quiet().await;
    let writes = stage.since(mark).await.writes();
    let held_back = ["statefulsets", "configmaps", "pods"];
    let made = writes.only(|entry| held_back.contains(&entry.resource.as_str()));
    assert_eq!(made.len(), 0, "{made}");
    let service: k8s_openapi::api::core::v1::Service = stage.api().get("mesh").await.unwrap();
    let port = service.spec.unwrap().ports.unwrap()[0].port;
    assert_eq!(port, 8000, "what restarts nothing is not held");

    stage.apply("mesh", with(change)).await;
    stage
        .until("mesh-0", "new", |pod: &Pod| {
            image(pod).is_some_and(|image| image.ends_with(":2.0.0"))
        })
        .await;
    let done = stage.until_available("mesh").await;
    assert_eq!(condition(&done, "RolloutPending").0, "False");
    assert_eq!(pending(&done), [""; 0]);
    assert_eq!(
        reason(&done).as_deref(),
        Some("spec.image.tag, spec.retention.packetDays")
    );
    assert_ne!(stage.config_map("mesh").await, config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_replica_goes_away_even_under_hold() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage
        .apply("mesh", with(json!({"rollout": {"hold": true}})))
        .await;
    stage.until_available("mesh").await;
    stage
        .patch::<StatefulSet>("mesh", json!({"spec": {"replicas": 2}}))
        .await;
    let is_one = |set: &StatefulSet| set.spec.as_ref().and_then(|spec| spec.replicas) == Some(1);
    stage.until("mesh", "of one replica", is_one).await;
    // The fields that were applied are still ours: the next apply takes away what is no longer asked for.
    stage.apply("mesh", minimal()).await;
    stage
        .until_condition("mesh", "Ready", "True", "Available")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_stuck_on_an_older_template_is_deleted() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    // A partition is a foreign field, and keeps the StatefulSet from replacing its first pod.
    let partition =
        |from| json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": from}}}});
    stage.patch::<StatefulSet>("mesh", partition(1)).await;
    let old: Pod = stage.api().get("mesh-0").await.unwrap();
    stage
        .apply("mesh", with(json!({"image": {"tag": "2.0.0"}})))
        .await;
    stage
        .until_condition("mesh", "Ready", "False", "RollingOut")
        .await;
    stage
        .pod_says(&old, &waiting_status(&old, "server", "CrashLoopBackOff", 1))
        .await;
    stage
        .until("mesh-0", "another", |pod: &Pod| {
            pod.metadata.uid != old.metadata.uid
        })
        .await;
    stage.until_event("mesh", "StuckPodDeleted").await;

    stage.patch::<StatefulSet>("mesh", partition(0)).await;
    stage
        .until("mesh-0", "new", |pod: &Pod| {
            image(pod).is_some_and(|image| image.ends_with(":2.0.0"))
        })
        .await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_crashes_is_told_with_its_exit_code() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    stage.until_available("mesh").await;
    let pod: Pod = stage.api().get("mesh-0").await.unwrap();
    stage
        .pod_says(
            &pod,
            &waiting_status(&pod, "ingestor", "CrashLoopBackOff", 3),
        )
        .await;
    let stalled = stage
        .until_condition("mesh", "Stalled", "True", "CrashLoop")
        .await;
    let text = message(&stalled, "Ready");
    for part in ["ingestor", "mesh-0", "exit code 3", "store"] {
        assert!(text.contains(part), "{text}");
    }
    stage.until_event("mesh", "CrashLoop").await;
}
