//! Brokers that are down, and brokers that say nothing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::time::Duration;

use common::{Ingestor, SOON, broker, publish, source, with};
use jiff::{SignedDuration, Timestamp};
use meshcore_testkit::{Mosquitto, MosquittoOptions, free_port};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_broker_is_waited_for_and_does_not_hold_up_the_others() {
    let (first, second) = (broker(&[]), broker(&[]));
    let late = free_port();
    let ingestor = Ingestor::start(&[
        source("late", late),
        source("first", first.port()),
        source("second", second.port()),
    ]);
    ingestor.wait_for_connection("first");
    ingestor.wait_for_connection("second");
    ingestor.wait_for_problem("late", "refused");
    // Both carry the same packets.
    publish(&first, 0..10).await;
    publish(&second, 0..10).await;
    ingestor.wait_for_packets(0..10).await;
    ingestor.wait_for_metric("meshcore_observations_duplicate_total", 10);
    assert_eq!(
        ingestor.number("SELECT count(*) FROM observations").await,
        10
    );

    let options = MosquittoOptions {
        port: late,
        ..MosquittoOptions::default()
    };
    let third = Mosquitto::start(&options).unwrap();
    ingestor.wait_for_connection("late");
    assert_eq!(ingestor.source("late")["problem"], Value::Null);
    publish(&third, [10]).await;
    ingestor.wait_for_packets([10]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pauses_between_attempts_grow() {
    let ingestor = Ingestor::start(&[source("dead", free_port())]);
    // By its own log: who reads it may be late.
    let attempts = ingestor.wait_for("six attempts", SOON, || {
        let log = ingestor.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("The source is not connected"));
        let times: Vec<Timestamp> = lines
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        (times.len() >= 6).then_some(times)
    });
    let pause = attempts[5].duration_since(attempts[4]);
    // Eight seconds, give or take a half.
    assert!(pause > SignedDuration::from_secs(3), "{pause:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_told_and_answered_with_a_new_connection() {
    let broker = broker(&[]);
    let sources = ["5", "3.1.1"].map(|version| {
        let named = source(version, broker.port());
        with(named, &json!({"protocol": version, "silenceSeconds": 30}))
    });
    let ingestor = Ingestor::start(&sources);
    for version in ["5", "3.1.1"] {
        ingestor.wait_for_connection(version);
    }
    ingestor.wait_for("silence", Duration::from_mins(2), || {
        let log = ingestor.log();
        (log.matches("no message for 30 s").count() >= 2).then_some(())
    });
    for version in ["5", "3.1.1"] {
        let connects = format!("meshcore_source_connects_total{{source=\"{version}\"}}");
        ingestor.wait_for_metric(&connects, 2);
        ingestor.wait_for_connection(version);
    }
}
