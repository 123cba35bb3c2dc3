//! MQTT 5 where the broker speaks it, 3.1.1 where it doesn't, and no confusion with a broker that is down.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{Ingestor, SOON, broker, publish, source, with};
use meshcore_testkit::{Mosquitto, MosquittoOptions, VersionGate, free_port};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn auto_falls_back_to_3_1_1_where_5_is_refused() {
    let broker = broker(&[]);
    let gate = async |answer| VersionGate::start(broker.port(), answer).await.unwrap();
    let gates = [
        (
            "refused as 5 says it",
            gate(&[0x20, 3, 0, 0x84, 0]).await,
            1,
        ),
        (
            "refused as 3.1.1 says it, in the form of 5",
            gate(&[0x20, 3, 0, 1, 0]).await,
            1,
        ),
        // Read as 5 it has no end, and then the connection closes.
        ("refused as 3.1.1 says it", gate(&[0x20, 2, 0, 1]).await, 2),
        ("closed without a word", gate(&[]).await, 2),
        (
            "answered with half a packet",
            gate(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
            2,
        ),
        ("answered with what is no packet", gate(&[0, 0]).await, 1),
    ];
    let sources: Vec<_> = gates
        .iter()
        .map(|(name, gate, _)| source(name, gate.port()))
        .collect();
    let ingestor = Ingestor::start(&sources);
    for (name, gate, attempts) in &gates {
        ingestor.wait_for_connection(name);
        assert_eq!(ingestor.source(name)["protocol"], "3.1.1");
        assert_eq!(gate.refused(), *attempts, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_asked_for_is_not_changed() {
    let broker = broker(&[]);
    let gate = VersionGate::start(broker.port(), &[0x20, 3, 0, 0x84, 0])
        .await
        .unwrap();
    let ingestor = Ingestor::start(&[with(
        source("only 5", gate.port()),
        &json!({"protocol": "5"}),
    )]);
    ingestor.wait_for_problem("only 5", "refuses this protocol version");
    ingestor.wait_for("some attempts", SOON, || (gate.refused() > 2).then_some(()));
    assert_eq!(ingestor.source("only 5")["protocol"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_up_late_still_gets_5() {
    let port = free_port();
    let ingestor = Ingestor::start(&[source("late", port)]);
    ingestor.wait_for_problem("late", "refused");
    let attempts = || {
        ingestor
            .log()
            .matches("The source is not connected")
            .count()
    };
    ingestor.wait_for("some attempts", SOON, || (attempts() > 2).then_some(()));
    let options = MosquittoOptions {
        port,
        ..Default::default()
    };
    let broker = Mosquitto::start(&options).unwrap();
    ingestor.wait_for_connection("late");
    assert_eq!(ingestor.source("late")["protocol"], "5");
    publish(&broker, [3]).await;
    ingestor.wait_for_packets([3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_falls_back_over_a_websocket_too() {
    let port = free_port();
    let listener = format!("listener {port} 127.0.0.1");
    let broker = broker(&[&listener, "protocol websockets"]);
    let gate = VersionGate::start_websocket(port).await.unwrap();
    let address = format!("ws://127.0.0.1:{}/mqtt", gate.port());
    let ingestor = Ingestor::start(&[json!({"name": "public", "broker": address})]);
    ingestor.wait_for_connection("public");
    assert_eq!(ingestor.source("public")["protocol"], "3.1.1");
    assert_eq!(gate.refused(), 2);
    publish(&broker, [1]).await;
    ingestor.wait_for_packets([1]).await;
}
