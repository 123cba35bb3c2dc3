//! A recorded feed through a real broker at QoS 1, and what must be in the database then, computed here
//! without the code under test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Ingestor, SOON};
use meshcore_testkit::{
    Mosquitto, MosquittoOptions, Publisher, packet_hash_of, path_and_payload_of, shared_fixture,
};
use serde_json::{Value, json};

/// What a feed must leave behind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    transmissions: BTreeSet<String>,
    /// Hash, observer, path.
    observations: BTreeSet<(String, String, Vec<u8>)>,
    observers: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_feed_is_stored_exactly_and_only_once() {
    let Some(path) = shared_fixture("feed.jsonl") else {
        return;
    };
    let lines: Vec<Value> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = expected_of(&lines);
    assert_eq!(expected.transmissions.len(), 209);

    let broker = Mosquitto::start(&MosquittoOptions::default()).unwrap();
    let mut ingestor = Ingestor::start(&[json!({"name": "feed", "broker": broker.url()})]);
    ingestor.wait_for_connection("feed");
    replay(&lines, &broker, &ingestor, lines.len() as u64).await;
    let first = stored(&ingestor).await;
    assert_eq!(first, expected);
    assert_eq!(
        totals(&ingestor).await,
        (209, first.observations.len() as u64, 2)
    );
    let nodes = nodes(&ingestor).await;
    assert_eq!(nodes, nodes_of(&lines));

    // Once more, and once more after a restart: nothing is added.
    replay(&lines, &broker, &ingestor, 2 * lines.len() as u64).await;
    assert_eq!(stored(&ingestor).await, expected);
    ingestor.kill();
    ingestor.start_again();
    ingestor.wait_for_connection("feed");
    replay(&lines, &broker, &ingestor, lines.len() as u64).await;
    assert_eq!(stored(&ingestor).await, expected);
    assert_eq!(
        totals(&ingestor).await,
        (209, first.observations.len() as u64, 2)
    );
}

/// Publishes all lines and waits until the ingestor has acknowledged `acks` messages in its life.
async fn replay(lines: &[Value], broker: &Mosquitto, ingestor: &Ingestor, acks: u64) {
    let mut publisher = Publisher::start(broker.port(), "replay", 100).unwrap();
    for line in lines {
        let payload = match &line["payload"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        publisher
            .publish(line["topic"].as_str().unwrap(), payload.into_bytes())
            .await
            .unwrap();
    }
    publisher.flush(SOON).await.unwrap();
    ingestor.wait_for_metric("meshcore_acks_sent_total", acks);
}

fn frame_of(line: &Value) -> Vec<u8> {
    hex::decode(line["payload"]["raw"].as_str().unwrap()).unwrap()
}

fn expected_of(lines: &[Value]) -> Expected {
    let mut expected = Expected::default();
    for line in lines {
        let frame = frame_of(line);
        let observer = line["topic"]
            .as_str()
            .unwrap()
            .split('/')
            .nth(2)
            .unwrap()
            .to_owned();
        let hash = packet_hash_of(&frame);
        let (path, payload) = path_and_payload_of(&frame);
        // For TRACE v3 keeps the hops of the payload.
        let path = if (frame[0] >> 2) & 15 == 9 {
            &payload[9..]
        } else {
            path
        };
        expected.transmissions.insert(hash.clone());
        expected
            .observations
            .insert((hash, observer.to_ascii_uppercase(), path.to_vec()));
        expected.observers.insert(observer.to_ascii_uppercase());
    }
    expected
}

/// The nodes that the adverts of the feed tell of: name by key. The capture has two adverts with a wrong
/// signature; their keys are told from good adverts by nothing but the signature, which ring checks here.
fn nodes_of(lines: &[Value]) -> BTreeMap<String, Option<String>> {
    let mut newest: BTreeMap<String, (u32, Option<String>)> = BTreeMap::new();
    for line in lines {
        let frame = frame_of(line);
        let (_, payload) = path_and_payload_of(&frame);
        if (frame[0] >> 2) & 15 != 4 || payload.len() < 101 {
            continue;
        }
        let app_data = &payload[100..payload.len().min(132)];
        let signed = [&payload[..36], app_data].concat();
        let key =
            ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &payload[..32]);
        if key.verify(&signed, &payload[36..100]).is_err() {
            continue;
        }
        let time = u32::from_le_bytes(payload[32..36].try_into().unwrap());
        let flags = app_data[0];
        let fixed = 1
            + if flags & 0x10 > 0 { 8 } else { 0 }
            + if flags & 0x20 > 0 { 2 } else { 0 }
            + if flags & 0x40 > 0 { 2 } else { 0 };
        let name =
            (flags & 0x80 > 0).then(|| String::from_utf8_lossy(&app_data[fixed..]).into_owned());
        let entry = newest
            .entry(hex::encode(&payload[..32]))
            .or_insert((time, None));
        if time >= entry.0 {
            *entry = (time, name.or_else(|| entry.1.clone()));
        }
    }
    newest
        .into_iter()
        .map(|(key, (_, name))| (key, name))
        .collect()
}

async fn stored(ingestor: &Ingestor) -> Expected {
    let mut db = ingestor.database().await;
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT t.hash, upper(o.id), b.path_json FROM observations b JOIN transmissions t ON t.id = b.transmission_id \
         JOIN observers o ON o.rowid = b.observer_idx",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let transmissions: Vec<String> = sqlx::query_scalar("SELECT hash FROM transmissions")
        .fetch_all(&mut db)
        .await
        .unwrap();
    let observers: Vec<String> = sqlx::query_scalar("SELECT upper(id) FROM observers")
        .fetch_all(&mut db)
        .await
        .unwrap();
    let path = |json: &str| {
        let hops: Vec<String> = serde_json::from_str(json).unwrap();
        hex::decode(hops.concat()).unwrap()
    };
    Expected {
        transmissions: transmissions.into_iter().collect(),
        observations: rows
            .into_iter()
            .map(|(hash, observer, json)| (hash, observer, path(&json)))
            .collect(),
        observers: observers.into_iter().collect(),
    }
}

/// Transmissions, observations, adverts with a wrong signature.
async fn totals(ingestor: &Ingestor) -> (u64, u64, u64) {
    let mut db = ingestor.database().await;
    let counts: (i64, i64, i64) =
        sqlx::query_as("SELECT transmissions, observations, bad_signatures FROM store_state")
            .fetch_one(&mut db)
            .await
            .unwrap();
    (
        counts.0.cast_unsigned(),
        counts.1.cast_unsigned(),
        counts.2.cast_unsigned(),
    )
}

async fn nodes(ingestor: &Ingestor) -> BTreeMap<String, Option<String>> {
    let mut db = ingestor.database().await;
    let rows: Vec<(String, Option<String>)> = sqlx::query_as("SELECT public_key, name FROM nodes")
        .fetch_all(&mut db)
        .await
        .unwrap();
    rows.into_iter().collect()
}
