//! Signing in: with a password from a file that may be wrong today and right tomorrow.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::process::Command;

use common::{Ingestor, broker, publish, source, with};
use meshcore_testkit::{AckProxy, announce};
use serde_json::json;

const WRONG: &str = "not-the-pass-word";
const RIGHT: &str = "the-pass-word";

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_reported_and_a_new_file_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    make_readable(folder.path());
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&users)
        .args(["ingestor", RIGHT])
        .status()
        .expect("mosquitto_passwd comes with mosquitto: apt-get install mosquitto");
    assert!(made.success());
    make_readable(&users);
    let broker = broker(&[&format!("password_file {}", users.display())]);
    let password = folder.path().join("password");
    std::fs::write(&password, WRONG).unwrap();
    let sources: Vec<_> = ["5", "3.1.1"]
        .map(|protocol| {
            with(
                source(protocol, broker.port()),
                &json!({"protocol": protocol, "username": "ingestor", "passwordFile": password}),
            )
        })
        .into();
    let mut ingestor = Ingestor::start(&sources);
    for protocol in ["5", "3.1.1"] {
        ingestor.wait_for_problem(protocol, "the broker refused the sign-in (not authorized)");
    }
    std::fs::write(&password, RIGHT).unwrap();
    for protocol in ["5", "3.1.1"] {
        ingestor.wait_for_connection(protocol);
    }
    publish(&broker, [1]).await;
    ingestor.wait_for_packets([1]).await;

    let process = format!("/proc/{}", ingestor.program().id());
    let visible =
        ["cmdline", "environ"].map(|file| std::fs::read(format!("{process}/{file}")).unwrap());
    assert_eq!(ingestor.stop(), Some(0));
    let log = ingestor.log();
    for secret in [WRONG, RIGHT] {
        assert!(!log.contains(secret), "{log}");
        assert!(
            !visible
                .iter()
                .any(|text| String::from_utf8_lossy(text).contains(secret))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_makes_only_its_source_connect_anew() {
    let folder = tempfile::tempdir().unwrap();
    // As the kubelet mounts a Secret: files behind a link that is replaced.
    for (version, password) in [("v1", RIGHT), ("v2", "the-next-pass-word")] {
        std::fs::create_dir(folder.path().join(version)).unwrap();
        std::fs::write(folder.path().join(version).join("password"), password).unwrap();
    }
    let data = folder.path().join("..data");
    std::os::unix::fs::symlink("v1", &data).unwrap();
    let broker = broker(&[]);
    let proxy = AckProxy::start(broker.port()).await.unwrap();
    let rotated = json!({"username": "somebody", "passwordFile": data.join("password")});
    let mut ingestor = Ingestor::start(&[
        with(source("rotated", proxy.port()), &rotated),
        source("other", broker.port()),
    ]);
    ingestor.wait_for_connection("rotated");
    ingestor.wait_for_connection("other");
    publish(&broker, [1]).await;
    ingestor.wait_for_packets([1]).await;

    let next = folder.path().join("..next");
    std::os::unix::fs::symlink("v2", &next).unwrap();
    let changed = std::time::Instant::now();
    std::fs::rename(&next, &data).unwrap();
    ingestor.wait_for_metric("meshcore_source_connects_total{source=\"rotated\"}", 2);
    ingestor.wait_for_connection("rotated");
    announce(&format!(
        "a rotated secret was taken up after {:?}",
        changed.elapsed()
    ));
    publish(&broker, [2]).await;
    ingestor.wait_for_packets([1, 2]).await;
    assert_eq!(proxy.disconnects(), 1, "it leaves with a DISCONNECT");
    assert!(proxy.connects().iter().all(|connect| !connect.clean));
    assert_eq!(
        ingestor.metric("meshcore_source_connects_total{source=\"other\"}"),
        1
    );
    assert_eq!(
        ingestor.metric("meshcore_source_sessions_lost_total{source=\"rotated\"}"),
        0
    );
    assert_eq!(ingestor.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_password_file_is_named_and_only_its_source_waits() {
    let broker = broker(&[]);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    let late = json!({"username": "somebody", "passwordFile": password});
    let ingestor = Ingestor::start(&[
        with(source("late", broker.port()), &late),
        source("other", broker.port()),
    ]);
    ingestor.wait_for_connection("other");
    ingestor.wait_for_problem("late", &password.display().to_string());
    std::fs::write(&password, RIGHT).unwrap();
    ingestor.wait_for_connection("late");
}

/// The broker gives up root before it reads its files.
fn make_readable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
