//! One file of hand-made messages for each feeder, compared as a whole.
//!
//! A line has `name`, `topic`, `payload`, sometimes `options`, and `expect`: the message as
//! `support::summary` writes it. After a deliberate change, run with `UPDATE_FIXTURES=1` and read
//! the difference.

#![expect(clippy::unwrap_used, reason = "test code outside test functions")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use meshcore_feed::{ParseOptions, parse};
use serde_json::{Value, json};

fn check(feeder: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(format!("{feeder}.jsonl"));
    let text = fs::read_to_string(&path).unwrap();
    let mut updated = String::new();
    let mut failures = Vec::new();
    for line in text.lines() {
        let mut case: Value = serde_json::from_str(line).unwrap();
        let flag = |name: &str, default: bool| case["options"][name].as_bool().unwrap_or(default);
        let options = ParseOptions::default()
            .with_client_reception(flag("client_reception", false))
            .with_raw_topic(flag("raw_topic", true));
        let topic = case["topic"].as_str().unwrap();
        let payload = serde_json::to_vec(&case["payload"]).unwrap();
        let found = support::summary(&parse(topic, &payload, &options));
        if found != case["expect"] {
            failures.push(format!(
                "{}:\n  found  {found}\n  expect {}",
                case["name"], case["expect"]
            ));
        }
        case["expect"] = found;
        writeln!(updated, "{case}").unwrap();
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, updated).unwrap();
    } else {
        assert!(failures.is_empty(), "{feeder}\n{}", failures.join("\n"));
    }
}

#[test]
fn meshcoretomqtt() {
    check("meshcoretomqtt");
}

#[test]
fn esp32_observer() {
    check("esp32-observer");
}

#[test]
fn packet_capture() {
    check("packet-capture");
}

#[test]
fn openhop_repeater() {
    check("openhop-repeater");
}

#[test]
fn phones() {
    check("client");
}

#[test]
fn home_assistant_terminals_bots_bridges_and_offband() {
    check("others");
}

/// The expectations of the fixtures can be regenerated; this one cannot.
#[test]
fn the_fixture_comparison_notices_a_difference() {
    let found = support::summary(&parse("a/b/c/packets", b"{}", &ParseOptions::default()));
    assert_eq!(found, json!({"kind": "ignored", "reason": "no_raw"}));
}
