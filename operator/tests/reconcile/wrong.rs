//! What is wrong with what is around a resource: a condition names the object and the cure, which helps when it comes.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ResourceQuota, Secret, Service};
use kube::api::PostParams;
use meshcore_operator::rbac::{self, Rule};
use meshcore_resource::MeshCoreDeployment;
use serde_json::{Value, json};

use crate::support::{Child, Stage, message, minimal, with};

async fn make<K: Child>(stage: &Stage, object: Value) -> K {
    let object = serde_json::from_value(object).expect("an object");
    stage
        .api()
        .create(&PostParams::default(), &object)
        .await
        .expect("it is accepted")
}

/// The rules of the role without a verb on a resource.
pub(crate) fn without(resource: &str, verb: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    for rule in rbac::WATCHED {
        for one in rule.resources {
            let verbs = rule.verbs.iter().copied();
            let left: Vec<_> = verbs
                .filter(|other| *one != resource || *other != verb)
                .collect();
            let resources: &'static [&'static str] = vec![*one].leak();
            // A rule needs a verb.
            if !left.is_empty() {
                rules.push(Rule {
                    resources,
                    verbs: left.leak(),
                    ..*rule
                });
            }
        }
    }
    rules
}

pub(crate) fn with_credentials() -> Value {
    with(json!({"mqttSources": [{
        "name": "local", "broker": "mqtts://mosquitto:8883", "credentialsSecretRef": {"name": "mosquitto"},
    }]}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_named_with_its_keys_and_the_pod_starts_anyway() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", with_credentials()).await;
    let missing = stage
        .until_condition("mesh", "Stalled", "True", "SecretMissing")
        .await;
    let text = message(&missing, "Stalled");
    for part in [
        "/mosquitto ",
        "spec.mqttSources[0].credentialsSecretRef",
        "password, username",
    ] {
        assert!(text.contains(part), "{text}");
    }
    stage.until("mesh", "there", |_: &StatefulSet| true).await;

    let half =
        json!({"metadata": {"name": "mosquitto"}, "stringData": {"username": "canary-user"}});
    make::<Secret>(&stage, half).await;
    // What changes in the spec has it looked at again at once.
    stage.apply("mesh", with_credentials()).await;
    stage.touch("mesh").await;
    stage
        .until_message("mesh", "Stalled", "lacks password")
        .await;
    stage
        .patch::<Secret>(
            "mosquitto",
            json!({"stringData": {"password": "canary-password"}}),
        )
        .await;
    stage.touch("mesh").await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_with_our_name_is_left_alone() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let port = json!([{"port": 9999, "protocol": "TCP"}]);
    let theirs: Service = make(
        &stage,
        json!({"metadata": {"name": "mesh"}, "spec": {"selector": {"app": "theirs"}, "ports": port}}),
    )
    .await;
    stage.apply("mesh", minimal()).await;
    let refused = stage
        .until_condition("mesh", "Stalled", "True", "NameConflict")
        .await;
    let text = message(&refused, "Stalled");
    assert!(
        text.contains("Service ") && text.contains("/mesh "),
        "{text}"
    );
    let after: Service = stage.api().get("mesh").await.unwrap();
    assert_eq!(
        after.metadata.resource_version,
        theirs.metadata.resource_version
    );
    stage.until("mesh", "there", |_: &StatefulSet| true).await;

    stage.delete::<Service>("mesh").await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_named_and_the_rest_is_made() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": {"services": "1"}}});
    make::<ResourceQuota>(&stage, quota).await;
    stage
        .until("few", "counted", |quota: &ResourceQuota| {
            quota
                .status
                .as_ref()
                .is_some_and(|status| status.used.is_some())
        })
        .await;
    stage.apply("mesh", minimal()).await;
    let refused = stage
        .until_condition("mesh", "Stalled", "True", "QuotaExceeded")
        .await;
    let text = message(&refused, "Stalled");
    assert!(
        text.contains("Service ") && text.contains("quota"),
        "{text}"
    );
    stage.until("mesh", "there", |_: &StatefulSet| true).await;

    stage
        .patch::<ResourceQuota>("few", json!({"spec": {"hard": {"services": "5"}}}))
        .await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_a_quota_refuses_is_said_to_be_missing_and_where_to_look() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    make::<ResourceQuota>(&stage, quota).await;
    stage.apply("mesh", minimal()).await;
    stage
        .until_message("mesh", "Ready", "kubectl describe statefulset mesh")
        .await;
    stage.delete::<ResourceQuota>("none").await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_names_what_to_grant() {
    for (resource, verb) in [
        ("services", "patch"),
        ("secrets", "get"),
        ("statefulsets", "get"),
    ] {
        let Some(mut stage) = Stage::without_operator().await else {
            return;
        };
        stage.grant(&without(resource, verb)).await;
        stage.start().await;
        let spec = if resource == "secrets" {
            with_credentials()
        } else {
            minimal()
        };
        stage.apply("mesh", spec).await;
        let refused = stage
            .until_condition("mesh", "Stalled", "True", "Forbidden")
            .await;
        let text = message(&refused, "Stalled");
        assert!(
            text.contains(&format!("the verb {verb} on {resource}")),
            "{text}"
        );

        let credentials = json!({"username": "u", "password": "p"});
        make::<Secret>(
            &stage,
            json!({"metadata": {"name": "mosquitto"}, "stringData": credentials}),
        )
        .await;
        stage.grant(rbac::WATCHED).await;
        stage.touch("mesh").await;
        stage.until_available("mesh").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_refused_holds_up_nothing_else_and_is_named() {
    let Some(mut stage) = Stage::without_operator().await else {
        return;
    };
    stage.grant(&without("poddisruptionbudgets", "list")).await;
    stage.start().await;
    stage.apply("mesh", minimal()).await;
    let refused = stage
        .until_condition("mesh", "Stalled", "True", "Forbidden")
        .await;
    let text = message(&refused, "Stalled");
    assert!(text.contains("watch poddisruptionbudgets"), "{text}");
    stage.until("mesh", "there", |_: &StatefulSet| true).await;

    stage.grant(rbac::WATCHED).await;
    stage.until_available("mesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_a_resource_that_is_being_deleted() {
    let Some(mut stage) = Stage::without_operator().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    stage
        .patch::<MeshCoreDeployment>("mesh", finalizers(json!(["example.org/theirs"])))
        .await;
    stage.delete::<MeshCoreDeployment>("mesh").await;
    let mark = stage.mark().await;
    stage.start().await;
    stage.until_reconciles(1).await;
    stage.quiet().await;
    assert_eq!(stage.since(mark).await.writes().len(), 0);
    stage
        .patch::<MeshCoreDeployment>("mesh", finalizers(json!(null)))
        .await;
    stage.until_gone::<MeshCoreDeployment>("mesh").await;
}
