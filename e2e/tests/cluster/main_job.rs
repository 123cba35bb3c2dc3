//! What people install it for.

use std::time::{Duration, Instant};

use meshcore_testkit::LiveClient;
use serde_json::json;

use crate::figures::seconds;
use crate::scene::{Availability, Broker, Load, Scene, get};

pub(crate) async fn a_mesh_is_seen_within_half_a_minute(scene: Scene) {
    let broker = Broker::start(&scene).await;
    let began = Instant::now();
    scene.deploy(&json!({})).await;
    let ready = began.elapsed();
    scene.figure("from apply to Ready", seconds(ready), "30 s");

    let page = scene.page().await;
    let mut client = LiveClient::connect(&page, "").await;
    let availability = Availability::of(&page);
    let load = Load::start(&broker, 0, 50);
    let frame = client.frame().await;
    assert_eq!(frame["type"], "packet", "{frame}");
    let hashes = load.finish().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    let gap = availability.gap().await;
    scene.figure("longest silence of the page", seconds(gap), "");
    let packet = get(&page, &format!("/api/packets/{}", hashes[0]))
        .await
        .unwrap();
    assert_eq!(packet["packet"]["hash"], hashes[0].as_str(), "{packet}");
    scene.stop_and_check(&hashes).await;
    assert!(ready < Duration::from_secs(30), "Ready after {ready:?}");
}
