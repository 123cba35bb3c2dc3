//! What happens to everybody on the node.

use std::collections::BTreeSet;
use std::time::Duration;

use meshcore_testkit::kubernetes::{Component, NODE, wait_for};
use serde_json::json;

use super::changed::next_tag;
use super::story::Story;
use crate::scene::{Pod, Scene, operator};

/// Longer than two rounds of the probes of readiness.
const PROBED: Duration = Duration::from_secs(12);

pub(crate) async fn a_node_and_an_operator_that_are_replaced_lose_nothing(scene: Scene) {
    let mut story = Story::begin(scene, &json!({})).await;
    let pod = story.scene.pod().await;
    story
        .incident("operator upgrade", async |story| {
            upgrade_operator(&story.scene).await;
        })
        .await;
    story
        .incident("kubelet restart", async |story| {
            restart_kubelet(&story.scene).await;
        })
        .await;
    let now = story.scene.pod().await;
    assert!(pod.is_untouched(&now), "no container was restarted");
    story
        .incident("node drain", async |story| drain(&story.scene).await)
        .await;
    story.end().await;
}

async fn restart_kubelet(scene: &Scene) {
    scene.cluster.restart(Component::Kubelet).await.unwrap();
    // It has found the containers again when it can say what they print.
    wait_for("the kubelet knows its containers", async || {
        let logs = ["logs", "mesh-0", "-c=server", "--tail=1"];
        scene.kubectl(&logs).await.ok()
    })
    .await
    .unwrap();
    // Until it has probed everything anew, the state of the pod is not its word.
    tokio::time::sleep(PROBED).await;
    scene.wait_for_pod("ready", Pod::is_ready).await;
}

/// The same program by another tag.
async fn upgrade_operator(scene: &Scene) {
    let get = [
        "get",
        "deployments",
        "-o=jsonpath={.items[0].spec.template.spec.containers[0].image}",
        "-n",
        operator::NAMESPACE,
    ];
    let image = scene.cluster.admin().kubectl(&get).await.unwrap();
    let chart = operator::chart("meshcore-operator");
    let tag = format!("image.tag={}", next_tag(scene, &image));
    let upgrade = ["upgrade", "meshcore", &chart, "--reuse-values", "--wait"];
    operator::run(scene.cluster, &[&upgrade[..], &["--set", &tag]].concat())
        .await
        .unwrap();
    // The new one works.
    let annotations = json!({"service": {"annotations": {"example.org/upgraded": "yes"}}});
    scene.change(&annotations).await;
    let what = r"jsonpath={.metadata.annotations.example\.org/upgraded}=yes";
    scene.wait("service/mesh", what).await;
}

/// The operator and the broker go too.
async fn drain(scene: &Scene) {
    let pod = scene.pod().await;
    let before = others(scene).await;
    assert_eq!(before.len(), 2, "the operator and the broker: {before:?}");
    let admin = scene.cluster.admin();
    let flags = ["--delete-emptydir-data", "--force", "--timeout=3m"];
    let drain = [&["drain", NODE], &flags[..]].concat();
    admin.kubectl(&drain).await.unwrap();
    admin.kubectl(&["uncordon", NODE]).await.unwrap();
    scene.wait_for_another_pod(pod.uid()).await;
    let now = others(scene).await;
    assert!(before.is_disjoint(&now), "{before:?}, then {now:?}");
}

/// The other pods that are part of it.
async fn others(scene: &Scene) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for namespace in [operator::NAMESPACE, scene.namespace.name()] {
        let get = ["get", "pods", "-o=name", "-n", namespace];
        let names = scene.cluster.admin().kubectl(&get).await.unwrap();
        pods.extend(names.lines().map(str::to_owned));
    }
    pods.remove("pod/mesh-0");
    pods
}
