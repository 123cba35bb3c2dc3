//! Whatever a publisher sends has one fate, which is counted, and costs nothing else.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeMap;

use common::{Ingestor, SOON, broker, publish, source, with};
use meshcore_testkit::{Publisher, numbered_packet};
use serde_json::{Value, json};

const VERSIONS: [&str; 2] = ["5", "3.1.1"];
const MEGABYTE: usize = 1024 * 1024;
const PACKETS: &str = "meshcore/SJC/A0/packets";

/// A source that speaks `version`.
fn speaking(version: &str, port: u16) -> Value {
    with(source("broker", port), &json!({"protocol": version}))
}

fn packet(raw: &Value) -> Vec<u8> {
    json!({"origin_id": "A0", "direction": "rx", "raw": raw})
        .to_string()
        .into_bytes()
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    packet(&hex::encode(bytes).into())
}

/// Topic, payload and the reason for which it is ignored.
fn ignored() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut text_and_noise = br#"{"origin_id":"A0","raw":""#.to_vec();
    text_and_noise.extend([0xC3, 0x28, b'"', b'}']);
    let deep = |open: &str| open.repeat(10_000).into_bytes();
    let deep_inside = format!(r#"{{"raw":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    vec![
        (PACKETS, vec![0xFF, 0xFE, 0x00, 0x80, 0x01], "invalid_utf8"),
        (PACKETS, text_and_noise, "invalid_utf8"),
        (PACKETS, vec![0; 1_000], "not_json"),
        (PACKETS, deep("["), "not_json"),
        (PACKETS, deep("{\"a\":"), "not_json"),
        (PACKETS, deep_inside.into_bytes(), "not_json"),
        (PACKETS, br#"{"raw":"15"#.to_vec(), "not_json"),
        (PACKETS, b"[1,2,3]".to_vec(), "not_an_object"),
        (PACKETS, b"null".to_vec(), "not_an_object"),
        (PACKETS, Vec::new(), "empty"),
        (PACKETS, packet(&Value::Null), "no_raw"),
        (PACKETS, frame(&[]), "no_raw"),
        (PACKETS, packet(&json!(5)), "bad_raw_hex"),
        (PACKETS, packet(&json!(["15", "00"])), "bad_raw_hex"),
        (PACKETS, packet(&json!("not hexadecimal")), "bad_raw_hex"),
        (PACKETS, packet(&json!("150")), "bad_raw_hex"),
        (
            "meshcore/SJC/A0/what-is-this",
            b"{}".to_vec(),
            "unknown_topic",
        ),
        ("meshcore", b"{}".to_vec(), "unknown_topic"),
        ("meshcore/SJC/A0/internal", b"{}".to_vec(), "internal"),
        ("meshcore/SJC/A0/debug", b"{}".to_vec(), "debug"),
        (PACKETS, vec![b' '; 70_000], "too_large"),
    ]
}

/// Frames that lie about themselves, and the reason on their dead letter.
fn dead_letters() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (frame(&[0x15]), "too_short"),
        (frame(&[0x10, 1, 2, 3]), "too_short"),
        (frame(&[0x15, 63, 1, 2, 3]), "truncated_path"),
        (frame(&[0x15, 0xFF, 1]), "reserved_hash_size"),
        (
            frame(&[&[0x0d, 0x61][..], &[1; 66]].concat()),
            "path_too_long",
        ),
        (
            frame(&[&[0x3d, 0x00][..], &[1; 185]].concat()),
            "payload_too_long",
        ),
        (frame(&[0x55, 0]), "unsupported_version"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_message_has_its_fate_and_costs_nothing_else() {
    for version in VERSIONS {
        let broker = broker(&[]);
        let ingestor = Ingestor::start(&[speaking(version, broker.port())]);
        ingestor.wait_for_connection("broker");
        let mut publisher = Publisher::start(broker.port(), "publisher", 10).unwrap();
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        let mut good = 0;
        publish(&broker, [good]).await;
        for (topic, payload, reason) in ignored() {
            publisher.publish(topic, payload).await.unwrap();
            *reasons.entry(reason).or_default() += 1;
            good += 1;
            let packet = numbered_packet(good);
            publisher
                .publish(&packet.topic, packet.payload)
                .await
                .unwrap();
        }
        let dead_letters = dead_letters();
        for (payload, _) in &dead_letters {
            publisher.publish(PACKETS, payload.clone()).await.unwrap();
            good += 1;
            let packet = numbered_packet(good);
            publisher
                .publish(&packet.topic, packet.payload)
                .await
                .unwrap();
        }
        publisher.flush(SOON).await.unwrap();
        ingestor.wait_for_packets(0..=good).await;

        for (reason, count) in &reasons {
            let metric = format!("meshcore_messages_ignored_total{{reason=\"{reason}\"}}");
            ingestor.assert_metric(&metric, *count);
        }
        for (_, reason) in &dead_letters {
            let count = dead_letters
                .iter()
                .filter(|(_, other)| other == reason)
                .count();
            let dropped = format!("meshcore_packets_dropped_total{{reason=\"{reason}\"}}");
            ingestor.assert_metric(&dropped, count as u64);
        }
        let rows = ingestor
            .number("SELECT count(*) FROM dropped_packets")
            .await;
        assert_eq!(rows, i64::try_from(dead_letters.len()).unwrap());
        ingestor.assert_metric("meshcore_transmissions_stored_total", good + 1);
        // Nothing stays with the broker, and the connection never broke.
        let all = good + 1 + reasons.values().sum::<u64>() + dead_letters.len() as u64;
        ingestor.assert_metric("meshcore_acks_sent_total", all);
        assert_eq!(
            ingestor.metric("meshcore_source_connects_total{source=\"broker\"}"),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_are_read_and_forgotten_or_never_sent() {
    let broker = broker(&[]);
    let sources = VERSIONS.map(|version| {
        with(
            source(version, broker.port()),
            &json!({"protocol": version}),
        )
    });
    let ingestor = Ingestor::start(&sources);
    for version in VERSIONS {
        ingestor.wait_for_connection(version);
    }
    let mut publisher = Publisher::start(broker.port(), "publisher", 10).unwrap();
    publisher
        .publish(PACKETS, vec![b'x'; 10 * MEGABYTE])
        .await
        .unwrap();
    publisher.flush(SOON).await.unwrap();
    publish(&broker, [1]).await;
    for version in VERSIONS {
        let received = "meshcore_messages_received_total";
        let good = format!("{received}{{source=\"{version}\",kind=\"reception\"}}");
        ingestor.wait_for_metric(&good, 1);
        // 5 has told the broker its limit; 3.1.1 can't.
        let ignored = format!("{received}{{source=\"{version}\",kind=\"ignored\"}}");
        ingestor.assert_metric(&ignored, u64::from(version == "3.1.1"));
        let connects = format!("meshcore_source_connects_total{{source=\"{version}\"}}");
        assert_eq!(ingestor.metric(&connects), 1);
    }
    ingestor.assert_metric("meshcore_messages_ignored_total{reason=\"too_large\"}", 1);
    ingestor.wait_for_metric("meshcore_acks_sent_total", 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_each_connection_costs_one_session() {
    let broker = broker(&[]);
    let mut ingestor = Ingestor::start(&[speaking("3.1.1", broker.port())]);
    ingestor.wait_for_connection("broker");
    publish(&broker, 0..10).await;
    ingestor.wait_for_packets(0..10).await;

    let mut publisher = Publisher::start(broker.port(), "publisher", 10).unwrap();
    publisher
        .publish(PACKETS, vec![b'x'; 17 * MEGABYTE])
        .await
        .unwrap();
    publisher.flush(SOON).await.unwrap();
    let cleared = "meshcore_source_sessions_cleared_total{source=\"broker\"}";
    ingestor.wait_for_metric(cleared, 1);
    ingestor.wait_for_connection("broker");
    publish(&broker, 10..20).await;
    ingestor.wait_for_packets(10..20).await;
    assert_eq!(ingestor.metric(cleared), 1);
    assert_eq!(ingestor.log().matches("can't be read: ").count(), 3);
    assert!(
        ingestor
            .log()
            .contains("what the broker held for us is lost")
    );

    // The session that follows is one that stays.
    assert_eq!(ingestor.stop(), Some(0));
    publish(&broker, 20..30).await;
    ingestor.start_again();
    ingestor.wait_for_packets(20..30).await;
}
