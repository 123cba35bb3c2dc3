//! The server beside a database that is absent, locked, migrating, replaced or damaged: it waits or recovers,
//! says so, and never touches the file.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use common::{Mesh, Server};
use meshcore_testkit::{LiveClient, ids_of};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

/// A plain connection to the database, past the store.
async fn connection(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    options.create_if_missing(true).connect().await.unwrap()
}

async fn execute(path: &Path, sql: &'static str) {
    let mut db = connection(path).await;
    sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

/// Waits until the server is not ready, with `part` in the reason, and says so to whoever asks for data.
#[track_caller]
fn assert_waits(server: &Server, part: &str) {
    server.wait_for(&format!("it says {part:?}"), || {
        server.unready()?.contains(part).then_some(())
    });
    let (status, body) = server.json("/api/stats");
    assert_eq!(status, 503, "{body}");
    assert_eq!(server.get("/health/live").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let mut mesh = Mesh::without_database();
    let server = Server::start_unready(&mesh, &[], &[]);
    assert_waits(&server, "waiting for ");
    let (status, body) = LiveClient::open(&server.address, "", None)
        .await
        .err()
        .unwrap();
    assert_eq!(status, 503, "{body}");
    assert!(!mesh.db().exists(), "it makes nothing");
    mesh.open().await;
    server.wait_ready();
    mesh.write(1).await;
    server.wait_for("it is counted", || {
        (server.json("/api/stats").1["totalPackets"] == 1).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_tables_or_not_migrated_yet_is_waited_for() {
    let mut mesh = Mesh::without_database();
    std::fs::write(mesh.db(), "").unwrap();
    let server = Server::start_unready(&mesh, &[], &[]);
    assert_waits(&server, "has not made its tables yet");
    std::fs::remove_file(mesh.db()).unwrap();
    mesh.open().await;
    server.wait_ready();
    drop(server);

    let mut db = connection(&mesh.db()).await;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut db)
        .await
        .unwrap();
    execute(&mesh.db(), "PRAGMA user_version = 0").await;
    let server = Server::start_unready(&mesh, &[], &[]);
    assert_waits(&server, "has schema version 0; waiting for the ingestor");
    let migrate = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::raw_sql(migrate).execute(&mut db).await.unwrap();
    server.wait_ready();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_newer_version_is_refused_until_another_takes_its_place() {
    let mut mesh = Mesh::new().await;
    mesh.close().await;
    execute(&mesh.db(), "PRAGMA user_version = 99").await;
    let server = Server::start_unready(&mesh, &[], &[]);
    assert_waits(&server, "has schema version 99");
    assert!(
        server
            .unready()
            .unwrap()
            .contains("install a newer version")
    );
    std::fs::remove_file(mesh.db()).unwrap();
    mesh.open().await;
    server.wait_ready();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_waited_for() {
    let mut mesh = Mesh::new().await;
    mesh.close().await;
    let mut locker = connection(&mesh.db()).await;
    let lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE store_state SET dropped = 0; COMMIT";
    sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();
    let server = Server::start_unready(&mesh, &[], &[]);
    assert_waits(&server, "is locked by another process");
    locker.close().await.unwrap();
    server.wait_ready();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanishes_and_comes_back_is_no_gap_for_those_who_wait() {
    let mut mesh = Mesh::new().await;
    mesh.write(3).await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "").await;
    let aside = mesh.folder.path().join("aside.db");
    let moved = |from: &Path, to: &Path, suffixes: [&str; 3]| {
        for suffix in suffixes {
            let name = |path: &Path| format!("{}{suffix}", path.display());
            std::fs::rename(name(from), name(to)).unwrap();
        }
    };
    // Where the database is, there is its WAL as well: the server may open it at any moment.
    moved(&mesh.db(), &aside, ["", "-wal", "-shm"]);
    // That it is gone is said for a moment only.
    assert_waits(&server, "waiting for ");
    assert!(
        server.log().contains("is not there any more"),
        "{}",
        server.log()
    );
    // The store has its files open still, wherever they are.
    mesh.write(2).await;
    moved(&aside, &mesh.db(), ["-wal", "-shm", ""]);
    server.wait_ready();
    assert_eq!(client.ids(2).await, [4, 5]);
    mesh.write(1).await;
    assert_eq!(client.ids(1).await, [6]);
    assert_eq!(server.metric("meshcore_server_database_opens_total"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_set_aside_is_a_gap_and_the_new_one_is_followed() {
    let mut mesh = Mesh::new().await;
    mesh.write(3).await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "").await;
    let old = client.token.clone();
    mesh.start_over().await;
    let gap = client.frame().await;
    assert_eq!(
        (&gap["type"], &gap["reason"]),
        (&json!("gap"), &json!("other_database"))
    );
    mesh.write(2).await;
    assert_eq!(client.ids(2).await, [1, 2]);
    assert_eq!(server.json("/api/stats").1["totalPackets"], 2);
    assert_ne!(
        old.rsplit_once('-').unwrap().0,
        client.token.rsplit_once('-').unwrap().0
    );

    // A token of the old one leads nowhere.
    let mut client = LiveClient::resume(&server.address, &old).await;
    assert_eq!(client.frame().await["reason"], "other_database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_said_to_be_damaged_until_it_is_set_aside() {
    let mut mesh = Mesh::new().await;
    mesh.write(2000).await;
    mesh.close().await;
    let mut bytes = std::fs::read(mesh.db()).unwrap();
    bytes[100..].fill(0xA5);
    std::fs::write(mesh.db(), bytes).unwrap();
    let server = Server::start_unready(&mesh, &[], &[]);
    assert_waits(&server, "waiting for the ingestor to set it aside");
    // The ingestor's store does that as it opens it.
    mesh.open().await;
    server.wait_ready();
    assert_eq!(server.json("/api/stats").1["totalPackets"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_copy_of_the_same_database_is_followed_from_its_end() {
    let mut mesh = Mesh::new().await;
    mesh.write(5).await;
    mesh.close().await;
    let copy = std::fs::read(mesh.db()).unwrap();
    mesh.open().await;
    mesh.write(5).await;
    mesh.close().await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "").await;
    let token = client.token.clone();
    let new = mesh.folder.path().join("new.db");
    std::fs::write(&new, copy).unwrap();
    std::fs::rename(new, mesh.db()).unwrap();
    let gap = client.frame().await;
    assert_eq!(gap["reason"], "other_database");
    assert_eq!(gap["resume"], token.replace("-10", "-5"));
    mesh.open().await;
    mesh.write(1).await;
    assert_eq!(ids_of(&client.frame().await), [6]);
}

/// The bytes and times of all files in a folder that belong to the database.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            // The index of the WAL holds the marks of readers; the report is the server's own.
            let is_theirs = name.starts_with("mesh.db")
                && !name.ends_with("-shm")
                && !name.contains("shutdown");
            let modified = entry.metadata().unwrap().modified().unwrap();
            is_theirs.then(|| (name, (std::fs::read(entry.path()).unwrap(), modified)))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_never_writes_nor_checkpoints_even_as_the_only_one_with_the_file() {
    let mut writer = Mesh::new().await;
    writer.write(50).await;
    // What a killed ingestor leaves: a database and a WAL with commits in it, and nobody who has it open.
    let mesh = Mesh::without_database();
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(&writer.db()), name(&mesh.db())).unwrap();
    }
    let before = files(mesh.folder.path());
    assert!(
        before["mesh.db-wal"].0.len() > 4096,
        "there are frames in the WAL"
    );

    let server = Server::start(&mesh);
    assert_eq!(server.json("/api/stats").1["totalPackets"], 50);
    let mut client = LiveClient::connect(&server.address, "").await;
    let (code, report) = server.stop();
    assert_eq!((code, &report["clean"]), (0, &json!(true)));
    assert_eq!(client.frame().await["type"], "bye");
    assert!(
        before == files(mesh.folder.path()),
        "a clean stop changed the files"
    );

    let mut server = Server::start(&mesh);
    assert_eq!(server.json("/api/packets").0, 200);
    server.program().kill().unwrap();
    assert!(
        before == files(mesh.folder.path()),
        "a kill changed the files"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_read_transaction_is_open_for_long_and_the_writer_can_truncate_the_wal() {
    use meshcore_store::CheckpointMode;
    use std::time::Duration;

    const TIMES: u32 = 40;
    /// How old a read transaction may get.
    const LIMIT: Duration = Duration::from_secs(1);
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let address = server.address.clone();
    let asking = tokio::task::spawn_blocking(move || {
        for _ in 0..40 {
            for path in [
                "/api/stats",
                "/api/packets?limit=1000",
                "/api/nodes",
                "/api/observers",
            ] {
                let url = format!("http://{address}{path}");
                assert_eq!(meshcore_testkit::http_get(&url).unwrap().0, 200);
            }
        }
    });
    let oldest = || {
        let (_, metrics) = server.get("/metrics");
        let value = metrics.lines().find_map(|line| {
            line.strip_prefix("meshcore_server_oldest_reader_seconds ")?
                .parse::<f64>()
                .ok()
        });
        value.unwrap()
    };
    let (mut held, mut old) = (0, Vec::new());
    for _ in 0..TIMES {
        mesh.write(100).await;
        let done = mesh
            .store()
            .checkpoint(CheckpointMode::Truncate, LIMIT)
            .await
            .unwrap();
        held += u32::from(done.busy);
        let oldest = oldest();
        if oldest >= LIMIT.as_secs_f64() {
            old.push(oldest);
        }
    }
    // A reader may stand still with the machine, now and then.
    assert!(held <= TIMES / 10, "readers held the WAL {held} times");
    assert!(old.len() <= TIMES as usize / 10, "{old:?} s");
    asking.await.unwrap();
    // All were answered, so nobody reads but whoever looks for what is new, again and again for a moment.
    server.wait_for("no reader is left", || (oldest() == 0.0).then_some(()));
}
