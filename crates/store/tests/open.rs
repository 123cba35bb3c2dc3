//! Opening: new files, old files, other people's files, damaged files, two writers.

mod common;

use std::time::Duration;

use common::{describe, look, one_i64, one_text, open, options, reception, record};
use meshcore_store::{CheckpointMode, Error, PreviousEnd, Reader, Store};

#[tokio::test]
async fn a_new_file_has_what_core_scope_expects_and_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let (store, opened) = open(dir.path()).await;
    assert_eq!(opened.previous_end, PreviousEnd::New);
    assert_eq!(store.instance().len(), 12);
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(&mut db, "PRAGMA journal_mode").await.unwrap(),
        "wal"
    );
    assert_eq!(one_i64(&mut db, "PRAGMA auto_vacuum").await, 2);
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM _migrations").await,
        22
    );
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM _async_migrations WHERE status = 'done'"
        )
        .await,
        2
    );
    assert_eq!(one_i64(&mut db, "SELECT count(*) FROM packets_v").await, 0);
    sqlx::Connection::close(db).await.unwrap();
    store.close().await.unwrap();
    assert!(
        !dir.path().join("mesh.db-wal").exists(),
        "a clean end leaves no WAL"
    );
    let (_, opened) = open(dir.path()).await;
    assert_eq!(opened.previous_end, PreviousEnd::Clean);
}

#[tokio::test]
async fn a_life_that_did_not_close_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path()).await;
    drop(store);
    let (store, opened) = open(dir.path()).await;
    assert_eq!(opened.previous_end, PreviousEnd::Unclean);
    store.note_io_error();
    drop(store);
    let (_, opened) = open(dir.path()).await;
    assert_eq!(opened.previous_end, PreviousEnd::IoError);
}

#[tokio::test]
async fn after_an_io_error_the_first_checkpoint_must_complete() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let mut db = look(dir.path()).await;
    sqlx::raw_sql("BEGIN; SELECT * FROM store_state")
        .execute(&mut db)
        .await
        .unwrap();
    store
        .write(&[record(reception(1, "a", ""))], &describe)
        .await
        .unwrap();
    store.note_io_error();
    drop(store);
    let refused = Store::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, Error::Unsettled { .. }), "{refused}");
    sqlx::raw_sql("COMMIT").execute(&mut db).await.unwrap();
    Store::open(options(dir.path())).await.unwrap();
}

#[tokio::test]
async fn a_newer_file_and_a_strangers_file_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = {
        let (store, _) = open(dir.path()).await;
        store.close().await.unwrap();
        look(dir.path()).await
    };
    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&mut db)
        .await
        .unwrap();
    let newer = Store::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(newer, Error::Newer { found: 99, .. }), "{newer}");
    assert!(matches!(
        Reader::open(&dir.path().join("mesh.db")).await.unwrap_err(),
        Error::Newer { .. }
    ));

    let other = tempfile::tempdir().unwrap();
    let mut db = sqlx::ConnectOptions::connect(
        &sqlx::sqlite::SqliteConnectOptions::new()
            .filename(other.path().join("mesh.db"))
            .create_if_missing(true),
    )
    .await
    .unwrap();
    sqlx::raw_sql("CREATE TABLE holiday(photo)")
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::Connection::close(db).await.unwrap();
    let before = std::fs::read(other.path().join("mesh.db")).unwrap();
    let refused = Store::open(options(other.path())).await.unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(other.path().join("mesh.db")).unwrap(), before);

    let text = tempfile::tempdir().unwrap();
    std::fs::write(
        text.path().join("mesh.db"),
        "Dear diary, this is not a database at all.",
    )
    .unwrap();
    let refused = Store::open(options(text.path())).await.unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
}

#[tokio::test]
async fn a_rollback_journal_file_of_ours_is_converted() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.0.close().await.unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(&mut db, "PRAGMA journal_mode = DELETE")
            .await
            .unwrap(),
        "delete"
    );
    sqlx::Connection::close(db).await.unwrap();
    open(dir.path()).await;
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(&mut db, "PRAGMA journal_mode").await.unwrap(),
        "wal"
    );
}

#[tokio::test]
async fn a_second_writer_waits_outside_and_a_fenced_one_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (mut old, _) = open(dir.path()).await;
    let refused = Store::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    // What flock can't see: the lock file is gone, another writer takes the file over.
    std::fs::remove_file(dir.path().join("mesh.db.writer")).unwrap();
    let (mut new, _) = open(dir.path()).await;
    let refused = old
        .write(&[record(reception(1, "a", ""))], &describe)
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused}");
    new.write(&[record(reception(2, "a", ""))], &describe)
        .await
        .unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(&mut db, "SELECT group_concat(hash) FROM transmissions")
            .await
            .unwrap(),
        "0000000000000002"
    );
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_at_start() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.0.close().await.unwrap();
    let path = dir.path().join("mesh.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..2048].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();
    let (_store, opened) = open(dir.path()).await;
    let aside = opened.set_aside.expect("set aside");
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
    assert_eq!(opened.previous_end, PreviousEnd::New);
}

#[tokio::test]
async fn a_checkpoint_reads_its_result() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    store
        .write(&[record(reception(1, "a", ""))], &describe)
        .await
        .unwrap();
    let seen = store
        .checkpoint(CheckpointMode::Noop, Duration::ZERO)
        .await
        .unwrap();
    assert!(
        seen.wal_pages > 0 && seen.checkpointed_pages < seen.wal_pages,
        "{seen:?}"
    );

    let mut db = look(dir.path()).await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM transmissions")
        .execute(&mut db)
        .await
        .unwrap();
    store
        .write(&[record(reception(2, "a", ""))], &describe)
        .await
        .unwrap();
    let wait = Duration::from_millis(100);
    let busy = store
        .checkpoint(CheckpointMode::Truncate, wait)
        .await
        .unwrap();
    assert!(busy.busy && !busy.is_complete(), "{busy:?}");
    sqlx::raw_sql("COMMIT").execute(&mut db).await.unwrap();
    let done = store
        .checkpoint(CheckpointMode::Truncate, wait)
        .await
        .unwrap();
    assert!(done.is_complete() && done.wal_pages == 0, "{done:?}");
    assert_eq!(
        std::fs::metadata(dir.path().join("mesh.db-wal"))
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn ids_are_never_given_out_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    store
        .write(
            &[record(reception(1, "a", "")), record(reception(2, "a", ""))],
            &describe,
        )
        .await
        .unwrap();
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    sqlx::raw_sql("DELETE FROM observations; DELETE FROM transmissions")
        .execute(&mut db)
        .await
        .unwrap();
    let (mut store, _) = open(dir.path()).await;
    store
        .write(&[record(reception(3, "a", ""))], &describe)
        .await
        .unwrap();
    assert_eq!(one_i64(&mut db, "SELECT id FROM transmissions").await, 3);
    assert_eq!(one_i64(&mut db, "SELECT id FROM observations").await, 3);
}

#[tokio::test]
async fn damage_that_only_shows_behind_the_schema_is_set_aside_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    store
        .write(&[record(reception(1, "a", ""))], &describe)
        .await
        .unwrap();
    store.close().await.unwrap();
    let path = dir.path().join("mesh.db");
    let mut db = look(dir.path()).await;
    let root = one_i64(
        &mut db,
        "SELECT rootpage FROM sqlite_schema WHERE name = 'observers'",
    )
    .await;
    sqlx::Connection::close(db).await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let page = usize::try_from(root - 1).unwrap() * 4096;
    bytes[page..page + 4096].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let (store, opened) = open(dir.path()).await;
    let aside = opened.set_aside.expect("set aside");
    assert!(std::fs::read(aside).unwrap()[page..page + 4096] == [0; 4096]);
    let mut db = look(dir.path()).await;
    assert_eq!(one_i64(&mut db, "SELECT count(*) FROM observers").await, 0);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_wal_without_its_database_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    store
        .write(&[record(reception(1, "a", ""))], &describe)
        .await
        .unwrap();
    let wal = std::fs::read(dir.path().join("mesh.db-wal")).unwrap();
    store.close().await.unwrap();
    std::fs::remove_file(dir.path().join("mesh.db")).unwrap();
    std::fs::write(dir.path().join("mesh.db-wal"), &wal).unwrap();
    let (_store, opened) = open(dir.path()).await;
    let mut aside = opened.set_aside.expect("set aside").into_os_string();
    aside.push("-wal");
    assert!(std::fs::read(aside).unwrap() == wal);
    assert_eq!(opened.previous_end, PreviousEnd::New);
}
