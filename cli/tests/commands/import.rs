//! `meshcore import`: the summary, the ways to be interrupted, and what is refused.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use meshcore_store::{Store, StoreOptions};
use meshcore_testkit::{CoreScopeEnd, CoreScopeOptions, SmallDisk};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tempfile::TempDir;

use crate::common::{interrupt, meshcore, run, stderr};

/// What the summary of an import says that was interrupted before.
const RESUMED: &str = "These are the rows of all runs of this import.";

async fn source(options: &CoreScopeOptions) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("corescope.db");
    options.build(&file).await;
    (dir, file)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn rows(db: &Path, sql: &str) -> Vec<String> {
    let mut connection = SqliteConnectOptions::new()
        .filename(db)
        .connect()
        .await
        .expect("the file opens");
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .expect("rows");
    connection.close().await.expect("closed");
    rows.iter()
        .map(|row| row.get_unchecked::<String, _>(0))
        .collect()
}

/// Everything that an import writes, as texts.
async fn contents(db: &Path) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for sql in [
        "SELECT id || hash || first_seen || observation_count || last_seen FROM transmissions ORDER BY id",
        "SELECT id || ' ' || transmission_id || ' ' || coalesce(observer_idx, '') || coalesce(path_json, '') || timestamp FROM observations ORDER BY id",
        "SELECT hour || ' ' || observer_idx || ' ' || payload_type || ' ' || observations || ' ' || transmissions FROM observation_counts_hourly ORDER BY 1",
        "SELECT transmissions || ' ' || observations || ' ' || dropped FROM store_state",
        "SELECT rowid || id || coalesce(name, '') || packet_count FROM observers ORDER BY rowid",
        "SELECT public_key || coalesce(name, '') FROM nodes UNION ALL SELECT public_key FROM inactive_nodes ORDER BY 1",
        "SELECT observer_id || timestamp FROM observer_metrics ORDER BY 1",
        "PRAGMA integrity_check",
    ] {
        all.push(rows(db, sql).await);
    }
    all
}

#[tokio::test]
async fn the_summary_tells_of_each_table() {
    let (_dir, file) = source(&CoreScopeOptions::default()).await;
    let target = tempfile::tempdir().expect("a folder");
    let db = target.path().join("deep/down/mesh.db");
    let output = run(&["import", text(&file), "--db", text(&db)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let summary = stderr(&output);
    for line in [
        "table                 rows read        added  already there     left out",
        "observations               2000         2000              0            0",
        "observers                    12           11              1            0",
        "transmissions               200          200              0            0",
    ] {
        assert!(summary.contains(line), "{line}: {summary}");
    }
    let output = run(&["import", text(&file), "--db", text(&db)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let again = "observations               2000            0           2000            0";
    assert!(stderr(&output).contains(again), "{}", stderr(&output));
    let healthy = run(&["doctor", "--full", "--db", text(&db)]);
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
}

#[tokio::test]
async fn killed_or_stopped_at_any_point_it_goes_on_and_ends_the_same() {
    let large = CoreScopeOptions {
        transmissions: 20_000,
        ..CoreScopeOptions::default()
    };
    let (_dir, file) = source(&large).await;
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole.db");
    let started = Instant::now();
    let output = run(&["import", text(&file), "--db", text(&whole)]);
    assert!(output.status.success());
    let took = started.elapsed();
    let summary = stderr(&output).to_owned();
    let wanted = contents(&whole).await;

    // What else runs decides how far an import gets in that time. So a pause grows until one run comes to the end, and
    // is halved when that one had not been interrupted often enough.
    let mut pause = took / 8;
    let (mut kills, mut stops, mut attempts) = (0_u32, 0, 0);
    let mut db = folder.path().join("0.db");
    loop {
        let mut import = meshcore(&["import", text(&file), "--db", text(&db)])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // Sooner and later in turn, so that every part is met.
        std::thread::sleep(pause * (kills % 3 + 1) / 3);
        if kills % 2 == 0 {
            import.kill().expect("killed");
        } else {
            interrupt(&import);
        }
        let output = import.wait_with_output().expect("it ends");
        if output.status.success() {
            let said = stderr(&output);
            if kills > 2 && said.contains(RESUMED) {
                // Nothing was done twice: the rows of all runs are those of the one run.
                assert_eq!(said.replace(RESUMED, "").trim(), summary.trim());
                break;
            }
            attempts += 1;
            assert!(attempts < 10, "it never goes on: {output:?}");
            db = folder.path().join(format!("{attempts}.db"));
            (kills, stops, pause) = (0, 0, pause / 2);
            continue;
        }
        kills += 1;
        pause = pause * 5 / 4;
        assert!(
            pause < Duration::from_mins(2),
            "it does not get on: {output:?}"
        );
        if output.status.code() == Some(1) {
            stops += 1;
            let said = stderr(&output);
            assert!(
                said.contains("run the same command again to go on"),
                "{said}"
            );
        }
    }
    println!("{kills} interruptions, {stops} of them stops, of an import of {took:?}");
    assert!(contents(&db).await == wanted, "the files differ");
}

#[tokio::test]
async fn a_target_that_is_written_and_sources_that_are_none_give_3() {
    let (_dir, file) = source(&CoreScopeOptions::default()).await;
    let target = tempfile::tempdir().expect("a folder");
    let db = target.path().join("mesh.db");
    let options = StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::new(&db, "a test's writer")
    };
    let (store, _) = Store::open(options).await.expect("the store opens");
    let output = run(&["import", text(&file), "--db", text(&db)]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        stderr(&output).contains("a test's writer"),
        "{}",
        stderr(&output)
    );
    store.close().await.expect("closed");
    let missing = target.path().join("missing.db");
    let output = run(&["import", text(&missing), "--db", text(&db)]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        stderr(&output).contains("can't be imported: No such file"),
        "{}",
        stderr(&output)
    );
    assert_eq!(run(&["import"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_source_on_a_disk_that_can_not_be_written_is_read_or_named() {
    for (end, readable) in [(CoreScopeEnd::Closed, true), (CoreScopeEnd::Killed, false)] {
        let Some(disk) = SmallDisk::new(64) else {
            return;
        };
        let file = disk.path().join("corescope.db");
        CoreScopeOptions {
            end,
            ..CoreScopeOptions::default()
        }
        .build(&file)
        .await;
        // The index of the WAL died with the machine.
        std::fs::remove_file(disk.path().join("corescope.db-shm")).ok();
        let mount = disk.path().parent().expect("the mount").to_owned();
        let done = Command::new("mount")
            .args(["-o", "remount,ro", text(&mount)])
            .status()
            .expect("mount runs");
        assert!(done.success());
        let target = tempfile::tempdir().expect("a folder");
        let db = target.path().join("mesh.db");
        let output = run(&["import", text(&file), "--db", text(&db)]);
        if readable {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_eq!(
                rows(&db, "SELECT count(*) FROM observations").await,
                ["2000"]
            );
        } else {
            assert_eq!(output.status.code(), Some(3), "{output:?}");
            let said = stderr(&output);
            assert!(
                said.contains("commits in its WAL") && said.contains("copy it with its -wal"),
                "{said}"
            );
            assert!(!db.exists());
        }
    }
}
