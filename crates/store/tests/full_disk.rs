//! A full disk: nothing is told, nothing is lost, and it goes on by itself.

mod common;

use std::time::Duration;

use common::running::{Running, Setup, Told, keep_everything};
use common::{describe, look, now, one_i64, one_text, options, reception, record, stored};
use meshcore_store::{Class, Condition, PreviousEnd, Record, Retention, Store, StoreOptions};
use meshcore_testkit::SmallDisk;

/// Options for a file on the small disk, with a ballast.
fn with_ballast(disk: &SmallDisk) -> StoreOptions {
    StoreOptions {
        ballast_bytes: 64 << 20,
        ..options(&disk.path())
    }
}

fn ballast_bytes(disk: &SmallDisk) -> u64 {
    std::fs::metadata(disk.path().join("mesh.db.ballast")).map_or(0, |m| m.len())
}

/// A packet of some 600 bytes, heard ten days ago.
fn large(n: u64) -> Record {
    let mut large = reception(n, "a", "");
    large.raw.resize(300, 0x55);
    large.heard_at = now() - 864_000;
    record(large)
}

/// Queues packets until the writer says that the disk is full; gives back how many were queued and which of
/// them were told.
async fn fill_up(running: &mut Running, from: u64) -> (u64, Vec<u64>) {
    let mut told = Vec::new();
    let mut n = from;
    loop {
        for _ in 0..200 {
            running.send_record(large(n), n).await;
            n += 1;
        }
        match running.next().await {
            Told::Committed(_, tokens) => told.extend(tokens),
            Told::Condition(condition) => {
                assert_eq!(condition, Condition::DiskFull);
                return (n, told);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_acknowledgements_until_there_is_room() {
    let Some(disk) = SmallDisk::new(32) else {
        return;
    };
    let (store, _) = Store::open(with_ballast(&disk)).await.unwrap();
    assert!(ballast_bytes(&disk) > 1 << 20, "the ballast stands");
    let filler = disk.fill_but(6 << 20);
    let mut running = Setup::new().start(store);
    let (mut sent, mut told) = fill_up(&mut running, 0).await;
    assert!(!told.is_empty());

    // Long enough for several attempts to find room.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for _ in 0..10 {
        running.send_record(large(sent), sent).await;
        sent += 1;
    }
    assert!(running.told.try_recv().is_err(), "told on a full disk");
    let mut db = look(&disk.path()).await;
    let rows = stored(&mut db).await;
    assert!(
        told.iter().all(|n| rows.contains(n)),
        "an acknowledged packet is missing"
    );
    assert_eq!(
        one_text(&mut db, "PRAGMA integrity_check").await.unwrap(),
        "ok"
    );

    drop(filler);
    assert_eq!(running.condition().await.0, Condition::Writing);
    let rest = usize::try_from(sent).unwrap() - told.len();
    told.extend(running.tokens(rest).await);
    assert_eq!(told, (0..sent).collect::<Vec<_>>(), "each once, in order");
    assert!(ballast_bytes(&disk) > 1 << 20, "the ballast stands again");
    running.stopped().await.close().await.unwrap();
    assert_eq!(stored(&mut db).await.len(), told.len());
    assert_eq!(
        one_i64(&mut db, "SELECT transmissions FROM store_state").await,
        i64::try_from(told.len()).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_oldest_may_go_a_full_disk_clears_itself() {
    let Some(disk) = SmallDisk::new(256) else {
        return;
    };
    let (store, _) = Store::open(with_ballast(&disk)).await.unwrap();
    let mut running = Setup {
        retention: Retention {
            max_bytes: None,
            ..keep_everything()
        },
        ..Setup::new()
    }
    .start(store);
    for n in 0..15_000 {
        running.send_record(large(n), n).await;
    }
    running.tokens(15_000).await;
    // Somebody else takes the disk.
    let _filler = disk.fill_but(0);
    let mut db = look(&disk.path()).await;
    let (mut n, mut after) = (15_000, 0);
    // First the room of the WAL is used up; then the oldest go, and writing goes on.
    while after < 20 {
        assert!(n < 60_000, "nothing was deleted");
        for _ in 0..100 {
            running.send_record(large(n), n).await;
            n += 1;
        }
        running.tokens(100).await;
        let oldest = one_i64(&mut db, "SELECT min(id) FROM transmissions").await;
        after += i32::from(oldest > 1);
    }
    running.stopped().await.close().await.unwrap();
    let rows = stored(&mut db).await;
    assert_eq!(rows.last(), Some(&(n - 1)));
    assert!(
        rows.len() > 8_000,
        "not more than needed: {} are left",
        rows.len()
    );
    assert_eq!(
        one_text(&mut db, "PRAGMA integrity_check").await.unwrap(),
        "ok"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_fill_costs_no_packet_of_the_last_day() {
    let Some(disk) = SmallDisk::new(32) else {
        return;
    };
    let (store, _) = Store::open(with_ballast(&disk)).await.unwrap();
    let mut running = Setup {
        retention: Retention {
            max_bytes: None,
            ..keep_everything()
        },
        ..Setup::new()
    }
    .start(store);
    let fresh = |n| {
        let mut fresh = reception(n, "a", "");
        fresh.heard_at = now();
        record(fresh)
    };
    for n in 0..500 {
        running.send_record(fresh(n), n).await;
    }
    running.tokens(500).await;
    let filler = disk.fill_but(0);
    let mut sent = 500;
    let mut full = false;
    while !full {
        for _ in 0..200 {
            running.send_record(fresh(sent), sent).await;
            sent += 1;
        }
        full = matches!(running.next().await, Told::Condition(Condition::DiskFull));
    }
    drop(filler);
    assert_eq!(running.condition().await.0, Condition::Writing);
    running.stopped().await.close().await.unwrap();
    let mut db = look(&disk.path()).await;
    assert_eq!(stored(&mut db).await, (0..sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_disk_does_not_keep_an_existing_file_from_being_opened() {
    let Some(disk) = SmallDisk::new(24) else {
        return;
    };
    let (mut store, _) = Store::open(with_ballast(&disk)).await.unwrap();
    store.write(&[large(1)], &describe).await.unwrap();
    let ballast = ballast_bytes(&disk);
    store.close().await.unwrap();
    // The room that the last life gave back.
    let filler = disk.fill_but(0);

    let (mut store, opened) = Store::open(with_ballast(&disk)).await.unwrap();
    assert_eq!(opened.previous_end, PreviousEnd::Clean);
    let full = store.write(&[large(2)], &describe).await.unwrap_err();
    assert_eq!(full.class(), Class::Full, "{full}");
    let mut db = look(&disk.path()).await;
    assert_eq!(stored(&mut db).await, [1]);
    drop(filler);
    store.write(&[large(2)], &describe).await.unwrap();
    assert_eq!(ballast_bytes(&disk), ballast);
    assert_eq!(stored(&mut db).await, [1, 2]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_new_file_on_a_full_disk_is_a_full_disk_and_no_other_error() {
    let Some(disk) = SmallDisk::new(24) else {
        return;
    };
    let filler = disk.fill_but(0);
    let full = Store::open(with_ballast(&disk)).await.unwrap_err();
    assert_eq!(full.class(), Class::Full, "{full}");
    drop(filler);
    Store::open(with_ballast(&disk)).await.unwrap();
}
