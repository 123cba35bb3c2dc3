//! What expires goes, in small pieces, and the rest stays right.

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::running::{Running, Setup, keep_everything};
use common::{advert, describe, look, node, now, one_i64, one_text, open, reception, record};
use meshcore_store::{
    CheckpointMode, ClientReception, Dropped, Neighbors, Observer, Record, Retention, Status, Store,
};
use sqlx::sqlite::SqliteConnection;
use tokio::sync::mpsc;

const DAY: i64 = 86_400;
/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_mins(1);
const TEN_DAYS: Option<Duration> = Some(Duration::from_hours(240));

/// Packet `n` as `observer` heard it so many days ago.
fn heard(n: u64, observer: &str, path: &str, days_ago: i64) -> Record {
    let mut heard = reception(n, observer, path);
    heard.heard_at = now() - days_ago * DAY;
    heard.observer.seen_at = Some(heard.heard_at);
    heard.raw.resize(200, 0x55);
    record(heard)
}

async fn totals_are_right(db: &mut SqliteConnection) {
    for (kept, counted) in [
        (
            "SELECT transmissions FROM store_state",
            "SELECT count(*) FROM transmissions",
        ),
        (
            "SELECT observations FROM store_state",
            "SELECT count(*) FROM observations",
        ),
        (
            "SELECT coalesce(sum(observation_count), 0) FROM transmissions",
            "SELECT count(*) FROM observations",
        ),
        (
            "SELECT 0",
            "SELECT count(*) FROM observations WHERE transmission_id NOT IN (SELECT id FROM transmissions)",
        ),
    ] {
        assert_eq!(
            one_i64(db, kept).await,
            one_i64(db, counted).await,
            "{kept}"
        );
    }
    let check = one_text(db, "PRAGMA integrity_check").await;
    assert_eq!(check.as_deref(), Some("ok"));
}

/// Waits until `sql` gives `wanted`.
async fn wait_for(db: &mut SqliteConnection, sql: &'static str, wanted: i64) {
    let until = Instant::now() + LIMIT;
    loop {
        let found = one_i64(db, sql).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < until, "{sql}: {found}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn keep(retention: Retention, store: Store) -> Running {
    Setup {
        retention,
        ..Setup::new()
    }
    .start(store)
}

async fn write(store: &mut Store, records: &[Record]) {
    for group in records.chunks(5_000) {
        store.write(group, &describe).await.expect("written");
    }
}

/// On one thread: the writer must not run before something is queued.
#[tokio::test]
async fn old_packets_go_in_small_pieces_while_new_ones_are_written() {
    const OLD: u64 = 15_000;
    const FIRST: u64 = 30_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let old: Vec<_> = (0..OLD)
        .flat_map(|n| ["a", "b"].map(|o| heard(n, o, "01", 20)))
        .collect();
    write(&mut store, &old).await;
    write(&mut store, &[heard(29_000, "a", "", 1)]).await;
    store
        .checkpoint(CheckpointMode::Truncate, Duration::from_millis(100))
        .await
        .unwrap();
    let file = dir.path().join("mesh.db");
    let full = std::fs::metadata(&file).unwrap().len();

    let retention = Retention {
        packets: TEN_DAYS,
        ..keep_everything()
    };
    // Each commit queues the next packet, so there is one to write at any time, however slow this test is.
    let feed: Arc<Mutex<Option<(mpsc::Sender<_>, u64)>>> = Arc::default();
    let next = Arc::clone(&feed);
    let setup = Setup {
        retention,
        on_commit: Box::new(move |_| {
            if let Some((queue, n)) = &mut *next.lock().unwrap() {
                *n += 1;
                queue.try_send((heard(*n, "a", "", 0), *n)).unwrap();
            }
        }),
        ..Setup::new()
    };
    let mut running = setup.start(store);
    *feed.lock().unwrap() = Some((running.queue.clone(), FIRST));
    running.send_record(heard(FIRST, "a", "", 0), FIRST).await;
    let mut during = 0;
    loop {
        let (commit, tokens) = running.next_commit().await;
        if commit.deleted_transmissions == OLD {
            break;
        }
        during += i32::from(commit.deleted_transmissions > 0);
        assert!(tokens[0] < FIRST + 100_000, "they do not go");
    }
    let (_, last) = feed.lock().unwrap().take().unwrap();
    // Had they gone all at once, there would be none.
    assert!(during > 1, "only {during} packets were written meanwhile");
    println!("{during} packets were written while {OLD} went");
    let mut db = look(dir.path()).await;
    let kept = i64::try_from(last - FIRST).unwrap() + 2;
    wait_for(&mut db, "SELECT count(*) FROM transmissions", kept).await;
    totals_are_right(&mut db).await;

    // Pages go back to the file system, but for a sixteenth.
    let slack =
        "SELECT freelist_count > page_count / 16 FROM pragma_freelist_count, pragma_page_count";
    wait_for(&mut db, slack, 0).await;
    let mut store = running.stopped().await;
    store
        .checkpoint(CheckpointMode::Truncate, Duration::from_millis(100))
        .await
        .unwrap();
    let shrunk = std::fs::metadata(&file).unwrap().len();
    assert!(shrunk < full / 4, "{full} bytes only became {shrunk}");

    // What is gone is forgotten too.
    let again = store
        .write(&[heard(5, "a", "01", 0)], &describe)
        .await
        .unwrap();
    assert_eq!((again.transmissions, again.observations), (1, 1));
    totals_are_right(&mut db).await;
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_in_memory_that_was_deleted_is_new_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    write(&mut store, &[heard(1, "a", "", 20)]).await;
    let retention = Retention {
        packets: TEN_DAYS,
        ..keep_everything()
    };
    let mut running = keep(retention, store);
    let mut db = look(dir.path()).await;
    wait_for(&mut db, "SELECT count(*) FROM transmissions", 0).await;
    running.send_record(heard(1, "b", "", 0), 2).await;
    let (commit, _) = running.next_commit().await;
    assert_eq!(commit.outcome.transmissions, 1);
    assert_eq!(commit.deleted_transmissions, 1);
    totals_are_right(&mut db).await;
    running.stopped().await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_with_very_many_observations_goes_in_pieces_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let path = |n: u64| hex::encode(&n.to_be_bytes()[6..]);
    let mut records: Vec<_> = (0..4_500).map(|n| heard(1, "a", &path(n), 20)).collect();
    records.extend((2..50).map(|n| heard(n, "a", "", 19)));
    write(&mut store, &records).await;
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_i64(&mut db, "SELECT max(observation_count) FROM transmissions").await,
        4_500
    );
    let retention = Retention {
        packets: TEN_DAYS,
        ..keep_everything()
    };
    let running = keep(retention, store);
    wait_for(&mut db, "SELECT count(*) FROM transmissions", 0).await;
    totals_are_right(&mut db).await;
    running.stopped().await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_size_cap_the_oldest_go_first_and_no_more_than_needed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    // The later number is the older packet: it goes by time, not by id.
    let records: Vec<_> = (0..8_000)
        .map(|n| heard(n, "a", "", i64::try_from(n / 1_000).unwrap()))
        .collect();
    write(&mut store, &records).await;
    let mut db = look(dir.path()).await;
    let used = "SELECT (page_count - freelist_count) * page_size \
                FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let before = one_i64(&mut db, used).await;
    let cap = before / 2;
    let retention = Retention {
        max_bytes: Some(cap.unsigned_abs()),
        ..keep_everything()
    };
    let running = keep(retention, store);
    let until = Instant::now() + LIMIT;
    while one_i64(&mut db, used).await > cap {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.stopped().await.close().await.unwrap();
    let after = one_i64(&mut db, used).await;
    assert!(after > cap * 8 / 10, "{after} of {cap} bytes are left");
    let rows = common::stored(&mut db).await;
    let kept = u64::try_from(rows.len()).unwrap();
    assert!((2_000..6_000).contains(&kept), "{kept}");
    assert!(
        rows.iter().max() <= Some(&(kept + 1_000)),
        "the newest stay"
    );
    totals_are_right(&mut db).await;
}

/// Everything beside packets, so many days old.
fn small_things(days_ago: i64) -> Vec<Record> {
    let at = now() - days_ago * DAY;
    let id = format!("observer {days_ago}");
    let observer = Observer {
        id: id.clone(),
        seen_at: Some(at),
        ..Observer::default()
    };
    let key = format!("{days_ago:064x}");
    let node = node(&key, Some("N"), at);
    let Record::Reception(mut advert) = advert(u64::MAX - days_ago.unsigned_abs(), &id, node)
    else {
        unreachable!("an advert is a reception");
    };
    advert.heard_at = at;
    advert.observer.seen_at = Some(at);
    vec![
        Record::Reception(advert),
        Record::Status(Box::new(Status {
            observer: observer.clone(),
            battery_mv: Some(4_000),
            sample_at: Some(at),
            ..Status::default()
        })),
        Record::Neighbors(Box::new(Neighbors {
            observer,
            neighbors: vec![key.clone()],
        })),
        Record::ClientReception(Box::new(ClientReception {
            rx_pubkey: "aa".to_owned(),
            heard_key: key,
            src: "rxlog",
            rssi: None,
            snr: None,
            lat: 1.0,
            lon: 2.0,
            accuracy_m: None,
            rx_at: at,
        })),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_else_has_its_own_time() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    write(&mut store, &small_things(20)).await;
    write(&mut store, &small_things(1)).await;
    let letter = |_| {
        Record::Dropped(Box::new(Dropped {
            reason: "too_short".into(),
            hash: None,
            raw: vec![1],
            observer_id: None,
            observer_name: None,
        }))
    };
    write(&mut store, &(0..3).map(letter).collect::<Vec<_>>()).await;
    let mut db = look(dir.path()).await;
    sqlx::raw_sql(
        "UPDATE dropped_packets SET dropped_at = datetime('now', '-20 days') WHERE id < 3",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let all = TEN_DAYS;
    let retention = Retention {
        packets: None,
        nodes: all,
        observers: all,
        metrics: all,
        client_receptions: all,
        neighbor_edges: all,
        ..keep_everything()
    };
    let running = keep(retention, store);
    wait_for(&mut db, "SELECT count(*) FROM neighbor_edges", 1).await;
    running.stopped().await.close().await.unwrap();
    for (sql, wanted) in [
        ("SELECT count(*) FROM nodes", 1),
        ("SELECT count(*) FROM inactive_nodes", 1),
        (
            "SELECT count(*) FROM nodes JOIN inactive_nodes USING (public_key)",
            0,
        ),
        (
            "SELECT count(*) FROM observers WHERE inactive = 1 AND id = 'observer 20'",
            1,
        ),
        (
            "SELECT count(*) FROM observers WHERE inactive = 0 AND id = 'observer 1'",
            1,
        ),
        ("SELECT count(*) FROM observer_metrics", 1),
        ("SELECT count(*) FROM dropped_packets", 1),
        ("SELECT count(*) FROM client_receptions", 1),
        ("SELECT count(*) FROM observation_counts_hourly", 1),
        ("SELECT count(*) FROM transmissions", 2),
    ] {
        assert_eq!(one_i64(&mut db, sql).await, wanted, "{sql}");
    }
    totals_are_right(&mut db).await;
}

#[tokio::test]
async fn no_more_dead_letters_are_kept_than_fit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let letters: Vec<_> = (0..12_500)
        .map(|_| {
            Record::Dropped(Box::new(Dropped {
                reason: "too_short".into(),
                hash: None,
                raw: vec![1],
                observer_id: None,
                observer_name: None,
            }))
        })
        .collect();
    write(&mut store, &letters).await;
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM dropped_packets").await,
        10_000
    );
    assert_eq!(
        one_i64(&mut db, "SELECT dropped FROM store_state").await,
        12_500
    );
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_can_not_shrink_is_held_at_its_cap_by_what_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    meshcore_testkit::CoreScopeOptions {
        transmissions: 8_000,
        observations_each: 2,
        ..meshcore_testkit::CoreScopeOptions::default()
    }
    .build(&dir.path().join("mesh.db"))
    .await;
    let (mut store, opened) = open(dir.path()).await;
    assert!(!opened.gives_pages_back);
    let mut db = look(dir.path()).await;
    let used = "SELECT (page_count - freelist_count) * page_size \
                FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let before = one_i64(&mut db, used).await;
    let pages = one_i64(&mut db, "PRAGMA page_count").await;
    write(&mut store, &[heard(100_000, "a", "", 0)]).await;
    let retention = Retention {
        max_bytes: Some((before / 2).unsigned_abs()),
        ..keep_everything()
    };
    let mut running = keep(retention, store);
    let until = Instant::now() + LIMIT;
    while one_i64(&mut db, used).await > before / 2 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It stops there: the free pages, which stay in the file, don't count.
    let left = one_i64(&mut db, "SELECT count(*) FROM transmissions").await;
    assert!(left > 2_000, "{left}");
    for n in 100_001..100_020 {
        running.send_record(heard(n, "a", "", 0), n).await;
        running.tokens(1).await;
    }
    let newest = "SELECT count(*) FROM transmissions WHERE time(first_seen) >= 0 AND id > 8_000";
    assert!(one_i64(&mut db, newest).await >= 19, "new packets stay");
    assert!(one_i64(&mut db, "PRAGMA page_count").await < pages + 100);
    running.stopped().await.close().await.unwrap();
    totals_are_right(&mut db).await;
}
