//! A volume that is full.

use std::time::{Duration, Instant};

use meshcore_testkit::Filler;
use serde_json::json;

use super::LARGER;
use crate::figures::seconds;
use crate::scene::{Broker, Load, SOON, Scene};

/// Enough packets a second to use up soon what XFS has set aside for files that grow.
const RATE: u32 = 400;
const TYPE: &str = r#"?(@.type=="StoragePressure")"#;

pub(crate) async fn a_full_disk_is_told_and_loses_nothing(scene: Scene) {
    let broker = Broker::start(&scene).await;
    scene.deploy(&json!({})).await;
    let page = scene.page().await;
    let load = Load::start(&broker, 0, RATE);
    scene.wait_for_packets(&page, 200).await;
    let began = Instant::now();
    let filler = fill(&scene).await;
    scene.figure(
        "from a full disk to its condition",
        seconds(began.elapsed()),
        "",
    );
    let message = format!("{{.status.conditions[{TYPE}].message}}");
    let message = scene.value("mcd/mesh", &message).await;
    assert!(
        message.contains("mesh-data is full") && message.contains("grow"),
        "{message}"
    );
    scene.wait("mcd/mesh", "condition=Ready=false").await;

    let began = Instant::now();
    scene.change(&json!({"storage": {"size": LARGER}})).await;
    scene.wait("mcd/mesh", "condition=Ready").await;
    scene.figure("from growth to Ready", seconds(began.elapsed()), "");
    scene
        .wait("mcd/mesh", "condition=StoragePressure=false")
        .await;
    let restarts = "{.status.initContainerStatuses[0].restartCount} {.status.containerStatuses[0].restartCount}";
    assert_eq!(scene.value("pod/mesh-0", restarts).await, "0 0");
    let hashes = load.finish().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    drop(filler);
    scene.stop_and_check(&hashes).await;
}

/// Takes all room, also what the ingestor makes free, until the resource says so.
async fn fill(scene: &Scene) -> Filler {
    let filler = Filler::of(&scene.volume()).unwrap();
    let status = format!("{{.status.conditions[{TYPE}].status}}");
    let until = Instant::now() + SOON;
    while scene.value("mcd/mesh", &status).await != "True" {
        assert!(Instant::now() < until, "nobody says that the disk is full");
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            filler.take_more().unwrap();
        }
    }
    filler
}
