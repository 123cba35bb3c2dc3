//! The writer's loop: what is told when, and what becomes of trouble.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use common::running::{Running, Setup, Told};
use common::{describe, look, one_i64, one_text, open, options, reception, record, stored};
use meshcore_store::{
    BATCH_ROWS, CheckpointMode, Class, Condition, Description, Error, PreviousEnd, Reception,
    Record, Store,
};
use meshcore_testkit::announce;

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
    while running.queue.capacity() < running.queue.max_capacity() {
        tokio::task::yield_now().await;
    }
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
    while groups.iter().map(Vec::len).sum::<usize>() < more as usize + 1 {
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
    let linger = Duration::from_millis(400);
    let mut running = Setup {
        linger,
        ..Setup::new()
    }
    .start(open(dir.path()).await.0);
    let began = Instant::now();
    for n in 0..5 {
        running.send(n).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(running.next_commit().await.1, [0, 1, 2, 3, 4]);
    assert!(began.elapsed() >= linger);
    running.stopped().await;

    let other = tempfile::tempdir().unwrap();
    let mut running = Setup {
        linger: Duration::from_secs(60),
        ..Setup::new()
    }
    .start(open(other.path()).await.0);
    running.send(7).await;
    while running.queue.capacity() < running.queue.max_capacity() {
        tokio::task::yield_now().await;
    }
    running.stop();
    assert_eq!(running.next_commit().await.1, [7]);
    running.end().await.unwrap();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_holds_everything_up_until_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Setup::new().start(open(dir.path()).await.0);
    running.send(1).await;
    running.tokens(1).await;
    let mut other = look(dir.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    running.send(2).await;
    assert_eq!(running.condition().await, (Condition::Busy, vec![]));
    running.send(3).await;
    assert!(running.told.try_recv().is_err());
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    assert_eq!(running.condition().await, (Condition::Writing, vec![]));
    assert_eq!(running.tokens(2).await, [2, 3]);
    running.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_replaced_ends_and_tells_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Setup::new().start(open(dir.path()).await.0);
    running.send(1).await;
    running.tokens(1).await;
    std::fs::remove_file(dir.path().join("mesh.db.writer")).unwrap();
    let (_new, _) = open(dir.path()).await;
    running.send(2).await;
    let mut told = Vec::new();
    while let Some(message) = running.told.recv().await {
        told.push(message);
    }
    assert!(told.is_empty(), "{told:?}");
    let error = running.end().await.unwrap_err();
    let path = dir.path().join("mesh.db");
    assert!(
        matches!(&error, Error::Fenced { path: p } if *p == path),
        "{error}"
    );
    assert_eq!(stored(&mut look(dir.path()).await).await, [1]);
}

/// Overwrites pages of a file as a broken disk would: from outside this process, whose own file handles would
/// take SQLite's locks away.
fn overwrite(file: &Path, first_page: u64) {
    let pages = std::fs::metadata(file).unwrap().len() / 4096 + 1;
    let status = Command::new("dd")
        .args(["if=/dev/zero", "bs=4096", "conv=notrunc", "status=none"])
        .arg(format!("of={}", file.display()))
        .arg(format!("seek={first_page}"))
        .arg(format!("count={}", pages - first_page))
        .status()
        .unwrap();
    assert!(status.success());
}

/// A running writer with a hundred packets in its file, whose page cache was just made worthless.
async fn writer_without_cache(dir: &Path, truncated: bool) -> Running {
    let (mut store, _) = open(dir).await;
    let records: Vec<_> = (0..100).map(|n| record(reception(n, "a", "01"))).collect();
    store.write(&records, &describe).await.unwrap();
    if truncated {
        let wait = Duration::from_millis(100);
        let done = store
            .checkpoint(CheckpointMode::Truncate, wait)
            .await
            .unwrap();
        assert!(done.is_complete());
    }
    let mut running = Setup::new().start(store);
    running.send(100).await;
    running.tokens(1).await;
    let mut other = look(dir).await;
    sqlx::raw_sql("UPDATE observers SET model = 'x'")
        .execute(&mut other)
        .await
        .unwrap();
    // Not closed: this connection must leave the file as it is.
    std::mem::forget(other);
    running
}

async fn goes_on_in_a_new_file(dir: &Path, mut running: Running) {
    let parts = ["mesh.db", "mesh.db-wal"];
    let damaged = parts.map(|part| std::fs::read(dir.join(part)).unwrap());
    running.send(101).await;
    running.send(102).await;
    let (Condition::SetAside { path }, told) = running.condition().await else {
        panic!("nothing was set aside");
    };
    assert_eq!(told, Vec::<u64>::new());
    assert_eq!(running.tokens(2).await, [101, 102]);
    running.send(103).await;
    assert_eq!(running.tokens(1).await, [103]);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    for (suffix, bytes) in ["", "-wal"].iter().zip(&damaged) {
        let aside = std::fs::read(dir.join(format!("{name}{suffix}"))).unwrap();
        assert!(aside == *bytes, "{name}{suffix} was changed");
    }
    assert!(dir.join(format!("{name}-shm")).exists());
    let refused = Store::open(options(dir)).await.unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    running.stopped().await.close().await.unwrap();
    let mut db = look(dir).await;
    assert_eq!(stored(&mut db).await, [101, 102, 103]);
    assert_eq!(
        one_text(&mut db, "PRAGMA integrity_check").await.unwrap(),
        "ok"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_damaged_in_mid_life_is_set_aside_whole() {
    let dir = tempfile::tempdir().unwrap();
    let running = writer_without_cache(dir.path(), true).await;
    overwrite(&dir.path().join("mesh.db"), 1);
    goes_on_in_a_new_file(dir.path(), running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wal_that_is_damaged_in_mid_life_is_set_aside_whole() {
    let dir = tempfile::tempdir().unwrap();
    let running = writer_without_cache(dir.path(), false).await;
    overwrite(&dir.path().join("mesh.db-wal"), 1);
    goes_on_in_a_new_file(dir.path(), running).await;
}

/// Names the folder that [`child_whose_disk_fails`] works in; unset, it does nothing.
const CHILD: &str = "MESHCORE_STORE_TEST_CHILD";

/// Not a test by itself: the process whose syncs fail in
/// [`a_failed_sync_ends_the_writer_and_is_remembered`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_whose_disk_fails() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let mut running = Setup::new().start(open(Path::new(&dir)).await.0);
    running.send(1).await;
    running.tokens(1).await;
    println!("child: ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    running.send(2).await;
    while let Some(told) = running.told.recv().await {
        if let Told::Committed(..) = told {
            println!("child: told");
        }
    }
    let error = running.end().await.unwrap_err();
    assert_eq!(error.class(), Class::Io, "{error}");
    println!("child: io");
    // As the program ends: nothing is closed.
    std::process::exit(74);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_writer_and_is_remembered() {
    if Command::new("strace").arg("-V").output().is_err() {
        let message = "strace is not installed: apt-get install strace";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
        announce(&format!("SKIPPED: {message}"));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_whose_disk_fails", "--nocapture"])
        .env(CHILD, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| Some(line.split_once("child: ")?.1.to_owned()));
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let mut strace = Command::new("strace")
        .args(["-f", "-e", "trace=fsync,fdatasync"])
        .args(["-e", "inject=fsync,fdatasync:error=EIO"])
        .args(["-P", dir.path().join("mesh.db-wal").to_str().unwrap()])
        .args(["-p", &child.id().to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(strace.stderr.take().unwrap()).lines();
    log.find(|line| line.as_ref().is_ok_and(|l| l.contains("attached")));
    writeln!(child.stdin.take().unwrap(), "go on").unwrap();
    assert_eq!(lines.next().as_deref(), Some("io"), "nothing is told");
    assert_eq!(child.wait().unwrap().code(), Some(74));
    strace.wait().unwrap();
    let (_, opened) = open(dir.path()).await;
    assert_eq!(opened.previous_end, PreviousEnd::IoError);
    assert!(opened.checkpoint.is_complete());
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM ingest_sessions WHERE previous_end = 'io_error'"
        )
        .await,
        1
    );
    assert_eq!(stored(&mut db).await.first(), Some(&1));
}
