//! `/api/packets` and `/api/packets/{hash}`.

use meshcore_store::Reception;
use serde_json::{Value, json};

use crate::harness::{Served, THEN, ack, column, observer, reception, record};

/// Packet 7 as the list shows it when O1 heard it first. Pages and scripts of v3 read these names.
fn packet_7() -> Value {
    json!({
        "id": 1,
        "raw_hex": "0D01AA00000007",
        "hash": "d28ca14b6f62d453",
        "first_seen": "2026-09-21T14:13:20Z",
        "timestamp": "2026-09-21T14:13:20Z",
        "route_type": 1,
        "payload_type": 3,
        "decoded_json": "{\"type\":\"ACK\",\"extraHash\":\"07000000\",\"ackLen\":4}",
        "scope_name": null,
        "observation_count": 2,
        "observer_id": "O1",
        "observer_name": "Observer O1",
        "observer_iata": "BER",
        "direction": "rx",
        "snr": -3.25,
        "rssi": -110.0,
        "score": 320,
        "path_json": "[\"AA\"]",
    })
}

/// Packet 7 as O2 heard it, five seconds later and further away.
fn heard_by_o2() -> Reception {
    Reception {
        heard_at: THEN + 5,
        snr: None,
        rssi: None,
        score: None,
        direction: None,
        observer: observer("Ö2", THEN + 5),
        ..ack(7, "AABB", "Ö2")
    }
}

#[tokio::test]
async fn packets_come_newest_first_with_their_first_observation() {
    let served = Served::with(&[
        record(ack(7, "AA", "O1")),
        record(heard_by_o2()),
        record(ack(8, "", "Ö2")),
    ])
    .await;
    let answer = served.get("/api/packets");
    assert_eq!(answer["packets"][1], packet_7());
    assert_eq!(answer["packets"][0]["id"], 2);
    assert_eq!(answer["packets"][0]["observer_name"], "Observer Ö2");
    assert_eq!(answer["packets"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&answer["total"], &answer["limit"], &answer["nextCursor"]),
        (&json!(2), &json!(50), &json!(null))
    );
    assert_eq!(answer.as_object().map(serde_json::Map::len), Some(4));
}

#[tokio::test]
async fn an_empty_database_has_an_empty_list() {
    let served = Served::with(&[]).await;
    assert_eq!(
        served.get("/api/packets?limit=1000"),
        json!({ "packets": [], "total": 0, "limit": 1000, "nextCursor": null })
    );
}

#[tokio::test]
async fn pages_hold_each_packet_once_while_new_ones_come_in() {
    let packets =
        |range: std::ops::Range<u32>| range.map(|n| record(ack(n, "", "O1"))).collect::<Vec<_>>();
    let mut served = Served::with(&packets(0..25)).await;
    let mut path = "/api/packets?limit=10".to_owned();
    let mut pages = Vec::new();
    for new in 1..10 {
        let answer = served.get(&path);
        pages.push(column(&answer, "packets", "raw_hex"));
        assert_eq!(answer["total"], 25 + 3 * (new - 1));
        served.write(&packets(new * 100..new * 100 + 3)).await;
        let Some(cursor) = answer["nextCursor"].as_str() else {
            break;
        };
        path = format!("/api/packets?cursor={cursor}&limit=10");
    }
    let expected: Vec<String> = (0..25).rev().map(|n| format!("0D00{n:08X}")).collect();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(pages.concat(), expected);
}

#[tokio::test]
async fn a_page_that_ends_with_the_list_has_no_next() {
    let served = Served::with(&[record(ack(1, "", "O1")), record(ack(2, "", "O1"))]).await;
    assert_eq!(
        served.get("/api/packets?limit=2")["nextCursor"],
        json!(null)
    );
    assert!(served.get("/api/packets?limit=1")["nextCursor"].is_string());
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_database_only() {
    let two = [record(ack(1, "", "O1")), record(ack(2, "", "O1"))];
    let (one, other) = (Served::with(&two).await, Served::with(&two).await);
    let answer = one.get("/api/packets?limit=1");
    let path = format!(
        "/api/packets?cursor={}",
        answer["nextCursor"].as_str().unwrap()
    );
    assert_eq!(one.get(&path)["packets"][0]["id"], 1);
    let expected = "the parameter \"cursor\": it is of another database, which this one has replaced: \
                    begin without a cursor";
    assert_eq!(other.refused(&path), (400, expected.to_owned()));
}

#[tokio::test]
async fn a_packet_shows_each_observation_as_its_observer_heard_it() {
    let served = Served::with(&[
        record(ack(7, "AA", "O1")),
        record(heard_by_o2()),
        record(ack(8, "", "O1")),
    ])
    .await;
    let first = json!({
        "id": 1, "transmission_id": 1, "hash": "d28ca14b6f62d453", "raw_hex": "0D01AA00000007",
        "timestamp": "2026-09-21T14:13:20Z", "observer_id": "O1", "observer_name": "Observer O1",
        "observer_iata": "BER", "direction": "rx", "snr": -3.25, "rssi": -110.0, "score": 320,
        "path_json": "[\"AA\"]",
    });
    let second = json!({
        "id": 2, "transmission_id": 1, "hash": "d28ca14b6f62d453", "raw_hex": "0D02AABB00000007",
        "timestamp": "2026-09-21T14:13:25Z", "observer_id": "Ö2", "observer_name": "Observer Ö2",
        "observer_iata": "BER", "direction": null, "snr": null, "rssi": null, "score": null,
        "path_json": "[\"AA\",\"BB\"]",
    });
    let mut expected = json!({
        "packet": packet_7(),
        "path": ["AA"],
        "observation_count": 2,
        "observations": [first, second],
        "observations_truncated": false,
    });
    assert_eq!(served.get("/api/packets/d28ca14b6f62d453"), expected);
    assert_eq!(
        served.get("/api/packets/D28CA14B6F62D453?limit=2"),
        expected
    );
    expected["observations"].as_array_mut().unwrap().pop();
    expected["observations_truncated"] = json!(true);
    assert_eq!(
        served.get("/api/packets/d28ca14b6f62d453?limit=1"),
        expected
    );
}

#[tokio::test]
async fn a_trace_has_the_nodes_to_visit_as_its_path() {
    // Signal values of two hops in the path; three nodes to visit in the payload.
    let trace = "26022830112233445566770000AABBCC";
    let served = Served::with(&[record(reception(trace, "O1"))]).await;
    let hash = column(&served.get("/api/packets"), "packets", "hash").remove(0);
    let answer = served.get(&format!("/api/packets/{hash}"));
    assert_eq!(answer["path"], json!(["AA", "BB", "CC"]));
    assert_eq!(answer["observations"][0]["raw_hex"], trace);
}

#[tokio::test]
async fn a_packet_that_is_not_there_is_not_found() {
    let served = Served::with(&[]).await;
    assert_eq!(
        served.refused("/api/packets/00000000000000ff"),
        (404, "there is no packet 00000000000000ff".to_owned())
    );
}
