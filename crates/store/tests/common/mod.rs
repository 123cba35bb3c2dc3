//! Records and files for the store's tests.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod dump;
pub(crate) mod running;

use std::path::Path;
use std::time::Duration;

use meshcore_store::{
    Description, NodeAdvert, Observer, Opened, Reception, Record, Store, StoreOptions, TimeSource,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};

pub(crate) const NOW: i64 = 1_790_000_000;

/// Options for a file in `dir`, without a ballast.
pub(crate) fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        ballast_bytes: 0,
        settle_wait: Duration::from_millis(600),
        ..StoreOptions::new(dir.join("mesh.db"), "store test")
    }
}

pub(crate) async fn open(dir: &Path) -> (Store, Opened) {
    Store::open(options(dir)).await.expect("the store opens")
}

/// Packet number `n` as heard by `observer` over `path`.
pub(crate) fn reception(n: u64, observer: &str, path: &str) -> Reception {
    let hops: Vec<u8> = hex::decode(path).expect("hex");
    let mut raw = vec![0x15, u8::try_from(hops.len()).expect("short path")];
    raw.extend(&hops);
    raw.extend(n.to_be_bytes());
    let path_json =
        serde_json::to_string(&hops.iter().map(|h| format!("{h:02X}")).collect::<Vec<_>>())
            .expect("strings are JSON");
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

pub(crate) fn record(reception: Reception) -> Record {
    Record::Reception(Box::new(reception))
}

/// A description that names the payload, and a node when the packet is an advert.
pub(crate) fn describe(reception: &Reception) -> Description {
    Description {
        decoded_json: format!("{{\"n\":{}}}", u64::from_be_bytes(reception.hash)),
        ..Description::default()
    }
}

pub(crate) fn node(key: &str, name: Option<&str>, timestamp: i64) -> NodeAdvert {
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
pub(crate) fn advert(n: u64, observer: &str, node: NodeAdvert) -> Record {
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
pub(crate) async fn look(dir: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(dir.join("mesh.db"))
        .foreign_keys(false)
        .connect()
        .await
        .expect("the file is there")
}

pub(crate) async fn one_i64(db: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(db).await.expect(sql).get(0)
}

pub(crate) async fn one_text(db: &mut SqliteConnection, sql: &'static str) -> Option<String> {
    sqlx::query(sql).fetch_one(db).await.expect(sql).get(0)
}

/// The hashes of all packets in the file, in the order in which they came.
pub(crate) async fn stored(db: &mut SqliteConnection) -> Vec<u64> {
    sqlx::query("SELECT hash FROM transmissions ORDER BY id")
        .fetch_all(db)
        .await
        .expect("the packets can be read")
        .iter()
        .map(|row| u64::from_str_radix(row.get(0), 16).expect("a hash"))
        .collect()
}

/// Bytes of the database's WAL.
pub(crate) fn wal_bytes(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("mesh.db-wal")).map_or(0, |m| m.len())
}

/// Unix seconds of now.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("before the end of time")
}
