//! `/api/stats`.

use meshcore_store::{Dropped, Record};
use serde_json::json;

use crate::harness::{Served, THEN, ack, advert, now, record};

#[tokio::test]
async fn the_totals_are_those_of_the_file() {
    let now = now();
    let dropped = Dropped {
        reason: "too_short".into(),
        hash: None,
        raw: vec![1],
        observer_id: None,
        observer_name: None,
    };
    let served = Served::with(&[
        record(ack(1, "AA", "O1")),
        record(ack(1, "BB", "O2")),
        Record::Dropped(Box::new(dropped)),
        advert(2, "a1", "long ago", "repeater", THEN),
        advert(3, "b2", "one", "repeater", now),
        advert(4, "c3", "two", "room", now),
        advert(5, "d4", "three", "companion", now),
        advert(6, "e5", "four", "sensor", now),
        advert(7, "f6", "five", "none", now),
    ])
    .await;
    assert_eq!(
        served.get("/api/stats"),
        json!({
            "totalPackets": 7,
            "totalTransmissions": 7,
            "totalObservations": 8,
            "totalNodes": 5,
            "totalNodesAllTime": 6,
            "totalObservers": 2,
            "packetsLastHour": 5,
            "packetsLast24h": 5,
            "counts": { "repeaters": 1, "rooms": 1, "companions": 1, "sensors": 1 },
            "badSignatures": 0,
            "signatureDrops": 0,
            "dropped": 1,
            "engine": "rust",
            "version": env!("CARGO_PKG_VERSION"),
        })
    );
}
