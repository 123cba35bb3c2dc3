//! The writer's loop: what is told, when, and in which groups.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use common::running::{Running, Setup};
use common::{describe, look, open, stored};
use meshcore_store::{BATCH_ROWS, Description, Reception, Record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_told_only_when_their_rows_can_be_seen_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path()).await;
    let path = dir.path().to_owned();
    let setup = Setup {
        on_commit: Box::new(move |tokens| {
            let rows = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let mut db = look(&path).await;
                    stored(&mut db).await
                })
            });
            assert!(
                tokens.iter().all(|token| rows.contains(token)),
                "{tokens:?}"
            );
        }),
        ..Setup::new()
    };
    let mut running = setup.start(store);
    for n in 0..50 {
        running.send(n).await;
        if n % 7 == 0 {
            running.next_commit().await;
        }
    }
    running.stop();
    let store = running.end().await.unwrap();
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(stored(&mut db).await, (0..50).collect::<Vec<_>>());
}

/// Describes packets, but waits at number 0 until it is let go.
fn slow_at_zero() -> (
    std_mpsc::Sender<()>,
    impl Fn(&Reception) -> Description + Send + Sync,
) {
    let (go, wait) = std_mpsc::channel();
    let wait = Mutex::new(wait);
    let slow = move |reception: &Reception| {
        if reception.hash == [0; 8] {
            wait.lock().unwrap().recv().ok();
        }
        describe(reception)
    };
    (go, slow)
}

/// A writer that is in the middle of its first commit, with packet 0.
async fn busy_with_zero(dir: &Path, linger: Duration) -> (std_mpsc::Sender<()>, Running) {
    let (go, slow) = slow_at_zero();
    let plain = Setup::new();
    let setup = Setup {
        describe: slow,
        linger,
        retention: plain.retention,
        wal_limit: plain.wal_limit,
        on_commit: plain.on_commit,
    };
    let running = setup.start(open(dir).await.0);
    running.send(0).await;
    running.until_taken().await;
    (go, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_during_a_commit_goes_into_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let (go, mut running) = busy_with_zero(dir.path(), Duration::ZERO).await;
    let more = BATCH_ROWS as u64 + 10;
    for n in 1..=more {
        running.send(n).await;
    }
    go.send(()).unwrap();
    let mut groups = Vec::new();
    while groups.iter().map(Vec::len).sum::<usize>() < BATCH_ROWS + 11 {
        groups.push(running.next_commit().await.1);
    }
    let sizes: Vec<_> = groups.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, BATCH_ROWS, 10]);
    assert_eq!(groups.concat(), (0..=more).collect::<Vec<_>>());
    running.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_writes_what_is_queued_and_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let (go, mut running) = busy_with_zero(dir.path(), Duration::ZERO).await;
    for n in 1..=200 {
        running.send(n).await;
    }
    running.stop();
    go.send(()).unwrap();
    running.queue.closed().await;
    let refused = running.queue.send((Record::Nothing, 999)).await;
    assert!(refused.is_err());
    assert_eq!(running.tokens(201).await, (0..=200).collect::<Vec<_>>());
    let store = running.end().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(stored(&mut look(dir.path()).await).await.len(), 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_whose_senders_are_gone_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Setup::new().start(open(dir.path()).await.0);
    running.send(1).await;
    running.queue = tokio::sync::mpsc::channel(1).0;
    assert_eq!(running.tokens(1).await, [1]);
    running.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linger_makes_one_commit_of_what_trickles_in_and_a_stop_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Setup {
        linger: Duration::from_hours(1),
        ..Setup::new()
    }
    .start(open(dir.path()).await.0);
    for n in 0..5 {
        running.send(n).await;
        running.until_taken().await;
    }
    assert!(running.told.try_recv().is_err(), "told without a linger");
    running.stop();
    assert_eq!(running.next_commit().await.1, [0, 1, 2, 3, 4]);
    running.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linger_is_waited_for_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let linger = Duration::from_millis(400);
    let mut running = Setup {
        linger,
        ..Setup::new()
    }
    .start(open(dir.path()).await.0);
    let began = Instant::now();
    running.send(7).await;
    assert_eq!(running.next_commit().await.1, [7]);
    assert!(began.elapsed() >= linger);
    running.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_with_nothing_to_store_is_told_without_a_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Setup::new().start(open(dir.path()).await.0);
    running.send(1).await;
    running.tokens(1).await;
    let before = std::fs::read(dir.path().join("mesh.db-wal")).unwrap();
    running.send_record(Record::Nothing, 2).await;
    assert_eq!(running.tokens(1).await, [2]);
    let after = std::fs::read(dir.path().join("mesh.db-wal")).unwrap();
    assert!(before == after, "the WAL has grown");
    running.stopped().await;
}
