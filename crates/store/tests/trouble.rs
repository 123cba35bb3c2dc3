//! What becomes of trouble: a locked file, another writer, damage, a disk whose syncs fail.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::running::{Running, Setup, Told};
use common::{describe, look, one_i64, one_text, open, options, reception, record, stored};
use meshcore_store::{CheckpointMode, Class, Condition, Error, PreviousEnd, Store};
use meshcore_testkit::announce;

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

/// What CoreScope does with a packet: SQLite gives out the ids.
const THEIR_PACKET: &str = "INSERT INTO transmissions(raw_hex, hash, first_seen) VALUES ('1500', 'aaaaaaaaaaaaaaaa', '2026-09-21T12:00:00Z')";
const THEIR_OBSERVATION: &str =
    "INSERT INTO observations(transmission_id, observer_idx, timestamp) VALUES (1, 1, 1790000000)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_beside_which_ids_are_given_out_ends_and_acknowledges_nothing() {
    for theirs in [THEIR_PACKET, THEIR_OBSERVATION] {
        // What was deleted again counts as well.
        for deleted in [
            "",
            "; DELETE FROM observations WHERE id = 2; DELETE FROM transmissions WHERE id = 2",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut running = Setup::new().start(open(dir.path()).await.0);
            running.send(1).await;
            running.tokens(1).await;
            let mut other = look(dir.path()).await;
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{theirs}{deleted}")))
                .execute(&mut other)
                .await
                .unwrap();
            let theirs = one_i64(&mut other, "SELECT count(*) FROM observations").await - 1;
            running.send(2).await;
            assert!(running.told.recv().await.is_none(), "something is told");
            let error = running.end().await.unwrap_err();
            assert!(matches!(error, Error::Fenced { .. }), "{error}");

            // The next life begins behind them, with the message that was not acknowledged.
            let (mut store, _) = open(dir.path()).await;
            let outcome = store
                .write(&[record(reception(2, "a", ""))], &describe)
                .await
                .unwrap();
            assert_eq!((outcome.transmissions, outcome.observations), (1, 1));
            store.close().await.unwrap();
            let observations = one_i64(&mut other, "SELECT count(*) FROM observations").await;
            assert_eq!(observations, 2 + theirs);
            let ours = one_i64(
                &mut other,
                "SELECT count(*) FROM transmissions t JOIN observations o ON o.transmission_id = t.id \
                 WHERE t.hash = '0000000000000002'",
            );
            assert_eq!(ours.await, 1);
        }
    }
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

/// A file whose indexes of packets are zeroes: it opens, and the first packet finds the damage.
async fn with_damaged_indexes(dir: &Path) {
    let (mut store, _) = open(dir).await;
    let records = [record(reception(1, "a", ""))];
    store.write(&records, &describe).await.unwrap();
    store.close().await.unwrap();
    let mut db = look(dir).await;
    let sql =
        "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'transmissions'";
    let roots: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&mut db).await.unwrap();
    sqlx::Connection::close(db).await.unwrap();
    let mut bytes = std::fs::read(dir.join("mesh.db")).unwrap();
    for root in roots {
        let page = usize::try_from(root - 1).unwrap() * 4096;
        bytes[page..page + 4096].fill(0);
    }
    std::fs::write(dir.join("mesh.db"), bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_left_as_it_is_by_a_close_and_by_an_import() {
    let source = tempfile::tempdir().unwrap();
    let (mut store, _) = open(source.path()).await;
    let records = [record(reception(2, "b", ""))];
    store.write(&records, &describe).await.unwrap();
    store.close().await.unwrap();
    for is_import in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        with_damaged_indexes(dir.path()).await;
        let damaged = std::fs::read(dir.path().join("mesh.db")).unwrap();
        let error = if is_import {
            let go_on = |_: &_| std::ops::ControlFlow::Continue(());
            let from = source.path().join("mesh.db");
            meshcore_store::import(&from, options(dir.path()), go_on)
                .await
                .map(drop)
                .unwrap_err()
        } else {
            let (mut store, _) = open(dir.path()).await;
            let error = store.write(&records, &describe).await.unwrap_err();
            store.close().await.unwrap();
            error
        };
        assert_eq!(error.class(), Class::Corrupt, "{error}");
        // What this life wrote is in the WAL still: the last connection to close would have copied it over.
        assert!(common::wal_bytes(dir.path()) > 0);
        assert!(damaged == std::fs::read(dir.path().join("mesh.db")).unwrap());
        assert!(dir.path().join("mesh.db.running").exists());
    }
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
