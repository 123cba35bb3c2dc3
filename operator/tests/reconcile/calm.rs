//! What is wrong is told once and tried again seldom: nothing goes round in circles.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use meshcore_operator::backoff::Backoff;
use meshcore_operator::names;
use meshcore_operator::rbac::{self, Rule};
use serde_json::{Value, json};

use crate::support::{Stage, minimal, with};
use crate::wrong::{with_credentials, without};

/// For how long requests are counted. The delays of the usual back-off begin at 5 s and double.
const WHILE: Duration = Duration::from_secs(10);
/// Retries after 5 s and after 10 s more, and one that a change around the resource may cause.
const MAX_RECONCILES: u64 = 3;
/// A reconcile that is refused something asks for at most so much: what it can't find, and what it tries again.
const MAX_REQUESTS: usize = 3 * 6;

/// Something that is wrong.
struct Case {
    reason: &'static str,
    spec: Value,
    annotations: Value,
    /// What is there before the resource.
    objects: Vec<Value>,
    rights: Vec<Rule>,
}

impl Case {
    fn new(reason: &'static str, spec: Value) -> Self {
        Self {
            reason,
            spec,
            annotations: json!({}),
            objects: Vec::new(),
            rights: rbac::WATCHED.to_vec(),
        }
    }

    fn beside(self, object: Value) -> Self {
        Self {
            objects: vec![object],
            ..self
        }
    }

    /// Makes it so, and waits until the resource says it; then counts.
    async fn stays_calm(self) -> Option<String> {
        let mut stage = Stage::without_operator().await?;
        stage.options(|options| options.backoff = Backoff::default());
        stage.grant(&self.rights).await;
        self.make(&stage).await;
        stage.start().await;
        let Self { reason, .. } = self;
        stage
            .until_condition("mesh", "Stalled", "True", reason)
            .await;
        stage.until_event("mesh", reason).await;
        // While reconciles fail, what changes around the resource is looked at after a second.
        stage.quiet_for(Duration::from_secs(2)).await;

        let (mark, before) = (stage.mark().await, stage.reconciles());
        tokio::time::sleep(WHILE).await;
        let reconciles = stage.reconciles() - before;
        let requests = stage.since(mark).await;
        assert!(reconciles <= MAX_RECONCILES, "{reason}: {reconciles}");
        assert!(requests.len() <= MAX_REQUESTS, "{reason}: {requests}");
        let done = requests.clone().writes().only(|entry| entry.code < 300);
        assert_eq!(done.len(), 0, "{reason}: {done}");
        let mut events = stage.event_reasons("mesh").await;
        events.retain(|one| one == reason);
        assert_eq!(events.len(), 1, "{reason}");
        let requests = requests.len();
        Some(format!(
            "{reason}: {reconciles} reconciles, {requests} requests"
        ))
    }

    /// Everything, and the resource last.
    async fn make(&self, stage: &Stage) {
        for object in &self.objects {
            apply(stage, object.clone()).await;
        }
        if self.reason == "ClaimTerminating" {
            stage.delete::<PersistentVolumeClaim>("mesh-data").await;
        }
        let resource = json!({
            "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
            "metadata": {"name": "mesh", "annotations": self.annotations}, "spec": self.spec,
        });
        apply(stage, resource).await;
    }
}

async fn apply(stage: &Stage, mut object: Value) {
    object["metadata"]["namespace"] = stage.ns().into();
    let applied = stage.plane.admin().apply_yaml(&object.to_string()).await;
    applied.unwrap();
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mesh"}, "spec": {"ports": [{"port": 1}]}})
}

fn quota() -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
        "spec": {"hard": {"services": "0"}}})
}

/// A claim with the name of ours, which stays when it is deleted.
fn claim(labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "mesh-data", "labels": labels, "finalizers": ["example.org/used"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
}

fn cases() -> Vec<Case> {
    let ours = json!({names::MANAGED_BY: names::FIELD_MANAGER, names::INSTANCE: "mesh"});
    vec![
        Case::new("SecretMissing", with_credentials()),
        Case::new("NameConflict", minimal()).beside(service()),
        Case::new("NameConflict", minimal()).beside(claim(&json!({}))),
        Case::new("ClaimTerminating", minimal()).beside(claim(&ours)),
        Case::new(
            "ClaimMissing",
            with(json!({"storage": {"existingClaim": "none"}})),
        ),
        Case {
            annotations: json!({names::INITIALIZED_CLAIM: "5bd8c0a6-3c1c-4d7e-9a0e-5a3f0a2c9a11"}),
            ..Case::new("ClaimLost", minimal())
        },
        Case::new("Refused", with(json!({"storage": {"size": "2Gi"}}))).beside(claim(&ours)),
        Case::new("QuotaExceeded", minimal()).beside(quota()),
        Case {
            rights: without("services", "patch"),
            ..Case::new("Forbidden", minimal())
        },
        Case {
            rights: without("poddisruptionbudgets", "list"),
            ..Case::new("Forbidden", minimal())
        },
        Case::new(
            "GatewayApiMissing",
            with(json!({"httpRoute": {"parentRefs": [{"name": "gateway"}]}})),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_once_and_tried_again_seldom() {
    let figures = join_all(cases().into_iter().map(Case::stays_calm)).await;
    println!("in {WHILE:?}: {figures:#?}");
}
