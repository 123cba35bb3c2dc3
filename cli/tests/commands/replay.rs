//! `meshcore replay`: a recorded feed, to a real mosquitto.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{Listener, meshcore, mosquitto, run, stderr};
use tempfile::NamedTempFile;

fn file(lines: &[&str]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    for line in lines {
        writeln!(file, "{line}").expect("a writable file");
    }
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_arrive_as_recorded_and_bad_lines_are_named() {
    let broker = mosquitto();
    let mut listener = Listener::new(&broker).await;
    let feed = file(&[
        r#"{"topic":"meshcore/SJC/AA/packets","payload":{"b": 1,"a":"é"},"meta":{"x":1}}"#,
        "this is no JSON",
        "",
        r#"{"topic":"meshcore/SJC/AA/status","payload":"{\"status\":\"online\"}","retain":true}"#,
        r#"{"topic":"meshcore/#","payload":{}}"#,
    ]);
    let path = feed.path().to_str().unwrap();
    let output = run(&[
        "replay",
        path,
        "--broker",
        &broker.url(),
        "--as-fast-as-possible",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("line 2: not a JSON object"), "{text}");
    assert!(text.contains("line 5: the topic"), "{text}");
    assert!(
        text.contains("Published 2 messages") && text.contains("2 acknowledged"),
        "{text}"
    );
    assert!(text.contains("2 lines could not be read"), "{text}");
    let messages = listener.take(2).await;
    assert_eq!(messages[0].payload, r#"{"b": 1,"a":"é"}"#);
    assert_eq!(messages[1].payload, r#"{"status":"online"}"#);
}

#[test]
fn time_passes_as_recorded_divided_by_the_speed() {
    let broker = mosquitto();
    let feed = file(&[
        r#"{"topic":"a","payload":{"timestamp":"2026-01-01T00:00:00.000000+00:00"}}"#,
        r#"{"topic":"a","payload":{"timestamp":"2026-01-01T00:00:30.000000"}}"#,
        r#"{"topic":"a","payload":{"note":"no time"}}"#,
        r#"{"topic":"a","payload":{"timestamp":"2026-01-01T00:01:00Z"}}"#,
    ]);
    let path = feed.path().to_str().unwrap();
    let begin = Instant::now();
    let args = ["--speed", "60", "--loop", "2"];
    let output = run(&[&["replay", path, "--broker", &broker.url()][..], &args].concat());
    let elapsed = begin.elapsed();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("Published 8 messages"),
        "{}",
        stderr(&output)
    );
    assert!(elapsed >= Duration::from_secs(2), "{elapsed:?}");
    // At their own speed they take two minutes.
    assert!(elapsed < Duration::from_mins(1), "{elapsed:?}");
}

#[test]
fn a_simulation_can_be_piped_in() {
    let broker = mosquitto();
    let mut source = meshcore(&["simulate", "--output", "-", "--count", "2000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let url = broker.url();
    let output = meshcore(&[
        "replay",
        "-",
        "--broker",
        &url,
        "--as-fast-as-possible",
        "--qos",
        "0",
    ])
    .stdin(source.stdout.take().unwrap())
    .output()
    .unwrap();
    assert!(source.wait().unwrap().success());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("Published 2000 messages"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn errors_name_the_cure() {
    let url = "mqtt://127.0.0.1:1883";
    let folder = std::env::temp_dir();
    let folder = folder.to_str().unwrap();
    for (args, code, cure) in [
        (
            &["/no/such/feed", "--broker", url][..],
            1,
            "cannot read the feed /no/such/feed",
        ),
        (&[folder, "--broker", url], 1, "is a folder"),
        (&["-", "--broker", url, "--loop", "2"], 2, "give a file"),
        (&["feed", "--broker", url, "--speed", "0"], 2, "above 0"),
        (
            &[
                "feed",
                "--broker",
                url,
                "--speed",
                "2",
                "--as-fast-as-possible",
            ],
            2,
            "cannot be used",
        ),
        (
            &["feed", "--broker", url, "--password-file", "x"],
            2,
            "--username",
        ),
        (&["feed"], 2, "--broker"),
    ] {
        let output = run(&[&["replay"], args].concat());
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
