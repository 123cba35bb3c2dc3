//! Records and files for the store's tests.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;

use meshcore_store::{
    Description, NodeAdvert, Observer, Opened, Reception, Record, Store, StoreOptions, TimeSource,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};

pub const NOW: i64 = 1_790_000_000;

/// Options for a file in `dir`, without a ballast.
pub fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::new(dir.join("mesh.db"), "store test")
    }
}

pub async fn open(dir: &Path) -> (Store, Opened) {
    Store::open(options(dir)).await.expect("the store opens")
}

/// Packet number `n` as heard by `observer` over `path`.
pub fn reception(n: u64, observer: &str, path: &str) -> Reception {
    let hops: Vec<u8> = hex::decode(path).expect("hex");
    let mut raw = vec![0x15, u8::try_from(hops.len()).expect("short path")];
    raw.extend(&hops);
    raw.extend(n.to_be_bytes());
    let path_json =
        serde_json::to_string(&hops.iter().map(|h| format!("{h:02X}")).collect::<Vec<_>>())
            .unwrap();
    Reception {
        hash: n.to_be_bytes(),
        raw,
        route_type: 1,
        payload_type: 5,
        path_json,
        path_is_frame_path: true,
        observer: Observer {
            id: observer.to_owned(),
            seen_at: Some(NOW),
            ..Observer::default()
        },
        direction: Some("rx"),
        snr: Some(-3.25),
        rssi: Some(-110.0),
        score: Some(320),
        duration_ms: Some(304),
        heard_at: NOW,
        time_source: TimeSource::Arrival,
        arrived_at_ms: NOW * 1000,
        feeder_time_ms: Some(NOW * 1000 - 20),
        description: None,
    }
}

pub fn record(reception: Reception) -> Record {
    Record::Reception(Box::new(reception))
}

/// A description that names the payload, and a node when the packet is an advert.
pub fn describe(reception: &Reception) -> Description {
    Description {
        decoded_json: format!("{{\"n\":{}}}", u64::from_be_bytes(reception.hash)),
        ..Description::default()
    }
}

pub fn node(key: &str, name: Option<&str>, timestamp: i64) -> NodeAdvert {
    NodeAdvert {
        public_key: key.to_owned(),
        name: name.map(str::to_owned),
        role: "repeater".to_owned(),
        position: Some((52.5, 13.4)),
        is_foreign: false,
        timestamp,
    }
}

/// An advert `n` that tells of `node`.
pub fn advert(n: u64, observer: &str, node: NodeAdvert) -> Record {
    let description = Description {
        node: Some(node),
        ..Description::default()
    };
    record(Reception {
        payload_type: 4,
        description: Some(Box::new(description)),
        ..reception(n, observer, "")
    })
}

/// A plain connection beside the store, to look at what it wrote.
pub async fn look(dir: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(dir.join("mesh.db"))
        .foreign_keys(false)
        .connect()
        .await
        .unwrap()
}

pub async fn one_i64(db: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(db).await.unwrap().get(0)
}

pub async fn one_text(db: &mut SqliteConnection, sql: &'static str) -> Option<String> {
    sqlx::query(sql).fetch_one(db).await.unwrap().get(0)
}
