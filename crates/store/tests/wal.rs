//! The WAL stays small, and only the writer checkpoints.

mod common;

use std::path::Path;

use common::running::{Running, Setup};
use common::{look, open, reception, record, wal_bytes};
use meshcore_store::{Error, Reader};
use sqlx::Connection;

/// WAL pages from which these tests want a checkpoint.
const LIMIT: u64 = 400;
/// What the WAL may have at most: the limit, and what comes between two looks at it.
const BOUND: u64 = 16 << 20;

fn start(store: meshcore_store::Store) -> Running {
    Setup {
        wal_limit: LIMIT,
        ..Setup::new()
    }
    .start(store)
}

/// Writes packets of 600 bytes in many commits; gives back the largest size of the WAL seen.
async fn write_some(running: &mut Running, dir: &Path, from: u64, rounds: u64) -> u64 {
    let mut largest = 0;
    for round in 0..rounds {
        for n in 0..500 {
            let n = from + round * 500 + n;
            let mut large = reception(n, "a", "");
            large.raw.resize(300, 0x55);
            running.send_record(record(large), n).await;
        }
        running.tokens(500).await;
        largest = largest.max(wal_bytes(dir));
    }
    largest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_stays_small_during_a_long_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(open(dir.path()).await.0);
    let largest = write_some(&mut running, dir.path(), 0, 100).await;
    let file = std::fs::metadata(dir.path().join("mesh.db")).unwrap().len();
    assert!(file > 2 * BOUND, "only {file} bytes were written");
    assert!(largest < BOUND, "the WAL grew to {largest}");
    running.stopped().await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_stops_the_reset_of_the_wal_but_not_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(open(dir.path()).await.0);
    write_some(&mut running, dir.path(), 0, 2).await;
    let mut reader = look(dir.path()).await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM transmissions")
        .execute(&mut reader)
        .await
        .unwrap();
    let held = write_some(&mut running, dir.path(), 10_000, 60).await;
    assert!(held > BOUND, "the reader held nothing: {held}");
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    // From its start again: the file keeps its size, its content begins anew.
    let mut pages = u64::MAX;
    let mut n = 100_000;
    while pages > 4 * LIMIT {
        assert!(n < 200_000, "the WAL is never reset: {pages} pages");
        write_some(&mut running, dir.path(), n, 1).await;
        running.send(n + 999).await;
        pages = running.next_commit().await.0.wal_pages;
        n += 1_000;
    }
    assert!(wal_bytes(dir.path()) <= held + BOUND);
    running.stopped().await.close().await.unwrap();
}

#[tokio::test]
async fn the_reader_neither_checkpoints_nor_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let records: Vec<_> = (0..300).map(|n| record(reception(n, "a", ""))).collect();
    store.write(&records, &common::describe).await.unwrap();
    // A copy has no writer: the reader is the first and the last to use it.
    let copy = tempfile::tempdir().unwrap();
    for part in ["mesh.db", "mesh.db-wal"] {
        std::fs::copy(dir.path().join(part), copy.path().join(part)).unwrap();
    }
    let bytes = |part: &str| std::fs::read(copy.path().join(part)).unwrap();
    let before = (bytes("mesh.db"), bytes("mesh.db-wal"));
    for _ in 0..3 {
        let mut reader = Reader::open(&copy.path().join("mesh.db")).await.unwrap();
        assert_eq!(reader.stats().await.unwrap().total_transmissions, 300);
        reader.close().await.unwrap();
        assert!(before == (bytes("mesh.db"), bytes("mesh.db-wal")));
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_reader_waits_for_the_schema_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mesh.db");
    let missing = Reader::open(&path).await.unwrap_err();
    assert_eq!(missing.sqlite_code(), Some(14), "{missing}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // The moment between the file and its tables.
    std::fs::write(&path, "").unwrap();
    let early = Reader::open(&path).await.unwrap_err();
    assert!(matches!(early, Error::NotReady { .. }), "{early}");
    std::fs::remove_file(&path).unwrap();

    let (mut store, _) = open(dir.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let empty = reader.stats().await.unwrap();
    assert_eq!((empty.total_packets, empty.total_observations), (0, 0));
    let mut heard = reception(1, "a", "");
    heard.heard_at = common::now();
    store
        .write(
            &[record(heard), record(reception(2, "b", ""))],
            &common::describe,
        )
        .await
        .unwrap();
    let stats = reader.stats().await.unwrap();
    assert_eq!(
        (
            stats.total_packets,
            stats.total_transmissions,
            stats.total_observations,
            stats.total_observers,
            stats.packets_last_hour,
            stats.packets_last_24h,
        ),
        (2, 2, 2, 2, 1, 1)
    );
    reader.close().await.unwrap();
    store.close().await.unwrap();
    sqlx::SqliteConnection::close(look(dir.path()).await)
        .await
        .unwrap();
}
