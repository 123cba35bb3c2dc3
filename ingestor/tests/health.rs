//! The sub-command `health`, as a container's health check calls it: it finds the ingestor by the same settings.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use meshcore_testkit::{Program, free_port, wait_until};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_meshcore-ingestor");
const SOON: Duration = Duration::from_mins(1);

fn health(flags: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("health").args(flags).env_clear();
    command.envs(env.iter().copied()).output().unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The configuration itself stands in the variable, as in a compose file.
#[test]
fn an_ingestor_is_healthy_from_its_start_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    // The broker does not exist: that is none of its health's business.
    let broker = format!("mqtt://127.0.0.1:{}", free_port());
    let config = json!({
        "healthAddress": address,
        "mqttSources": [{"name": "away", "broker": broker}],
    });
    let config = serde_json::to_string_pretty(&config).unwrap();
    let db = folder.path().join("mesh.db").display().to_string();
    let env = [("MESHCORE_CONFIG", config.as_str()), ("DB_PATH", &db)];
    let before = health(&[], &env);
    assert_eq!(before.status.code(), Some(1));
    assert!(complaint(&before).contains(&address), "{before:?}");

    let log = folder.path().join("log");
    let mut ingestor = Program::start(Path::new(BINARY), &[], &env, &log).unwrap();
    for flags in [&["--startup"][..], &["--live"], &[]] {
        let waited = wait_until("it is healthy", SOON, || {
            let answer = health(flags, &env);
            (answer.status.code() == Some(0) && !answer.stdout.is_empty()).then_some(())
        });
        assert!(waited.is_ok(), "{flags:?}\n{}", ingestor.log());
    }
    ingestor.terminate().unwrap();
    assert_eq!(ingestor.wait(SOON).unwrap().code(), Some(0));
    assert_eq!(health(&["--live"], &env).status.code(), Some(1));
}

#[test]
fn it_is_asked_where_the_ingestor_would_listen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "healthAddress: 127.0.0.3:1\n").unwrap();
    let file = file.display().to_string();
    let in_file = ("MESHCORE_CONFIG", file.as_str());
    let variable = ("MESHCORE_INGESTOR_ADDRESS", "127.0.0.2:1");
    let flag = ["--health-address", "127.0.0.4:1"];
    for (flags, env, asked) in [
        (&[][..], &[in_file][..], "127.0.0.3:1"),
        (&[], &[in_file, variable], "127.0.0.2:1"),
        (&flag, &[in_file, variable], "127.0.0.4:1"),
    ] {
        let answer = health(flags, env);
        assert_eq!(answer.status.code(), Some(1));
        assert!(complaint(&answer).contains(asked), "{answer:?}");
    }
    for env in [
        ("MESHCORE_INGESTOR_ADDRESS", "somewhere"),
        ("MESHCORE_CONFIG", "/does/not/exist"),
        ("MESHCORE_CONFIG", "{\"healthAddress\": 5}"),
    ] {
        let answer = health(&[], &[env]);
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        assert!(!complaint(&answer).is_empty());
    }
}
