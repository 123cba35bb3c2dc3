//! The stop as a broker sees it: every acknowledgement that is due, then one DISCONNECT.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Ingestor, SOON, broker, source, with};
use meshcore_testkit::{AckProxy, Publisher, numbered_packet, packet_hash_of};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The hashes of all packets whose acknowledgement the proxy saw.
fn acknowledged(proxy: &AckProxy) -> BTreeSet<String> {
    let hash = |payload: &[u8]| {
        let json: Value = serde_json::from_slice(payload).unwrap();
        packet_hash_of(&hex::decode(json["raw"].as_str().unwrap()).unwrap())
    };
    proxy
        .acknowledged()
        .iter()
        .map(|message| hash(&message.payload))
        .collect()
}

/// How long the last stop was at its goodbyes.
fn disconnecting(ingestor: &Ingestor) -> Duration {
    let report = ingestor.report();
    let phase = report
        .phases
        .iter()
        .find(|phase| phase.name == "disconnect");
    Duration::from_millis(phase.unwrap().milliseconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_all_that_is_stored_is_acknowledged_before_one_disconnect() {
    for version in ["5", "3.1.1"] {
        let broker = broker(&[]);
        let proxy = AckProxy::start(broker.port()).await.unwrap();
        let source = with(
            source("broker", proxy.port()),
            &json!({"protocol": version}),
        );
        let mut ingestor = Ingestor::start(&[source]);
        ingestor.wait_for_connection("broker");
        let port = broker.port();
        let load = tokio::spawn(async move {
            let mut publisher = Publisher::start(port, "load", 500).unwrap();
            for n in 0.. {
                let packet = numbered_packet(n);
                publisher
                    .publish(&packet.topic, packet.payload)
                    .await
                    .unwrap();
            }
        });
        for stops in 1..=3 {
            let before = proxy.count();
            ingestor.wait_for("load", SOON, || {
                (proxy.count() > before + 500).then_some(())
            });
            assert_eq!(ingestor.stop(), Some(0), "{}", ingestor.log());
            // What it sent may still be on its way to the proxy, with the goodbye behind all acknowledgements.
            ingestor.wait_for("the goodbye", SOON, || {
                (proxy.disconnects() >= stops).then_some(())
            });
            let acknowledged = acknowledged(&proxy);
            let stored = ingestor.stored().await;
            assert_eq!(
                acknowledged.difference(&stored).count(),
                0,
                "acknowledged, not stored"
            );
            assert_eq!(
                stored.difference(&acknowledged).count(),
                0,
                "stored, not acknowledged"
            );
            assert_eq!(proxy.disconnects(), stops);
            ingestor.start_again();
        }
        load.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_says_nothing_after_its_connack_does_not_hold_up_the_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1_024];
        assert!(client.read(&mut buffer).await.unwrap() > 0);
        client.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        // It neither answers the SUBSCRIBE nor reads a DISCONNECT.
        std::future::pending::<()>().await;
    });
    let mut ingestor = Ingestor::start(&[source("dumb", port)]);
    ingestor.wait_for_log("The source is connected");
    // One that waited for it would be cut at the deadline, and not end with 0.
    assert_eq!(ingestor.stop(), Some(0), "{}", ingestor.log());
    let took = disconnecting(&ingestor);
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_never_connected_does_not_hold_up_the_stop() {
    let mut ingestor = Ingestor::start(&[source("dead", meshcore_testkit::free_port())]);
    ingestor.wait_for_problem("dead", "refused");
    let mut took = Vec::new();
    // A goodbye that is waited for takes two seconds each time. A machine that is busy takes them once.
    for _ in 0..5 {
        assert_eq!(ingestor.stop(), Some(0), "{}", ingestor.log());
        took.push(disconnecting(&ingestor));
        if took.iter().any(|took| *took < Duration::from_secs(2)) {
            return;
        }
        ingestor.start_again();
        ingestor.wait_for_problem("dead", "refused");
    }
    panic!("{took:?}");
}
