//! What a reader sees of a file that the store wrote, and of what others wrote into it.

mod common;

use std::time::Duration;

use common::{NOW, describe, look, open, reception, record, wal_bytes};
use meshcore_store::{CheckpointMode, Error, ObservationRow, Observer, Reader, Reception, Record};
use proptest::prelude::*;
use tempfile::tempdir;

async fn reader(dir: &std::path::Path) -> Reader {
    Reader::open(&dir.join("mesh.db"))
        .await
        .expect("a database")
}

#[tokio::test]
async fn observations_come_in_the_order_of_their_ids_with_packet_and_observer() {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let named = |id: &str, name: &str| Observer {
        name: Some(name.to_owned()),
        iata: Some("BER".to_owned()),
        ..reception(1, id, "").observer
    };
    let first = Reception {
        observer: named("O1", "Öl-Tank"),
        ..reception(1, "O1", "AA")
    };
    let second = Reception {
        observer: named("O2", "two"),
        snr: None,
        rssi: None,
        direction: None,
        score: None,
        heard_at: NOW + 5,
        ..reception(1, "O2", "AABB")
    };
    store
        .write(&[record(first), record(second)], &describe)
        .await
        .unwrap();

    let mut reader = reader(dir.path()).await;
    let rows = reader.observations_after(0, 10).await.unwrap();
    let expected = ObservationRow {
        id: 1,
        transmission_id: 1,
        raw_hex: "1501AA0000000000000001".to_owned(),
        hash: "0000000000000001".to_owned(),
        first_seen: Some("2026-09-21T14:13:20Z".to_owned()),
        timestamp: Some("2026-09-21T14:13:20Z".to_owned()),
        route_type: Some(1),
        payload_type: Some(5),
        decoded_json: Some("{\"n\":1}".to_owned()),
        scope_name: None,
        observation_count: 2,
        observer_id: Some("O1".to_owned()),
        observer_name: Some("Öl-Tank".to_owned()),
        observer_iata: Some("BER".to_owned()),
        direction: Some("rx".to_owned()),
        snr: Some(-3.25),
        rssi: Some(-110.0),
        score: Some(320),
        path_json: Some("[\"AA\"]".to_owned()),
        resolved_path: None,
        arrived_at_ms: Some(NOW * 1000),
    };
    assert_eq!(rows[0], expected);
    let expected = ObservationRow {
        id: 2,
        raw_hex: "1502AABB0000000000000001".to_owned(),
        timestamp: Some("2026-09-21T14:13:25Z".to_owned()),
        observer_id: Some("O2".to_owned()),
        observer_name: Some("two".to_owned()),
        direction: None,
        snr: None,
        rssi: None,
        score: None,
        path_json: Some("[\"AA\",\"BB\"]".to_owned()),
        ..expected
    };
    assert_eq!(rows[1..], [expected]);
}

#[tokio::test]
async fn going_on_from_the_last_id_gives_each_observation_once() {
    let dir = tempdir().unwrap();
    let (mut store, opened) = open(dir.path()).await;
    let mut reader = reader(dir.path()).await;
    assert_eq!(reader.db_uuid(), opened.db_uuid);
    assert_eq!(reader.last_observation_id().await.unwrap(), 0);
    let before = reader.data_version().await.unwrap();
    assert_eq!(reader.data_version().await.unwrap(), before);

    let mut seen = Vec::new();
    let mut last = 0;
    for batch in 0..4 {
        // The second half repeats what is there: ids are given out for it, and never used.
        let records: Vec<Record> = (0..20)
            .map(|n| record(reception(batch * 10 + n, "O1", "")))
            .collect();
        store.write(&records, &describe).await.unwrap();
        loop {
            let rows = reader.observations_after(last, 3).await.unwrap();
            let Some(newest) = rows.last() else { break };
            assert!(rows.len() <= 3);
            last = newest.id;
            seen.extend(rows.iter().map(|row| row.hash.clone()));
        }
        assert_eq!(reader.last_observation_id().await.unwrap(), last);
    }
    let expected: Vec<String> = (0..50).map(|n| format!("{n:016x}")).collect();
    assert_eq!(seen, expected);
    assert_ne!(reader.data_version().await.unwrap(), before);
}

#[tokio::test]
async fn rows_that_hold_anything_are_read_without_an_error() {
    let dir = tempdir().unwrap();
    let (store, _) = open(dir.path()).await;
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    for sql in [
        "INSERT INTO transmissions(id, raw_hex, hash, first_seen, route_type, payload_type, decoded_json) VALUES \
         (1, '', 'h1', '', NULL, NULL, NULL), \
         (2, x'FF41', 'h2', x'C3', 'text', x'00', CAST(x'7BC3' AS TEXT))",
        "INSERT INTO observations(id, transmission_id, observer_idx, snr, rssi, path_json, timestamp, resolved_path) \
         VALUES (1, 1, NULL, NULL, NULL, NULL, 0, NULL), (2, 2, 77, 'loud', x'01', x'FF', 'yesterday', 9e999), \
         (3, 4711, 1, 1, 1, '[]', 0, NULL)",
    ] {
        sqlx::query(sql).execute(&mut db).await.unwrap();
    }
    let rows = reader(dir.path())
        .await
        .observations_after(0, 10)
        .await
        .unwrap();
    let empty = ObservationRow {
        id: 1,
        transmission_id: 1,
        hash: "h1".to_owned(),
        first_seen: Some(String::new()),
        timestamp: Some("1970-01-01T00:00:00Z".to_owned()),
        ..ObservationRow::default()
    };
    let strange = ObservationRow {
        id: 2,
        transmission_id: 2,
        raw_hex: "\u{fffd}A".to_owned(),
        hash: "h2".to_owned(),
        first_seen: Some("\u{fffd}".to_owned()),
        decoded_json: Some("{\u{fffd}".to_owned()),
        path_json: Some("\u{fffd}".to_owned()),
        resolved_path: Some("Inf".to_owned()),
        ..ObservationRow::default()
    };
    // An observation without its transmission is nothing to show.
    assert_eq!(rows, [empty, strange]);
}

/// A client may go away at any moment; a read transaction that stayed would keep the WAL growing for ever.
#[tokio::test]
async fn a_query_that_nobody_waits_for_any_more_leaves_no_transaction_open() {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let mut reader = reader(dir.path()).await;
    let mut cut = 0;
    for round in 0..20_u32 {
        let records: Vec<Record> = (0..300)
            .map(|n| record(reception(u64::from(round) * 1000 + n, "O1", "AA")))
            .collect();
        store.write(&records, &describe).await.unwrap();
        // Cut off at another place each time, some of them before the query has begun.
        let patience = Duration::from_micros(u64::from(round) * 150);
        let page = tokio::time::timeout(patience, reader.packets(i64::MAX, 1001)).await;
        cut += usize::from(page.is_err());
        let (mode, wait) = (CheckpointMode::Truncate, Duration::from_secs(5));
        let checkpoint = store.checkpoint(mode, wait).await.unwrap();
        assert!(!checkpoint.busy, "round {round}: {checkpoint:?}");
        assert_eq!(wal_bytes(dir.path()), 0, "round {round}");
    }
    assert!(cut > 0, "each query was faster than its cut");
    assert_eq!(reader.packets(i64::MAX, 1001).await.unwrap().len(), 1001);
}

/// A frame of one packet, and what its reception says about it.
fn heard(header: u8, entry_bytes: usize, path: &[u8], observer: usize) -> Reception {
    let path = &path[..path.len() / entry_bytes * entry_bytes];
    let count = u8::try_from(path.len() / entry_bytes).expect("a short path");
    let mut raw = vec![header];
    if matches!(header & 3, 0 | 3) {
        raw.extend([1, 2, 3, 4]);
    }
    raw.push(u8::try_from(entry_bytes - 1).expect("1 to 3") << 6 | count);
    raw.extend(path);
    raw.extend(b"the payload");
    let hops: Vec<String> = path.chunks(entry_bytes).map(hex::encode_upper).collect();
    let is_trace = header >> 2 & 15 == 9;
    Reception {
        raw,
        path_json: serde_json::to_string(&hops).expect("strings are JSON"),
        path_is_frame_path: !is_trace,
        payload_type: header >> 2 & 15,
        ..reception(1, &format!("O{observer}"), "")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_observation_shows_the_frame_that_its_observer_heard(
        frames in prop::collection::vec(
            (prop::sample::select(vec![0x14u8, 0x15, 0x16, 0x26, 0x27]), 1usize..=3,
             prop::collection::vec(any::<u8>(), 0..12)),
            1..8,
        ),
        one_batch in any::<bool>(),
    ) {
        let receptions: Vec<Reception> = frames
            .iter()
            .enumerate()
            .map(|(n, (header, size, path))| heard(*header, *size, path, n))
            .collect();
        let expected: Vec<String> =
            receptions.iter().map(|r| hex::encode_upper(&r.raw)).collect();
        let records: Vec<Record> = receptions.into_iter().map(record).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let shown: Vec<String> = runtime.block_on(async {
            let dir = tempdir().unwrap();
            let (mut store, _) = open(dir.path()).await;
            for batch in records.chunks(if one_batch { 8 } else { 1 }) {
                store.write(batch, &describe).await.unwrap();
            }
            let rows = reader(dir.path()).await.observations_after(0, 100).await.unwrap();
            rows.into_iter().map(|row| row.raw_hex).collect()
        });
        prop_assert_eq!(shown, expected);
    }
}

#[tokio::test]
async fn a_file_that_is_still_to_be_migrated_is_waited_for() {
    let dir = tempdir().unwrap();
    let (store, _) = open(dir.path()).await;
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    sqlx::raw_sql("PRAGMA user_version = 0")
        .execute(&mut db)
        .await
        .unwrap();
    let error = Reader::open(&dir.path().join("mesh.db")).await.unwrap_err();
    assert!(matches!(error, Error::Older { found: 0, .. }), "{error}");
    assert!(error.to_string().contains("ingestor"), "{error}");
}
