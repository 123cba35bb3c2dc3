//! The program on a CoreScope database: it waits for CoreScope's programs, adopts, says how far it is, and can
//! be stopped at any time.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

mod common;

use std::path::Path;

use common::{SOON, number_in};
use meshcore_testkit::{CoreScopeOptions, Program, free_port, http_get, wait_until};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

fn start(folder: &Path, health: u16) -> Program {
    let config = folder.join("config.json");
    // A broker that is not there: the database must not wait for it.
    let text = r#"{"mqttSources":[{"name":"a","broker":"mqtt://127.0.0.1:9"}],"store":{"ballastBytes":0}}"#;
    std::fs::write(&config, text).unwrap();
    Program::start(
        Path::new(env!("CARGO_BIN_EXE_meshcore-ingestor")),
        &[],
        &[
            ("MESHCORE_CONFIG", config.into_os_string()),
            ("DB_PATH", folder.join("mesh.db").into_os_string()),
            (
                "MESHCORE_INGESTOR_ADDRESS",
                format!("127.0.0.1:{health}").into(),
            ),
        ],
        &folder.join("ingestor.log"),
    )
    .unwrap()
}

/// What readiness says when it has `part` in it.
fn wait_for_readiness(health: u16, part: &str) -> String {
    wait_for_one_of(health, &[part])
}

/// The same for any of these.
fn wait_for_one_of(health: u16, parts: &[&str]) -> String {
    let url = format!("http://127.0.0.1:{health}/health/ready");
    let mut last = String::new();
    wait_until(&parts.join(", or "), SOON, || {
        last = http_get(&url).map_or(String::new(), |(_, body)| body);
        let is_said = parts.iter().any(|part| last.contains(part));
        is_said.then(|| last.clone())
    })
    .unwrap_or_else(|error| panic!("{error}: {last}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn core_scope_is_waited_for_and_its_database_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.db");
    CoreScopeOptions::default().build(&path).await;
    let mut core_scope = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM observations")
        .fetch_one(&mut core_scope)
        .await
        .unwrap();
    let health = free_port();
    let mut program = start(folder.path(), health);
    let waiting = wait_for_readiness(health, "is open in another process");
    assert!(
        waiting.contains(&format!("process {}", std::process::id())),
        "{waiting}"
    );
    let startup = || {
        let url = format!("http://127.0.0.1:{health}/health/startup");
        wait_until("an answer", SOON, || http_get(&url).ok()).unwrap()
    };
    assert_eq!(startup(), (503, waiting));
    core_scope.close().await.unwrap();
    wait_for_readiness(health, r#""status":"ready""#);
    assert_eq!(startup().0, 200);
    let log = program.log();
    assert!(log.contains("meshcore doctor --vacuum"), "{log}");
    // The packets are older than our default retention. Nobody asked for it, so they stay.
    assert!(log.contains("kept for ever"), "{log}");
    program.terminate().unwrap();
    assert_eq!(program.wait(SOON).unwrap().code(), Some(0));
    let kept = number_in(&path, "SELECT observations FROM store_state").await;
    assert_eq!(kept, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_an_adoption_before_its_end_and_the_next_start_ends_it() {
    let mut transmissions = 50_000;
    // An adoption may be over before a busy test has seen it and asked for a stop; one of a larger file is not.
    let (folder, health) = loop {
        let folder = tempfile::tempdir().unwrap();
        let health = free_port();
        if is_stopped_before_its_end(folder.path(), health, transmissions).await {
            break (folder, health);
        }
        assert!(
            transmissions < 400_000,
            "it is never stopped before its end"
        );
        transmissions *= 2;
    };
    let mut program = start(folder.path(), health);
    wait_for_readiness(health, r#""status":"ready""#);
    assert!(program.log().contains("The database is adopted"));
    program.terminate().unwrap();
    assert_eq!(program.wait(SOON).unwrap().code(), Some(0));
}

/// Has a program adopt a file with so many packets, asks it to stop as soon as it says that it does, and says
/// whether it was not done by then.
async fn is_stopped_before_its_end(folder: &Path, health: u16, transmissions: u32) -> bool {
    let path = folder.join("mesh.db");
    let options = CoreScopeOptions {
        transmissions,
        missing: vec!["obs_observer_ts_idx_v1", "from_pubkey_v1"],
        observer_by_name: true,
        ..CoreScopeOptions::default()
    };
    options.build(&path).await;
    let mut program = start(folder, health);
    let ready = r#""status":"ready""#;
    let said = wait_for_one_of(health, &["adopting the CoreScope database", ready]);
    assert!(said.contains("starting") || said.contains(ready), "{said}");
    program.terminate().unwrap();
    assert_eq!(
        program.wait(SOON).unwrap().code(),
        Some(0),
        "{}",
        program.log()
    );
    number_in(&path, "PRAGMA application_id").await == 0
}

/// In a container with a limit, memory that grew with the file would have it killed in each attempt.
#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_takes_no_more_memory_for_a_larger_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.db");
    let options = CoreScopeOptions {
        transmissions: 80_000,
        then: "DROP INDEX idx_obs_unique; DROP INDEX idx_obs_ts; DROP INDEX idx_obs_observer_ts",
        ..CoreScopeOptions::default()
    };
    options.build(&path).await;
    let health = free_port();
    let mut program = start(folder.path(), health);
    wait_for_readiness(health, r#""status":"ready""#);
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib: u64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    // 40 MiB as for a small file. Of 800,000 rows the indexes alone are more than that again.
    assert!(peak_kib < 64 * 1024, "{peak_kib} KiB");
    program.terminate().unwrap();
    assert_eq!(program.wait(SOON).unwrap().code(), Some(0));
}
