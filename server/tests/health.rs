//! The sub-command `health`, as a container's health check calls it: it finds the server by the same settings.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Mesh, SOON};
use meshcore_testkit::{Program, free_port, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_meshcore-server");

fn command(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear();
    command.envs(env.iter().copied()).output().unwrap()
}

fn words(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn start(mesh: &Mesh, address: &str) -> Program {
    let env = [
        ("DB_PATH", mesh.db().display().to_string()),
        ("MESHCORE_SERVER_ADDRESS", address.to_owned()),
    ];
    let log = mesh.folder.path().join("server.log");
    Program::start(Path::new(BINARY), &[], &env, &log).unwrap()
}

#[tokio::test]
async fn a_server_that_waits_for_its_database_is_alive_and_not_ready() {
    let mut mesh = Mesh::without_database();
    let address = format!("[::]:{}", free_port());
    let env = [("MESHCORE_SERVER_ADDRESS", address.as_str())];
    let before = command(&["health"], &env);
    assert_eq!(before.status.code(), Some(1));
    let port = address.trim_start_matches("[::]");
    assert!(words(&before.stderr).contains(port), "{before:?}");

    let mut server = start(&mesh, &address);
    let is = |flags: &[&str], code: i32| {
        let arguments = [&["health"], flags].concat();
        wait_until(&format!("{arguments:?} is {code}"), SOON, || {
            let output = command(&arguments, &env);
            (output.status.code() == Some(code)).then(|| words(&output.stdout))
        })
        .unwrap()
    };
    assert_eq!(is(&["--live"], 0).trim_end(), r#"{"status":"live"}"#);
    let reason = is(&[], 1);
    assert!(reason.contains("database"), "{reason}");
    mesh.open().await;
    assert!(is(&[], 0).contains("ready"));
    assert!(is(&["--startup"], 0).contains("ready"));

    server.terminate().unwrap();
    assert_eq!(server.wait(SOON).unwrap().code(), Some(0));
    is(&["--live"], 1);
}

#[test]
fn flags_win_as_they_do_for_the_server_itself() {
    let (flag, variable) = (free_port(), free_port());
    let env = format!("127.0.0.1:{variable}");
    let env = [("MESHCORE_SERVER_ADDRESS", env.as_str())];
    let address = format!("127.0.0.1:{flag}");
    let output = command(&["health", "--listen", &address], &env);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output.stderr).contains(&address), "{output:?}");
    let output = command(&["health", "--listen", "everywhere"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output.stderr).contains("--listen"), "{output:?}");
    // Settings before the sub-command would be those of another server.
    let output = command(&["--listen", &address, "health"], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
