//! What comes after the first day: growth, a full disk, stops, deletion, downgrades, restarts.

mod disk;
mod schema;

use meshcore_testkit::kubernetes::wait_for;
use rustix::fs::statvfs;
use serde_json::json;
use std::time::Instant;

use crate::figures::seconds;
use crate::scene::{Broker, Load, Scene};
pub(crate) use disk::a_full_disk_is_told_and_loses_nothing;
pub(crate) use schema::a_downgrade_is_refused_and_says_so;

/// More than the 400 MiB that scenes begin with.
const LARGER: &str = "600Mi";

pub(crate) async fn a_claim_grows_while_it_is_used_and_keeps_its_class(scene: Scene) {
    let broker = Broker::start(&scene).await;
    scene.deploy(&json!({})).await;
    let pod = scene.value("pod/mesh-0", "{.metadata.uid}").await;
    let before = room(&scene);
    let load = Load::start(&broker, 0, 50);
    let began = Instant::now();
    scene.change(&json!({"storage": {"size": LARGER}})).await;
    let grown = format!("jsonpath={{.status.storage.capacity}}={LARGER}");
    scene.wait("mcd/mesh", &grown).await;
    scene.figure("a claim grown by 200 MiB", seconds(began.elapsed()), "");
    let claim = "{.status.capacity.storage}";
    assert_eq!(scene.value("pvc/mesh-data", claim).await, LARGER);
    let more = room(&scene) - before;
    assert!(more > 190 << 20, "the file system has {more} bytes more");
    scene
        .wait("mcd/mesh", "condition=StorageResizing=false")
        .await;

    for (storage, message) in [
        (
            json!({"storageClassName": "fixed"}),
            "a claim keeps its class",
        ),
        (json!({"size": "500Mi"}), "spec.storage.size"),
        (
            json!({"accessMode": "ReadWriteOncePod"}),
            "a claim keeps its access mode",
        ),
    ] {
        let patch = json!({"spec": {"storage": storage}});
        let refused = scene.try_patch("mcd/mesh", &patch).await.unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(message), "{refused}");
    }
    assert_eq!(scene.value("pod/mesh-0", "{.metadata.uid}").await, pod);
    let hashes = load.finish().await;
    let page = scene.page().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.stop_and_check(&hashes).await;
}

pub(crate) async fn a_stop_and_a_deletion_leave_the_data(scene: Scene) {
    let broker = Broker::start(&scene).await;
    scene.deploy(&json!({})).await;
    let claim = scene.value("pvc/mesh-data", "{.metadata.uid}").await;
    let (page, hashes) = stopped_with_packets(&scene, &broker).await;
    let reason = r#"jsonpath={.status.conditions[?(@.type=="Ready")].reason}=Stopped"#;
    scene.wait("mcd/mesh", reason).await;

    let began = Instant::now();
    scene.change(&json!({"stopped": false})).await;
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.figure("from start to the page", seconds(began.elapsed()), "");
    scene.kubectl(&["delete", "mcd/mesh"]).await.unwrap();
    for object in ["pod/mesh-0", "statefulset/mesh", "service/mesh"] {
        scene.wait(object, "delete").await;
    }
    let left = scene.value(
        "pvc/mesh-data",
        "{.metadata.uid} {.metadata.ownerReferences}",
    );
    assert_eq!(left.await, format!("{claim} "));

    scene.deploy(&json!({})).await;
    assert_eq!(
        scene.value("mcd/mesh", "{.status.storage.claimUID}").await,
        claim
    );
    let page = scene.page().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    // And it goes on where it was.
    let load = Load::start(&broker, hashes.len() as u64, 50);
    scene.wait_for_packets(&page, hashes.len() + 50).await;
    let hashes = [hashes, load.finish().await].concat();
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.stop_and_check(&hashes).await;
}

pub(crate) async fn a_rollout_restart_is_left_alone(scene: Scene) {
    scene.deploy(&json!({})).await;
    let uid = "{.metadata.uid}";
    let before = scene.value("pod/mesh-0", uid).await;
    let mark = scene.cluster.audit().mark().await.unwrap();
    scene
        .kubectl(&["rollout", "restart", "statefulset/mesh"])
        .await
        .unwrap();
    let status = ["rollout", "status", "statefulset/mesh", "--timeout=2m"];
    scene.kubectl(&status).await.unwrap();
    assert_ne!(
        scene.value("pod/mesh-0", uid).await,
        before,
        "not restarted"
    );
    scene.wait("mcd/mesh", "condition=Ready").await;
    let writes = scene.cluster.audit().since(mark).await.unwrap().writes();
    let writes = writes.only(|entry| {
        let is_ours = entry.user.contains(crate::scene::NAMESPACE);
        is_ours && entry.namespace == scene.namespace.name() && entry.resource == "statefulsets"
    });
    assert_eq!(writes.len(), 0, "{writes}");
    // It stays also when the operator has something to write.
    scene
        .change(&json!({"server": {"maxConnections": 1000}}))
        .await;
    let template = r"{.spec.template.metadata.annotations.kubectl\.kubernetes\.io/restartedAt}";
    wait_for("a new template", async || {
        let env = "{.spec.template.spec.containers[0].env}";
        let env = scene.value("statefulset/mesh", env).await;
        env.contains(r#""value":"1000""#).then_some(())
    })
    .await
    .unwrap();
    assert_ne!(scene.value("statefulset/mesh", template).await, "");
}

/// The page, and the packets in the database, of an analyzer that has taken some and was stopped.
async fn stopped_with_packets(scene: &Scene, broker: &Broker) -> (String, Vec<String>) {
    let page = scene.page().await;
    let load = Load::start(broker, 0, 50);
    scene.wait_for_packets(&page, 50).await;
    let hashes = load.finish().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.stop_and_check(&hashes).await;
    (page, hashes)
}

/// The size of the file system that the database is on.
fn room(scene: &Scene) -> u64 {
    let stat = statvfs(scene.volume()).unwrap();
    stat.f_blocks * stat.f_frsize
}
