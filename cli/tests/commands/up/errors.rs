//! Whatever can't be run is a sentence with the cure, and an exit code.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::harness::{Up, command, write};
use super::programs;

const MINIMAL: &str = include_str!("../../../../manifests/samples/minimal.yaml");

fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    outcome(&command(folder, args).stdin(Stdio::null()).output().unwrap())
}

fn outcome(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

#[track_caller]
fn assert_refused(outcome: (Option<i32>, String), code: i32, parts: &[&str]) {
    let (found, text) = outcome;
    assert_eq!(found, Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(
        !text.contains("panicked") && !text.contains("RUST_BACKTRACE"),
        "{text}"
    );
}

#[test]
fn files_that_are_no_resource_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let minimal = |from: &str, to: &str| MINIMAL.replace(from, to);
    for (text, parts) in [
        (
            "a: [".to_owned(),
            &["the file r.yaml can't be used: it is not valid YAML: "][..],
        ),
        (String::new(), &["there is no MeshCoreDeployment in it"]),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}".to_owned(),
            &["there is no MeshCoreDeployment in it, only Pod a"],
        ),
        (
            format!("{MINIMAL}---\n{MINIMAL}"),
            &[
                "there are 2 resources of kind MeshCoreDeployment in it (minimal, minimal); leave one",
            ],
        ),
        (
            minimal("broker:", "brokr:"),
            &["spec.mqttSources[0].brokr (line 10): unknown field; did you mean broker?"],
        ),
        (
            minimal("size: 10Gi", "size: 10"),
            &["spec.storage.size (line 12): wrong type: integer `10`, expected a text (in quotes)"],
        ),
        (
            minimal("mqtt://localhost", "tcp://localhost")
                .replace("name: minimal", "name: Minimal"),
            &[
                "the resource in r.yaml breaks rules:",
                "metadata.name (line 5): must be 1 to 40 lower-case letters",
                "spec.mqttSources[0].broker (line 10): must begin with mqtt://, mqtts://, ws:// or wss://",
            ],
        ),
        ("#".repeat(1_100_000), &["larger than 1 MiB"]),
    ] {
        write(folder.path(), "r.yaml", &text);
        assert_refused(run(folder.path(), &["-f", "r.yaml"]), 2, parts);
        // Several are good there.
        if !parts[0].contains("leave one") {
            let validated = Command::new(env!("CARGO_BIN_EXE_meshcore"))
                .args(["validate", "r.yaml"])
                .current_dir(folder.path())
                .output();
            let parts: Vec<_> = parts
                .iter()
                .map(|part| part.replace("the resource in", "in"))
                .collect();
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            assert_refused(outcome(&validated.unwrap()), 2, &parts);
        }
    }
    std::fs::write(folder.path().join("r.yaml"), [0xFF, 0xFE]).unwrap();
    assert_refused(
        run(folder.path(), &["-f", "r.yaml"]),
        2,
        &["it is not text"],
    );
    assert_refused(
        run(folder.path(), &["-f", "nothing.yaml"]),
        2,
        &["cannot read the file nothing.yaml: No such file"],
    );
    assert_refused(
        run(folder.path(), &["-f", "."]),
        2,
        &["cannot read the file .: Is a directory"],
    );
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "r.yaml", MINIMAL);
    for (args, part) in [
        (&["--rate", "5"][..], "--demo"),
        (&["--demo", "--rate", "0"], "above 0"),
        (
            &["--listen", "8080"],
            "give an address and a port, such as 127.0.0.1:8080",
        ),
        (
            &["-f", "r.yaml", "--broker-port", "1"],
            "--broker-port is for the embedded broker",
        ),
    ] {
        assert_refused(run(folder.path(), args), 2, &[part]);
    }
}

#[test]
fn a_port_in_use_is_named_with_its_program_and_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = format!(
        "port {} on 127.0.0.1 is in use",
        taken.local_addr().unwrap().port()
    );
    for (flag, program) in [("--listen", "server"), ("--health-address", "ingestor")] {
        let cure = format!("with {flag} 127.0.0.1:");
        assert_refused(
            run(folder.path(), &[flag, &address]),
            2,
            &[&port, program, &cure],
        );
    }
    let number = taken.local_addr().unwrap().port().to_string();
    assert_refused(
        run(folder.path(), &["--broker-port", &number]),
        2,
        &[&port, "embedded broker", "--broker-port"],
    );
}

#[test]
fn a_data_folder_without_write_permission_is_named_with_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for path in [folder.path(), &data] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o555)).unwrap();
    }
    let plain = command(folder.path(), &[]);
    // Root may write anywhere, so it becomes somebody else.
    let mut somebody = Command::new("setpriv");
    somebody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let mut tried = if rustix::process::geteuid().is_root() {
        // A copy, since nobody can look into root's folders.
        let bin = tempfile::tempdir().unwrap();
        for name in ["meshcore", "meshcore-ingestor", "meshcore-server"] {
            std::fs::copy(programs().join(name), bin.path().join(name)).unwrap();
        }
        std::fs::set_permissions(bin.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        somebody
            .arg(bin.keep().join("meshcore"))
            .args(plain.get_args());
        somebody.current_dir(folder.path());
        somebody
    } else {
        plain
    };
    let text = format!(
        "cannot write in the data folder {}: Permission denied",
        data.display()
    );
    assert_refused(outcome(&tried.output().unwrap()), 2, &[&text, "--data"]);
}

#[test]
fn a_second_one_on_the_same_data_is_told_who_has_them() {
    let up = Up::start(&[]);
    up.wait_until_it_runs();
    let holder = format!("process {}", up.pid().as_raw_nonzero());
    assert_refused(
        run(up.folder.path(), &[]),
        3,
        &["is in use by another `meshcore up`", &holder, "--data"],
    );
    // The first one goes on.
    up.wait_for_counter("totalObservations", 0);
}

#[test]
fn a_missing_program_is_named_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("meshcore");
    std::fs::copy(env!("CARGO_BIN_EXE_meshcore"), &alone).unwrap();
    let run = |path: &Path| {
        let output = Command::new(&alone)
            .args(["up", "--data"])
            .arg(folder.path().join("data"))
            .env("PATH", path)
            .output();
        outcome(&output.unwrap())
    };
    assert_refused(
        run(folder.path()),
        2,
        &[
            "the program meshcore-ingestor is neither in",
            "nor in PATH",
            "cargo build --bin meshcore-ingestor",
        ],
    );
    let elsewhere = folder.path().join("bin");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::copy(
        programs().join("meshcore-ingestor"),
        elsewhere.join("meshcore-ingestor"),
    )
    .unwrap();
    assert_refused(
        run(&elsewhere),
        2,
        &["the program meshcore-server is neither in"],
    );
}

#[test]
fn a_database_that_is_none_ends_it_with_the_ingestors_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("data/meshcore.db");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    make_foreign(&foreign);
    let (code, text) = run(folder.path(), &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("is not a MeshCore database"), "{text}");
    assert!(
        text.contains("error: the ingestor can't work like this: "),
        "{text}"
    );
    assert!(!text.contains("started again"), "{text}");
}

/// A database of somebody else.
fn make_foreign(path: &Path) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        use sqlx::{ConnectOptions, Connection};
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        sqlx::query("CREATE TABLE recipes (name TEXT)")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn a_channel_keys_file_that_cannot_be_used_ends_it_with_the_ingestors_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let resource = MINIMAL.replace("spec:", "spec:\n  channels: {keysSecretRef: {name: keys}}");
    write(folder.path(), "r.yaml", &resource);
    write(
        folder.path(),
        "secrets/keys/channel-keys.yaml",
        "Club: '0102'",
    );
    let refused = run(folder.path(), &["-f", "r.yaml"]);
    let parts = [
        "error: the ingestor can't work like this: ",
        "channel-keys.yaml holds a key that is not 16 or 32 bytes",
    ];
    assert_refused(refused, 2, &parts);
}
