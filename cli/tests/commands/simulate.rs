//! `meshcore simulate`: to a file, and to a real mosquitto.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Listener, PATIENCE, interrupt, meshcore, mosquitto, run, stderr, stdout};
use meshcore_testkit::{free_port, wait_until};
use serde_json::Value;

#[test]
fn equal_seeds_write_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, seed: &str| {
        let path = folder.path().join(name);
        let output = path.to_str().unwrap();
        let result = run(&[
            "simulate", "--output", output, "--count", "300", "--seed", seed,
        ]);
        assert!(result.status.success(), "{}", stderr(&result));
        std::fs::read(path).unwrap()
    };
    let first = write("a", "7");
    assert_eq!(first, write("b", "7"));
    assert_ne!(first, write("c", "8"));
    let lines: Vec<Value> = first
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 300);
    assert!(
        lines
            .iter()
            .all(|line| line["payload"]["origin_id"].is_string())
    );
}

#[test]
fn standard_output_may_end_early() {
    let mut child = meshcore(&["simulate", "--output", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .starts_with("{\"topic\":\"meshcore/")
    );
    drop(lines);
    let ended = wait_until("the command ends", PATIENCE, || child.try_wait().unwrap()).unwrap();
    assert!(ended.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_gets_exactly_the_messages_of_the_file() {
    let broker = mosquitto();
    let mut listener = Listener::new(&broker).await;
    let url = broker.url();
    let start = ["--start", "2026-01-01T00:00:00Z", "--count", "500"];
    let fast = ["simulate", "--broker", &url, "--as-fast-as-possible"];
    let published = run(&[&fast[..], &start].concat());
    assert!(published.status.success(), "{}", stderr(&published));
    assert!(
        stderr(&published).contains("Published 500 messages"),
        "{}",
        stderr(&published)
    );
    assert!(
        stderr(&published).contains("500 acknowledged"),
        "{}",
        stderr(&published)
    );
    let file = run(&[&["simulate", "--output", "-"][..], &start].concat());
    let expected: Vec<Value> = stdout(&file)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (message, expected) in listener.take(500).await.iter().zip(expected) {
        assert_eq!(
            expected["topic"],
            std::str::from_utf8(&message.topic).unwrap()
        );
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(payload, expected["payload"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_pace_and_stops_on_interrupt() {
    let broker = mosquitto();
    let mut listener = Listener::new(&broker).await;
    let url = broker.url();
    let begin = tokio::time::Instant::now();
    let child = meshcore(&["simulate", "--broker", &url, "--rate", "50", "--qos", "0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    listener.take(100).await;
    let elapsed = begin.elapsed();
    assert!(
        elapsed > Duration::from_millis(800),
        "too fast: {elapsed:?}"
    );
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // Not exactly: more of them were under way.
    let published = published(stderr(&output).lines().last().unwrap());
    assert!(published >= 100, "{}", stderr(&output));
}

/// The number in `Published 100 messages …`.
fn published(summary: &str) -> u64 {
    let count = summary
        .strip_prefix("Published ")
        .and_then(|rest| rest.split(' ').next());
    count
        .unwrap_or_else(|| panic!("no summary: {summary}"))
        .replace(',', "")
        .parse()
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_after_the_broker_was_killed() {
    let mut broker = mosquitto();
    let url = broker.url();
    let mut before = Listener::new(&broker).await;
    let mut child = meshcore(&["simulate", "--broker", &url, "--rate", "300"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .starts_with("Publishing 60 nodes")
    );
    before.take(100).await;
    broker.kill().unwrap();
    let lost = lines.next().unwrap().unwrap();
    assert_eq!(
        lost,
        "Lost the broker (the broker closed the connection); trying to connect again"
    );
    broker.start_again().unwrap();
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .starts_with("Connected again")
    );
    Listener::new(&broker).await.take(100).await;
    interrupt(&child);
    let summary = lines.next().unwrap().unwrap();
    let count = summary.split(' ').nth(1).unwrap();
    assert!(
        summary.contains(&format!("{count} acknowledged")),
        "{summary}"
    );
    assert!(child.wait().unwrap().success());
}

#[test]
fn credentials_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "right\n").unwrap();
    // mosquitto reads hashed passwords only.
    let users = folder.path().join("users");
    let hashed = Command::new("mosquitto_passwd")
        .args(["-c", "-b", users.to_str().unwrap(), "feeder", "right"])
        .status()
        .expect("mosquitto_passwd runs; install it with: apt-get install mosquitto");
    assert!(hashed.success());
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let broker = meshcore_testkit::Mosquitto::start(&meshcore_testkit::MosquittoOptions {
        lines: vec![
            "allow_anonymous false".to_owned(),
            format!("password_file {}", users.display()),
        ],
        ..Default::default()
    })
    .expect("a broker");
    let url = broker.url();
    let args = [
        "simulate",
        "--broker",
        &url,
        "--count",
        "5",
        "--as-fast-as-possible",
    ];
    let refused = run(&args);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("--password-file"),
        "{}",
        stderr(&refused)
    );
    let file = password.to_str().unwrap();
    let known = run(&[
        &args[..],
        &["--username", "feeder", "--password-file", file],
    ]
    .concat());
    assert!(known.status.success(), "{}", stderr(&known));
}

#[test]
fn errors_name_the_cure() {
    let port = free_port();
    let nobody = format!("mqtt://127.0.0.1:{port}");
    for (args, code, cure) in [
        (&["--broker", &nobody][..], 1, "mosquitto -p"),
        (&["--broker", "localhost:1883"], 2, "mqtt://localhost:1883"),
        (
            &["--broker", "http://localhost"],
            2,
            "must be mqtt, mqtts, ws or wss",
        ),
        (&["--output", "feed.jsonl"], 2, "--count or --duration"),
        (
            &["--output", "/no/such/folder/feed", "--count", "1"],
            1,
            "/no/such/folder/feed",
        ),
        (&["--output", "-", "--nodes", "1"], 2, "2 to 5000"),
        (&["--output", "-", "--regions", "paris"], 2, "airport"),
        (&["--output", "-", "--rate", "0"], 2, "above 0"),
        (&["--output", "-", "--duration", "soon"], 2, "90s"),
        (&[], 2, "--broker"),
    ] {
        let output = run(&[&["simulate"], args].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(cure),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}
