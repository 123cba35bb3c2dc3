//! Rows as other programs left them: whatever they hold, it is shown as far as it can be, and is no error.

use serde_json::{Value, json};

use crate::harness::Served;

/// Transmissions, observations, nodes and observers that our own store would never write.
const STRANGE: &str = "
INSERT INTO observers(rowid, id, name, last_seen, packet_count, battery_mv, noise_floor, inactive) VALUES
  (1, 'obs', NULL, NULL, NULL, NULL, NULL, NULL),
  (2, x'C3', x'00', 7, 'many', 'full', 'loud', 0);
INSERT INTO nodes(public_key, name, role, lat, lon, last_seen, advert_count, foreign_advert) VALUES
  ('ABCD', 'UPPER', 'repeater', 'north', 9e999, NULL, NULL, NULL),
  ('', NULL, NULL, NULL, NULL, '', 'x', 'y'),
  (x'FFFE', x'C3', x'C3', x'01', x'01', x'C3', x'01', x'01');
INSERT INTO transmissions(id, raw_hex, hash, first_seen, route_type, payload_type, decoded_json, scope_name) VALUES
  (1, '', '0000000000000001', '', NULL, NULL, NULL, NULL),
  (2, 'zz', '0000000000000002', '2026-01-01T00:00:00Z', 9, 99, '{\"type\":', ''),
  (3, x'FF', '0000000000000003', x'C3', 'direct', 'x', '[1]', x'C3'),
  (4, '0D01AA00000007', '0000000000000004', '2026-01-01T00:00:00Z', 1, 3, '{\"A\":1}', NULL),
  (5, '26', 'not a hash', '2026-01-01T00:00:00Z', 2, 9, 'null', NULL);
INSERT INTO observations(id, transmission_id, observer_idx, snr, rssi, path_json, timestamp, resolved_path) VALUES
  (1, 1, NULL, NULL, NULL, NULL, 0, NULL),
  (2, 2, 2, 'x', x'01', '{', 9223372036854775807, 'null'),
  (3, 3, 99, 9e999, 1, x'FF', 'yesterday', '[['),
  (4, 4, NULL, 5, -90, '[\"BB\",\"CC\"]', -62167219200, '[null]'),
  (5, 4711, 1, 5, -90, '[]', 1, NULL);
UPDATE store_state SET transmissions = 5;
";

async fn served() -> Served {
    let served = Served::with(&[]).await;
    served.execute(STRANGE).await;
    served
}

#[tokio::test]
async fn every_list_shows_strange_rows() {
    let served = served().await;
    let packets = served.get("/api/packets");
    assert_eq!(packets["packets"].as_array().map(Vec::len), Some(5));
    let nothing = json!({
        "id": 1, "raw_hex": "", "hash": "0000000000000001", "first_seen": "",
        "timestamp": "1970-01-01T00:00:00Z", "route_type": null, "payload_type": null,
        "decoded_json": null, "scope_name": null, "observation_count": 0, "observer_id": null,
        "observer_name": null, "observer_iata": null, "direction": null, "snr": null, "rssi": null,
        "score": null, "path_json": null,
    });
    assert_eq!(packets["packets"][4], nothing);
    // A packet without observations was heard when it was first seen.
    assert_eq!(packets["packets"][0]["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(packets["packets"][1]["raw_hex"], "0D02BBCC00000007");
    let nodes = served.get("/api/nodes");
    assert_eq!(nodes["total"], 3);
    assert_eq!(
        served.get("/api/nodes?search=abc")["nodes"][0]["name"],
        "UPPER"
    );
    let observers = served.get("/api/observers");
    assert_eq!(observers["observers"].as_array().map(Vec::len), Some(2));
    assert_eq!(served.get("/api/stats")["totalPackets"], 5);
}

#[tokio::test]
async fn every_packet_with_a_hash_can_be_asked_for() {
    let served = served().await;
    let path = |n: u8| -> Value {
        let answer = served.get(&format!("/api/packets/000000000000000{n}"));
        assert_eq!(answer["observations"].as_array().map(Vec::len), Some(1));
        answer["path"].clone()
    };
    assert_eq!(
        (1..=4).map(path).collect::<Vec<_>>(),
        [json!([]), json!([]), json!([]), json!(["BB", "CC"])]
    );
    served
        .execute("DELETE FROM observations WHERE transmission_id = 4")
        .await;
    let answer = served.get("/api/packets/0000000000000004");
    assert_eq!(answer["observations"], json!([]));
    assert_eq!(answer["packet"]["raw_hex"], "0D01AA00000007");
    assert_eq!(answer["observations_truncated"], json!(false));
    assert!(!served.server.log().contains("panicked"));
}
