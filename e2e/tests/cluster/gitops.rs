//! Beside a tool that applies the same manifests again and again, as Argo CD and Flux do.

use std::time::Duration;

use meshcore_testkit::kubernetes::AuditEntry;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::scene::{NAMESPACE, Scene, repository, resource};

/// How long the tool and the operator are watched.
const TIME: Duration = Duration::from_mins(2);
const PERIOD: Duration = Duration::from_secs(5);
/// The kinds whose objects must stay as they are.
const KINDS: &str =
    "mcd,statefulsets,services,configmaps,persistentvolumeclaims,serviceaccounts,pods";
/// The Secrets that the samples name.
const SECRETS: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: mosquitto}
stringData: {username: mesh, password: secret}
---
apiVersion: v1
kind: Secret
metadata: {name: mosquitto-ca}
stringData: {ca.crt: none}
";

pub(crate) async fn a_tool_that_applies_again_and_again_is_no_quarrel(scene: Scene) {
    let manifests = manifests();
    scene.apply(SECRETS).await.unwrap();
    apply(&scene, &manifests).await;
    for name in ["mcd/minimal", "mcd/bay-area", "mcd/mesh"] {
        scene.wait(name, "condition=Ready").await;
    }
    let before = settled(&scene).await;
    let mark = scene.cluster.audit().mark().await.unwrap();
    let until = Instant::now() + TIME;
    let mut times = 0;
    while Instant::now() < until {
        apply(&scene, &manifests).await;
        times += 1;
        sleep(PERIOD).await;
    }
    let writes = scene.cluster.audit().since(mark).await.unwrap().writes();
    let writes =
        writes.only(|entry| is_operator(entry) && entry.namespace == scene.namespace.name());
    scene.figure("applied again", format!("{times} times"), "");
    scene.figure("writes of the operator", writes.len(), "0");
    let after = objects(&scene).await;
    assert_eq!(writes.len(), 0, "{writes}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
    assert_nothing_differs(&scene, &manifests).await;
}

/// Samples as they are, and a resource with the label by which Argo CD knows what it has applied.
fn manifests() -> String {
    let sample = |name| {
        let file = repository().join("manifests/samples").join(name);
        std::fs::read_to_string(file).unwrap()
    };
    let mut mesh = resource(&json!({"podDisruptionBudget": {"enabled": true}}));
    mesh["metadata"]["labels"] = json!({"app.kubernetes.io/instance": "argo-app"});
    [
        sample("minimal.yaml"),
        sample("tls-broker.yaml"),
        mesh.to_string(),
    ]
    .join("\n---\n")
}

async fn apply(scene: &Scene, manifests: &str) {
    run(scene, "apply", &["--force-conflicts"], manifests).await;
}

/// What the tool would show as out of sync.
async fn assert_nothing_differs(scene: &Scene, manifests: &str) {
    let differs = run(scene, "diff", &["--force-conflicts"], manifests).await;
    assert_eq!(differs, "");
}

async fn run(scene: &Scene, verb: &str, flags: &[&str], manifests: &str) -> String {
    let manager = "--field-manager=argocd-controller";
    let namespace = scene.namespace.name();
    let arguments = [verb, "--server-side", manager, "-n", namespace, "-f", "-"];
    let arguments = [&arguments, flags].concat();
    let admin = scene.cluster.admin();
    admin
        .kubectl_with_input(&arguments, manifests)
        .await
        .unwrap()
}

/// The objects, once nothing has changed for a while: the end of a rollout reaches the status in steps.
async fn settled(scene: &Scene) -> Vec<Value> {
    let until = Instant::now() + crate::scene::SOON;
    let mut last = objects(scene).await;
    loop {
        sleep(2 * PERIOD).await;
        let now = objects(scene).await;
        if now == last {
            return now;
        }
        assert!(Instant::now() < until, "it never settles");
        last = now;
    }
}

/// What must not change: who owns which fields, versions, and whether pods and containers are the same.
async fn objects(scene: &Scene) -> Vec<Value> {
    let list = ["get", KINDS, "--show-managed-fields", "-o=json"];
    let list = scene.kubectl(&list).await.unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let restarts = |object: &Value| {
        let lists = ["initContainerStatuses", "containerStatuses"];
        lists.map(|list| object["status"][list][0]["restartCount"].clone())
    };
    let objects = list["items"].as_array().unwrap().iter();
    objects
        .map(|object| json!([object["kind"], object["metadata"], restarts(object)]))
        .collect()
}

fn is_operator(entry: &AuditEntry) -> bool {
    let account = format!("system:serviceaccount:{NAMESPACE}:");
    entry.user.starts_with(&account)
}
