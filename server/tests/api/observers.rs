//! `/api/observers`.

use meshcore_store::{NodeAdvert, Reception, Record, Status};
use serde_json::json;

use crate::harness::{Served, THEN, ack, advert_of, column, now, observer, record};

#[tokio::test]
async fn an_observer_has_all_that_is_known_of_it() {
    let key = "AB".repeat(32);
    let node = NodeAdvert {
        public_key: key.to_lowercase(),
        name: Some("its node".to_owned()),
        role: "repeater".to_owned(),
        position: Some((52.5, 13.4)),
        is_foreign: false,
        timestamp: THEN,
    };
    let status = Status {
        observer: observer(&key, THEN + 60),
        online: Some(true),
        model: Some("Heltec V3".to_owned()),
        firmware: Some("1.9.0".to_owned()),
        client_version: Some("feeder 2".to_owned()),
        radio: Some("869.618,62.5,8,8".to_owned()),
        can_relay: Some(false),
        battery_mv: Some(4100),
        uptime_secs: Some(99),
        noise_floor: Some(-117.5),
        ..Status::default()
    };
    let served = Served::with(&[
        record(ack(1, "", &key)),
        Record::Status(Box::new(status)),
        advert_of(2, node, THEN - 10),
    ])
    .await;
    let answer = served.get("/api/observers");
    let expected = json!({
        "id": key,
        "name": format!("Observer {key}"),
        "iata": "BER",
        "first_seen": "2026-09-21T14:13:20Z",
        "last_seen": "2026-09-21T14:14:20Z",
        "last_packet_at": "2026-09-21T14:13:20Z",
        "packet_count": 1,
        "packetsLastHour": 0,
        "model": "Heltec V3",
        "firmware": "1.9.0",
        "client_version": "feeder 2",
        "radio": "869.618,62.5,8,8",
        "battery_mv": 4100,
        "uptime_secs": 99,
        "noise_floor": -117.5,
        "online": true,
        "can_relay": false,
        "clock_skew_seconds": null,
        "clock_last_naive_at": null,
        "lat": 52.5,
        "lon": 13.4,
        "nodeRole": "repeater",
    });
    assert_eq!(answer["observers"][0], expected);
    assert_eq!(answer["observers"][1]["can_relay"], json!(null));
    assert_eq!(answer["observers"].as_array().map(Vec::len), Some(2));
    let time = answer["server_time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(answer.as_object().map(serde_json::Map::len), Some(2));
}

#[tokio::test]
async fn the_receptions_of_the_last_hour_are_counted_to_the_second() {
    let now = now();
    let heard = |n, at| {
        record(Reception {
            heard_at: at,
            observer: observer("O1", at),
            ..ack(n, "", "O1")
        })
    };
    let served = Served::with(&[
        heard(1, now - 3500),
        heard(2, now - 1),
        heard(3, now - 3700),
        heard(4, now - 7000),
    ])
    .await;
    let answer = served.get("/api/observers");
    assert_eq!(answer["observers"][0]["packetsLastHour"], 2);
    assert_eq!(served.get("/api/stats")["packetsLastHour"], 2);
}

#[tokio::test]
async fn observers_come_by_their_last_sign_of_life_without_the_inactive_ones() {
    let now = now();
    let seen = |id, at| Record::SignOfLife(Box::new(observer(id, at)));
    let mut served = Served::with(&[
        seen("old", now - 30 * 86_400),
        seen("one", now - 100),
        seen("two", now - 50),
    ])
    .await;
    let ids = |served: &Served| column(&served.get("/api/observers"), "observers", "id");
    assert_eq!(ids(&served), ["two", "one", "old"]);
    // As retention marks it.
    served
        .execute("UPDATE observers SET inactive = 1 WHERE id = 'old'")
        .await;
    assert_eq!(ids(&served), ["two", "one"]);
    assert_eq!(served.get("/api/stats")["totalObservers"], 2);
    served.write(&[seen("old", now)]).await;
    assert_eq!(ids(&served), ["old", "two", "one"]);
}
