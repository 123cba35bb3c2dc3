//! `meshcore doctor`: what it says of databases in every state, that looking changes nothing, and its repairs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use meshcore_store::{Store, StoreOptions};
use meshcore_testkit::{CoreScopeEnd, CoreScopeOptions, SmallDisk};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tempfile::TempDir;

use crate::common::{run, stderr, stdout};

/// A folder with an adopted database in it, closed.
async fn adopted() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("mesh.db");
    CoreScopeOptions::default().build(&db).await;
    open(&db).await.close().await.expect("closed");
    (dir, db)
}

async fn open(db: &Path) -> Store {
    let options = StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::new(db, "a test's writer")
    };
    Store::open(options).await.expect("the store opens").0
}

async fn plain(db: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(db)
        .foreign_keys(false)
        .connect()
        .await
        .expect("the file opens")
}

async fn execute(db: &Path, sql: &'static str) {
    let mut connection = plain(db).await;
    sqlx::raw_sql(sql)
        .execute(&mut connection)
        .await
        .expect(sql);
    connection.close().await.expect("closed");
}

async fn rows(db: &Path, sql: &str) -> Vec<String> {
    let mut connection = plain(db).await;
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .expect("rows");
    connection.close().await.expect("closed");
    rows.iter()
        .map(|row| row.get_unchecked::<String, _>(0))
        .collect()
}

fn doctor(db: &Path, flags: &[&str]) -> Output {
    let mut args = vec!["doctor", "--db", db.to_str().expect("UTF-8")];
    args.extend(flags);
    run(&args)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Names, bytes and times of change of everything in a folder but the lock that a look asks for.
fn state(folder: &Path) -> Vec<(String, Vec<u8>, std::time::SystemTime)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let modified = entry.metadata().and_then(|m| m.modified()).expect("a time");
            (name, std::fs::read(entry.path()).expect("bytes"), modified)
        })
        // The index of the WAL holds the marks of readers.
        .filter(|(name, ..)| !name.ends_with("-shm"))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_healthy_database_is_healthy_for_people_and_for_programs() {
    let (_dir, db) = adopted().await;
    let output = doctor(&db, &["--full"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = stdout(&output);
    for line in [
        "integrity         ok",
        "kind              ours, schema version 2",
        "journal mode      wal",
        "lock holder       nobody",
        "last writer       clean",
        "recount           200 packets, 2000 observations",
        "`meshcore doctor --vacuum`",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.trim_end().ends_with("Healthy."), "{text}");
    let value = json(&doctor(&db, &["--json"]));
    assert_eq!(value["healthy"], true);
    assert_eq!(value["database"]["kind"], "ours");
    assert_eq!(value["database"]["observations"], 2000);
    assert_eq!(value["surroundings"]["lastLife"], "clean");
    assert_eq!(value["surroundings"]["fileSystemIsSafe"], true);
}

#[tokio::test]
async fn looking_beside_a_writer_changes_nothing_and_names_it() {
    let (dir, db) = adopted().await;
    let mut store = open(&db).await;
    store
        .checkpoint(
            meshcore_store::CheckpointMode::Noop,
            std::time::Duration::ZERO,
        )
        .await
        .expect("a look");
    let before = state(dir.path());
    let wal = before
        .iter()
        .find(|(name, ..)| name.ends_with("-wal"))
        .expect("a WAL");
    assert!(!wal.1.is_empty(), "the session is in the WAL");
    for flags in [&["--json"][..], &["--json", "--full"]] {
        let output = doctor(&db, flags);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let value = json(&output);
        let holder = value["surroundings"]["lockHolder"]
            .as_str()
            .expect("a holder");
        assert!(
            holder.contains("a test's writer") && holder.contains(&std::process::id().to_string()),
            "{holder}"
        );
        assert_eq!(value["surroundings"]["lastLife"], "running");
        assert!(value["database"]["walFrames"].as_u64() > Some(0));
        assert!(state(dir.path()) == before, "something changed");
    }
    // The repairs are refused, and change nothing either.
    for repair in ["--checkpoint", "--vacuum", "--recount"] {
        let output = doctor(&db, &[repair]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(
            stderr(&output).contains("a test's writer"),
            "{}",
            stderr(&output)
        );
        assert!(state(dir.path()) == before, "{repair} changed something");
    }
    store.close().await.expect("closed");
}

#[tokio::test]
async fn a_wal_that_a_crash_left_is_read_and_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("mesh.db");
    let options = CoreScopeOptions {
        end: CoreScopeEnd::Killed,
        ..CoreScopeOptions::default()
    };
    options.build(&db).await;
    let before = state(dir.path());
    let output = doctor(&db, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let value = json(&output);
    assert_eq!(value["database"]["kind"], "core_scope");
    assert!(value["database"]["walFrames"].as_u64() > Some(0));
    assert!(state(dir.path()) == before, "something changed");
}

#[tokio::test]
async fn what_is_wrong_has_its_cure_and_gives_1() {
    let not_a_database = tempfile::tempdir().expect("a folder");
    std::fs::write(
        not_a_database.path().join("mesh.db"),
        "Dear diary, this is no database",
    )
    .expect("written");
    let nothing = tempfile::tempdir().expect("a folder");
    let mut cases = vec![
        (
            not_a_database.path().join("mesh.db"),
            "file is not a database",
        ),
        (nothing.path().join("mesh.db"), "there is no such file"),
    ];
    let mut folders = Vec::new();
    for (sql, words) in [
        ("PRAGMA user_version = 99", "schema version 99 is newer"),
        ("PRAGMA application_id = 5", "another program's file"),
        (
            "UPDATE store_state SET observations = observations + 7",
            "the totals are wrong: 200 packets and 2007",
        ),
        (
            "UPDATE transmissions SET observation_count = 0 WHERE id = 1",
            "1 packets have a wrong count",
        ),
    ] {
        let (dir, db) = adopted().await;
        execute(&db, sql).await;
        folders.push(dir);
        cases.push((db, words));
    }
    let (dir, db) = adopted().await;
    std::fs::write(dir.path().join("mesh.db.running"), "io_error").expect("written");
    folders.push(dir);
    cases.push((db, "the last writer met an I/O error"));
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("mesh.db");
    let options = CoreScopeOptions {
        then: "DROP TABLE nodes",
        ..CoreScopeOptions::default()
    };
    options.build(&db).await;
    folders.push(dir);
    cases.push((db, "no table `nodes`"));
    let (dir, db) = adopted().await;
    damage(&db).await;
    folders.push(dir);
    cases.push((db, "the database is damaged"));

    for (db, words) in cases {
        let output = doctor(&db, &["--full"]);
        assert_eq!(output.status.code(), Some(1), "{words}: {output:?}");
        let text = stdout(&output);
        assert!(
            text.contains(words) && text.contains("→"),
            "{words}: {text}"
        );
        assert!(
            text.trim_end().ends_with("problem found.")
                || text.trim_end().ends_with("problems found."),
            "{text}"
        );
    }
}

/// Fills a page of the observations with rubbish.
async fn damage(db: &Path) {
    let root = rows(
        db,
        "SELECT rootpage FROM sqlite_schema WHERE name = 'observations'",
    )
    .await;
    let at = (root[0].parse::<usize>().expect("a page") - 1) * 4096;
    let mut bytes = std::fs::read(db).expect("the file");
    bytes[at + 8..at + 2000].fill(0xA5);
    std::fs::write(db, bytes).expect("written");
}

#[tokio::test]
async fn what_stands_beside_the_database_is_told() {
    let (dir, db) = adopted().await;
    for part in ["", "-wal"] {
        std::fs::write(
            dir.path()
                .join(format!("mesh.db.corrupt-20261101T000000Z{part}")),
            "x",
        )
        .expect("written");
    }
    let report = r#"{"program":"ingestor","cause":"SIGTERM","clean":false,"exitCode":124,
        "startedAt":"2026-11-20T10:00:00Z","at":"2026-11-20T10:00:25Z","budgetSeconds":25,"tookMilliseconds":25000}"#;
    std::fs::write(dir.path().join("mesh.db.shutdown-ingestor.json"), report).expect("written");
    std::fs::write(dir.path().join("mesh.db.running"), "running ").expect("written");
    let output = doctor(&db, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = stdout(&output);
    for words in [
        "last ingestor end  not clean, exit code 124, SIGTERM",
        "a damaged database was set aside",
        "mesh.db.corrupt-20261101T000000Z\n",
        "killed, or the power failed",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(text.matches("set aside").count(), 1, "{text}");
}

#[tokio::test]
async fn a_checkpoint_empties_the_wal() {
    let (dir, db) = adopted().await;
    drop(open(&db).await);
    let wal = dir.path().join("mesh.db-wal");
    // The dropped store's thread may still be about to let go.
    let mut output = doctor(&db, &["--checkpoint"]);
    for _ in 0..100 {
        if output.status.code() != Some(3) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        output = doctor(&db, &["--checkpoint"]);
    }
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(std::fs::metadata(&wal).map_or(0, |m| m.len()), 0);
    assert!(stderr(&output).contains("and empty"), "{}", stderr(&output));
    // The marker of the life that was killed is the next start's business.
    assert!(stdout(&output).contains("killed, or the power failed"));
}

#[tokio::test]
async fn a_recount_writes_what_was_wrong() {
    let (_dir, db) = adopted().await;
    execute(&db, "UPDATE store_state SET observations = 1; UPDATE transmissions SET observation_count = 99 WHERE id < 9").await;
    assert_eq!(doctor(&db, &["--full"]).status.code(), Some(1));
    let output = doctor(&db, &["--recount", "--full"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        rows(&db, "SELECT observations FROM store_state").await,
        ["2000"]
    );
}

#[tokio::test]
async fn a_vacuum_packs_the_file_keeps_all_of_it_and_lets_it_shrink() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("mesh.db");
    let options = CoreScopeOptions {
        transmissions: 4_000,
        ..CoreScopeOptions::default()
    };
    options.build(&db).await;
    open(&db).await.close().await.expect("closed");
    // Gaps in the rowids that observations point at, and free pages.
    execute(
        &db,
        "DELETE FROM observations WHERE id % 2; DELETE FROM observers WHERE rowid IN (2, 5)",
    )
    .await;
    assert_eq!(doctor(&db, &["--recount"]).status.code(), Some(0));
    std::fs::set_permissions(&db, std::fs::Permissions::from_mode(0o640)).expect("permissions");
    // What a kill in the middle of an earlier one left.
    std::fs::write(dir.path().join("mesh.db.vacuum"), "rubbish").expect("written");
    let everything = [
        "SELECT quote(id) || quote(transmission_id) || quote(observer_idx) || quote(path_json) || quote(raw_hex) FROM observations ORDER BY id",
        "SELECT rowid || quote(id) || quote(name) FROM observers ORDER BY rowid",
        "SELECT quote(id) || quote(hash) || quote(decoded_json) FROM transmissions ORDER BY id",
        "SELECT name || coalesce(sql, '') FROM sqlite_schema ORDER BY name",
        "SELECT db_uuid FROM store_state",
        "SELECT seq || name FROM sqlite_sequence ORDER BY name",
    ];
    let mut before = Vec::new();
    for sql in everything {
        before.push(rows(&db, sql).await);
    }
    let old = std::fs::metadata(&db).expect("the file").len();
    // A reader beside it goes on reading the old file.
    let mut reader = meshcore_store::Reader::open(&db).await.expect("a reader");

    let output = doctor(&db, &["--vacuum", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let value = json(&output);
    assert_eq!(value["database"]["autoVacuum"], "incremental");
    assert_eq!(value["database"]["freePages"], 0);
    assert_eq!(value["database"]["journalMode"], "wal");
    assert_eq!(value["notes"], serde_json::json!([]));

    assert!(
        reader
            .stats()
            .await
            .expect("the old file is read")
            .total_packets
            == 4_000
    );
    let new = std::fs::metadata(&db).expect("the file");
    assert!(new.len() < old * 3 / 4, "{old} became {}", new.len());
    assert_eq!(new.permissions().mode() & 0o777, 0o640);
    for (sql, before) in everything.iter().zip(&before) {
        assert!(&rows(&db, sql).await == before, "{sql}");
    }
    assert!(!dir.path().join("mesh.db.vacuum").exists());
    let options = StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::new(&db, "a test's writer")
    };
    let (store, opened) = Store::open(options).await.expect("the store opens");
    assert!(opened.gives_pages_back && opened.adopted.is_none());
    store.close().await.expect("closed");
}

#[tokio::test]
async fn a_vacuum_that_is_killed_leaves_the_old_file_or_the_new_one_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("mesh.db");
    let options = CoreScopeOptions {
        transmissions: 10_000,
        ..CoreScopeOptions::default()
    };
    options.build(&db).await;
    open(&db).await.close().await.expect("closed");
    let args = ["doctor", "--vacuum", "--db", db.to_str().expect("UTF-8")];
    for kill in 0_u64..15 {
        let mut vacuum = crate::common::meshcore(&args)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(std::time::Duration::from_millis(10 + kill * 25));
        vacuum.kill().expect("killed");
        vacuum.wait().expect("it ends");
        let output = doctor(&db, &["--full"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(
            stdout(&output).contains("10000 packets, 100000 observations"),
            "{output:?}"
        );
    }
    let value = json(&doctor(&db, &["--vacuum", "--json"]));
    assert_eq!(value["database"]["autoVacuum"], "incremental");
    assert!(!dir.path().join("mesh.db.vacuum").exists());
}

#[tokio::test]
async fn a_vacuum_says_how_much_room_it_needs() {
    let Some(disk) = SmallDisk::new(64) else {
        return;
    };
    let db = disk.path().join("mesh.db");
    let options = CoreScopeOptions {
        transmissions: 5_000,
        ..CoreScopeOptions::default()
    };
    options.build(&db).await;
    open(&db).await.close().await.expect("closed");
    let before = std::fs::read(&db).expect("the file");
    let _filler = disk.fill_but(8 << 20);
    let output = doctor(&db, &["--vacuum"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = stderr(&output);
    assert!(
        text.contains("can't be written anew: that needs") && text.contains("are free"),
        "{text}"
    );
    assert!(std::fs::read(&db).expect("the file") == before);
}

#[test]
fn a_wrong_flag_gives_2() {
    let output = run(&["doctor", "--heal"]);
    assert_eq!(output.status.code(), Some(2));
}
