//! What people do to an analyzer that runs.

use serde_json::json;

use super::story::Story;
use crate::scene::{Pod, Scene};

pub(crate) async fn pods_that_are_replaced_lose_nothing(scene: Scene) {
    let mut story = Story::begin(scene, &json!({})).await;
    story
        .incident("eviction", async |story| evict(&story.scene).await)
        .await;
    story.incident("broker restart", restart_broker).await;
    story
        .incident("config change", async |story| {
            let pod = story.scene.pod().await;
            let spec = json!({"channels": {"hashtags": ["#test"]}});
            story.scene.change(&spec).await;
            story.scene.wait_for_another_pod(pod.uid()).await;
        })
        .await;
    story
        .incident("image upgrade", async |story| upgrade(&story.scene).await)
        .await;
    story.end().await;
}

/// What a drain asks for, without the node.
async fn evict(scene: &Scene) {
    let pod = scene.pod().await;
    let namespace = scene.namespace.name();
    let path = format!("/api/v1/namespaces/{namespace}/pods/mesh-0/eviction");
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "mesh-0", "namespace": namespace},
    });
    let create = ["create", "--raw", &path, "-f", "-"];
    let admin = scene.cluster.admin();
    admin
        .kubectl_with_input(&create, &eviction.to_string())
        .await
        .unwrap();
    scene.wait_for_another_pod(pod.uid()).await;
}

async fn restart_broker(story: &Story) {
    let before = story.scene.pod().await;
    // Not by deleting its pod: a ReplicaSet replaces that while it still writes its queues.
    for step in ["restart", "status"] {
        let rollout = ["rollout", step, "deployment/broker"];
        story.scene.kubectl(&rollout).await.unwrap();
    }
    story.broker.wait().await;
    let now = story.scene.wait_for_pod("ready", Pod::is_ready).await;
    assert!(before.is_untouched(&now), "a broker takes nobody with it");
}

/// The same programs by another tag.
async fn upgrade(scene: &Scene) {
    let pod = scene.pod().await;
    let tags = ["ingestor", "server"].map(|container| next_tag(scene, pod.image(container)));
    scene.change(&json!({"image": {"tag": tags[0]}})).await;
    let next = scene.wait_for_another_pod(pod.uid()).await;
    for container in ["ingestor", "server"] {
        let image = next.image(container);
        assert!(image.ends_with(&tags[0]), "{image}");
    }
}

/// Gives an image of the node a tag of the next version.
pub(super) fn next_tag(scene: &Scene, image: &str) -> String {
    let image = format!("docker.io/library/{image}");
    let next = format!("{image}-next");
    let tag = ["images", "tag", "--force", &image, &next];
    scene.cluster.ctr(&tag).unwrap();
    let (_, tag) = next.rsplit_once(':').unwrap();
    tag.to_owned()
}
