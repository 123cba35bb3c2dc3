//! Messages that nobody promised anything about: at QoS 0 while the writer is held up, and retained ones.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{Ingestor, SOON, broker, publish, source, with};
use meshcore_testkit::{Publisher, numbered_packet};
use serde_json::json;

const VERSIONS: [&str; 2] = ["5", "3.1.1"];

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_queue_at_qos_0_is_dropped_and_counted_on_5() {
    flood_at_qos_0("5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_queue_at_qos_0_is_dropped_and_counted_on_3_1_1() {
    flood_at_qos_0("3.1.1").await;
}

async fn flood_at_qos_0(version: &str) {
    const PLACES: u64 = 1_000;
    let broker = broker(&["log_type all"]);
    let source = with(
        source("broker", broker.port()),
        &json!({"protocol": version, "keepAliveSeconds": 12}),
    );
    let config = json!({"mqttSources": [source], "ingestBufferSize": PLACES});
    let ingestor = Ingestor::start_with(&config);
    ingestor.wait_for_connection("broker");
    let held = ingestor.hold_the_writer().await;
    let mut publisher = Publisher::start(broker.port(), "publisher", 100).unwrap();
    for n in 0..3 * PLACES {
        let packet = numbered_packet(n);
        publisher
            .publish_unacknowledged(&packet.topic, packet.payload)
            .await
            .unwrap();
    }
    for n in 10_000..10_200 {
        let packet = numbered_packet(n);
        publisher
            .publish(&packet.topic, packet.payload)
            .await
            .unwrap();
    }
    publisher.flush(SOON).await.unwrap();
    let full = "meshcore_messages_ignored_total{reason=\"queue_full\"}";
    ingestor.wait_for_metric(full, 2 * PLACES);
    // The broker would give up on a client that is silent for 18 seconds. A ping may be six seconds late.
    ingestor.wait_for("two pings", SOON, || {
        let pings = broker
            .log()
            .matches("Received PINGREQ from meshcore-")
            .count();
        (pings >= 2).then_some(())
    });
    drop(held);
    ingestor.wait_for_packets(10_000..10_200).await;
    ingestor.wait_for_packets(0..PLACES).await;
    ingestor.assert_metric(full, 2 * PLACES);
    ingestor.assert_metric("meshcore_transmissions_stored_total", PLACES + 200);
    assert_eq!(
        ingestor.metric("meshcore_source_connects_total{source=\"broker\"}"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_retained_is_no_sign_of_life() {
    let broker = broker(&[]);
    let mut publisher = Publisher::start(broker.port(), "publisher", 10).unwrap();
    let packet = numbered_packet(1);
    let status = packet.topic.replace("/packets", "/status");
    let online = json!({"status": "online", "origin": "Observer", "stats": {"battery_mv": 4_000}});
    publisher
        .publish_retained(&packet.topic, packet.payload)
        .await
        .unwrap();
    publisher
        .publish_retained(&status, online.to_string().into_bytes())
        .await
        .unwrap();
    publisher.flush(SOON).await.unwrap();

    let sources = VERSIONS.map(|version| {
        with(
            source(version, broker.port()),
            &json!({"protocol": version}),
        )
    });
    let ingestor = Ingestor::start(&sources);
    ingestor.wait_for_packets([1]).await;
    for version in VERSIONS {
        ingestor.wait_for_connection(version);
        for kind in ["reception", "status"] {
            let received = "meshcore_messages_received_total";
            let received = format!("{received}{{source=\"{version}\",kind=\"{kind}\"}}");
            ingestor.wait_for_metric(&received, 1);
        }
        assert_eq!(ingestor.source(version)["lastMessageMs"], 0);
    }
    ingestor.wait_for_metric("meshcore_acks_sent_total", 4);
    let alive = "SELECT count(*) FROM observers WHERE last_seen IS NOT NULL";
    assert_eq!(ingestor.number("SELECT count(*) FROM observers").await, 1);
    assert_eq!(ingestor.number(alive).await, 0);
    assert_eq!(
        ingestor
            .number("SELECT count(*) FROM observer_metrics")
            .await,
        0
    );

    // The same observer, heard now.
    publish(&broker, [9]).await;
    ingestor.wait_for_packets([9]).await;
    assert_eq!(ingestor.number(alive).await, 1);
}
