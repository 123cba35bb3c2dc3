//! The recorded feeds parse without surprises.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code outside test functions"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use meshcore_feed::{FrameOutline, Message, ParseOptions, parse};
use serde_json::Value;

/// Reads a recorded feed from the repository, or from the folder beside it. Without the file the
/// test says so and passes, except in CI.
fn feed(name: &str) -> Option<Vec<Value>> {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places: [PathBuf; 2] = [
        crate_dir.join("../../fixtures"),
        crate_dir.join("../../../shared/fixtures"),
    ];
    let found = places
        .iter()
        .find_map(|place| fs::read_to_string(place.join(name)).ok());
    if found.is_none() {
        let message = format!("SKIPPED: {name} is in none of {places:?}");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
        println!("{message}");
    }
    Some(
        found?
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

/// Counts messages by kind (of ignored ones the reason), and some properties of the receptions.
fn tally(lines: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut count = |key: &str| *counts.entry(key.to_owned()).or_default() += 1;
    for line in lines {
        let topic = line["topic"].as_str().unwrap();
        let payload = serde_json::to_vec(&line["payload"]).unwrap();
        match parse(topic, &payload, &ParseOptions::default()) {
            Message::Reception(reception) => {
                count("reception");
                let sent = &line["payload"];
                assert_eq!(reception.observer_id, topic.split('/').nth(2).unwrap());
                assert_eq!(reception.iata.as_deref(), topic.split('/').nth(1));
                assert_eq!(reception.raw_hex(), sent["raw"].as_str().unwrap());
                assert_eq!(reception.feeder_hash.as_deref(), sent["hash"].as_str());
                assert_eq!(reception.rssi, sent["RSSI"].as_str().unwrap().parse().ok());
                assert_eq!(reception.snr, sent["SNR"].as_str().unwrap().parse().ok());
                assert_eq!(
                    reception.snr_is_integer,
                    !sent["SNR"].as_str().unwrap().contains('.')
                );
                let outline = FrameOutline::of(&reception.raw);
                let len = outline.map(|outline| outline.payload_len.to_string());
                count(if len.as_deref() == sent["payload_len"].as_str() {
                    "payload length fits"
                } else {
                    "payload length differs"
                });
                let zoned = reception.feeder_time.unwrap().zoned;
                count(if zoned { "zoned" } else { "naive" });
                count(if reception.score.is_some() {
                    "score"
                } else {
                    "no score"
                });
            }
            Message::Ignored(ignored) => count(ignored.reason()),
            other => count(other.kind()),
        }
    }
    counts
}

#[track_caller]
fn assert_tally(lines: &[Value], expected: &[(&str, usize)]) {
    let expected = expected
        .iter()
        .map(|(key, n)| ((*key).to_owned(), *n))
        .collect();
    assert_eq!(tally(lines), expected);
}

#[test]
fn the_real_feed_is_all_receptions() {
    let Some(lines) = feed("feed.jsonl") else {
        return;
    };
    assert_tally(
        &lines,
        &[
            ("reception", 435),
            ("zoned", 264),
            ("naive", 171),
            ("score", 264),
            ("no score", 171),
            ("payload length fits", 435),
        ],
    );
}

#[test]
fn the_synthetic_feed_is_all_receptions() {
    let Some(lines) = feed("feed-synthetic.jsonl") else {
        return;
    };
    assert_tally(
        &lines,
        &[
            ("reception", 2000),
            ("zoned", 1246),
            ("naive", 754),
            ("score", 1246),
            ("no score", 754),
            ("payload length fits", 2000),
        ],
    );
}
