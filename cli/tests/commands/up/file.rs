//! With a resource file: its sources, its secrets, and what it says that means nothing here.

use std::fmt::Write;
use std::path::Path;

use meshcore_testkit::{Mosquitto, MosquittoOptions, Publisher, numbered_packet};

use super::harness::{SOON, Up, write};

const MINIMAL: &str = include_str!("../../../../manifests/samples/minimal.yaml");

/// Publishes `count` packets at `QoS` 1 and waits until the broker has them.
async fn publish(port: u16, count: u64) {
    let mut publisher = Publisher::start(port, "feeder", 100).unwrap();
    for number in 0..count {
        let packet = numbered_packet(number);
        publisher
            .publish(&packet.topic, packet.payload)
            .await
            .unwrap();
    }
    publisher.flush(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_minimal_sample_stores_what_a_mosquitto_has() {
    let broker = Mosquitto::start(&MosquittoOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let here = MINIMAL.replace("mqtt://localhost:1883", &broker.url());
    assert_ne!(here, MINIMAL);
    write(folder.path(), "minimal.yaml", &here);
    let mut up = Up::start_in(folder, &["-f", "minimal.yaml"]);
    up.wait_for_line("source local: connected (MQTT 5)");
    publish(broker.port(), 50).await;
    assert_eq!(up.wait_for_counter("totalTransmissions", 50), 50);
    let log = up.log();
    assert!(log.contains("minimal runs, after"), "{log}");
    assert!(!log.contains("embedded"), "no broker of its own: {log}");
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "{}", up.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_files_beside_the_resource_and_a_missing_one_degrades_its_source_only() {
    let keep = tempfile::tempdir().unwrap();
    let (passwords, guarded) = guarded_broker(keep.path());
    let open = Mosquitto::start(&MosquittoOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let resource = format!(
        "\
apiVersion: v1
kind: Secret
metadata: {{name: guarded}}
stringData: {{password: not-read}}
---
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {{name: two}}
spec:
  mqttSources:
    - {{name: guarded, broker: '{}', credentialsSecretRef: {{name: guarded}}}}
    - {{name: open, broker: '{}'}}
  channels: {{keysSecretRef: {{name: keys}}}}
  storage: {{size: 1Gi}}
  service: {{port: 8080}}
  podDisruptionBudget: {{enabled: true}}
",
        guarded.url(),
        open.url()
    );
    write(folder.path(), "place/two.yaml", &resource);
    write(folder.path(), "place/secrets/guarded/username", "reader\n");
    let mut up = Up::start_in(folder, &["-f", "place/two.yaml"]);
    up.wait_for_line("source open: connected");
    let log = up.log();
    for note in [
        "Missing: place/secrets/guarded/password, which spec.mqttSources[0].credentialsSecretRef asks for",
        "Missing: place/secrets/keys/channel-keys.yaml, which spec.channels.keysSecretRef asks for",
        "Secret guarded of the file is not read: without a cluster, secrets are files; write its values to \
         place/secrets/guarded/<key>",
        "Without effect outside a cluster: spec.service, spec.podDisruptionBudget",
    ] {
        assert_eq!(log.matches(note).count(), 1, "{note}: {log}");
    }
    let waiting = up.wait_for_line("source guarded: not connected, waiting");
    assert!(
        waiting.contains("place/secrets/guarded/password"),
        "{waiting}"
    );
    // Making the file is all that has to be done.
    up.write("place/secrets/guarded/password", "hunter2\n");
    up.wait_for_line("source guarded: connected");
    assert!(!up.log().contains("hunter2"));
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "{}", up.log());
    drop(passwords);
}

/// A broker that wants a password, and the file that has it.
fn guarded_broker(folder: &Path) -> (std::path::PathBuf, Mosquitto) {
    use std::os::unix::fs::PermissionsExt;
    let passwords = folder.join("passwords");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .args([passwords.as_os_str(), "reader".as_ref(), "hunter2".as_ref()])
        .status();
    assert!(made.unwrap().success());
    // Started by root it reads them as its own user.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&passwords, std::fs::Permissions::from_mode(0o644)).unwrap();
    let options = MosquittoOptions {
        lines: vec![
            "allow_anonymous false".to_owned(),
            format!("password_file {}", passwords.display()),
        ],
        ..MosquittoOptions::default()
    };
    (passwords, Mosquitto::start(&options).unwrap())
}

#[test]
fn a_broker_that_is_not_there_is_waited_for_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let port = meshcore_testkit::free_port();
    let nobody = MINIMAL.replace("localhost:1883", &format!("127.0.0.1:{port}"));
    write(folder.path(), "a.yaml", &nobody);
    let up = Up::start_in(folder, &["-f", "a.yaml"]);
    up.wait_until_it_runs();
    let line = up.wait_for_line("source local: not connected, waiting");
    assert!(line.contains("refused"), "{line}");
    let broker = Mosquitto::start(&MosquittoOptions {
        port,
        ..MosquittoOptions::default()
    })
    .unwrap();
    up.wait_for_line("source local: connected (MQTT 5)");
    assert_eq!(
        up.log().matches("source local: not connected").count(),
        1,
        "{}",
        up.log()
    );
    drop(broker);
}

#[test]
fn a_file_with_demo_gets_the_simulated_mesh_beside_its_own_sources() {
    let folder = tempfile::tempdir().unwrap();
    let mut resource = MINIMAL.replace("localhost:1883", "127.0.0.1:1");
    // The name that the source of the demo would have is taken.
    resource = resource.replace("name: local", "name: demo");
    writeln!(resource, "  retention: {{packetDays: 7}}").unwrap();
    write(folder.path(), "a.yaml", &resource);
    let mut up = Up::start_in(folder, &["-f", "a.yaml", "--demo", "--rate", "50"]);
    up.wait_for_line("source demo-2: connected");
    up.wait_for_counter("totalObservations", 10);
    up.wait_for_line("source demo: not connected, waiting");
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "{}", up.log());
}

#[test]
fn variables_of_the_shell_do_not_replace_what_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.yaml",
        &MINIMAL.replace("localhost:1883", "127.0.0.1:1"),
    );
    let log = folder.path().join("log");
    let mut command = super::harness::command(folder.path(), &["-f", "a.yaml"]);
    command.envs([
        ("MQTT_BROKER", "mqtt://127.0.0.1:2"),
        ("DB_PATH", "/nowhere/else.db"),
        ("MESHCORE_CONFIG", "/nowhere/config.json"),
        ("SHUTDOWN_MARGIN_SECONDS", "none"),
    ]);
    let no_env: [(&str, &str); 0] = [];
    let program = meshcore_testkit::Program::start_command(&mut command, &no_env, &log).unwrap();
    let line = meshcore_testkit::wait_until("it runs", SOON, || {
        let log = program.log();
        let line = log.lines().find(|line| line.contains("  data  "))?;
        Some(line.to_owned())
    });
    let line = line.unwrap_or_else(|error| panic!("{error}\n{}", program.log()));
    assert!(line.contains(folder.path().to_str().unwrap()), "{line}");
    assert!(
        program.log().contains("mqtt://127.0.0.1:1\""),
        "{}",
        program.log()
    );
}

#[test]
fn a_stopped_resource_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.yaml",
        &format!("{MINIMAL}  stopped: true\n"),
    );
    let output = super::harness::command(folder.path(), &["-f", "a.yaml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("minimal is stopped (spec.stopped is true)"),
        "{text}"
    );
    assert!(!folder.path().join("data").exists());
}
