//! Every way to a broker: TCP and WebSocket, with TLS and without, and the certificates on both sides.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;

use common::{Ingestor, SOON, broker, publish, with};
use meshcore_testkit::{Certificates, Mosquitto, free_port};
use serde_json::{Value, json};

/// A broker with one listener for each transport, and the addresses of the four.
fn broker_with_all_transports(certificates: &Certificates) -> (Mosquitto, [String; 4]) {
    let [mqtts, ws, wss] = std::array::from_fn(|_| free_port());
    let mut lines = vec![
        format!("listener {ws} 127.0.0.1"),
        "protocol websockets".into(),
    ];
    lines.push(format!("listener {mqtts} 127.0.0.1"));
    lines.extend(certificates.broker_lines());
    lines.extend([
        format!("listener {wss} 127.0.0.1"),
        "protocol websockets".into(),
    ]);
    lines.extend(certificates.broker_lines());
    let broker = broker(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let addresses = [
        broker.url(),
        format!("mqtts://127.0.0.1:{mqtts}"),
        format!("ws://127.0.0.1:{ws}/mqtt"),
        format!("wss://127.0.0.1:{wss}/mqtt"),
    ];
    (broker, addresses)
}

/// A broker that speaks TLS on the port of the returned address, and plain MQTT on its own.
fn broker_with_tls(certificates: &Certificates, more: &[&str]) -> (Mosquitto, String) {
    let port = free_port();
    let mut lines = vec![format!("listener {port} 127.0.0.1")];
    lines.extend(certificates.broker_lines());
    lines.extend(more.iter().map(ToString::to_string));
    let broker = broker(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    (broker, format!("mqtts://127.0.0.1:{port}"))
}

fn tls_source(name: &str, address: &str, tls: &Value) -> Value {
    json!({"name": name, "broker": address, "tls": tls})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transport_carries_packets_in_both_versions() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let (broker, addresses) = broker_with_all_transports(&certificates);
    let tls = json!({"caFile": certificates.ca()});
    let mut names = Vec::new();
    let mut sources = Vec::new();
    for address in &addresses {
        for protocol in ["5", "3.1.1"] {
            let scheme = address.split(':').next().unwrap();
            let name = format!("{scheme} {protocol}");
            let tls = if scheme.ends_with('s') && scheme != "ws" {
                &tls
            } else {
                &Value::Null
            };
            sources.push(with(
                tls_source(&name, address, tls),
                &json!({"protocol": protocol}),
            ));
            names.push((name, protocol));
        }
    }
    let ingestor = Ingestor::start(&sources);
    for (name, protocol) in &names {
        ingestor.wait_for_connection(name);
        assert_eq!(ingestor.source(name)["protocol"], *protocol);
    }
    publish(&broker, 0..3).await;
    for (name, _) in &names {
        let received = "meshcore_messages_received_total";
        let received = format!("{received}{{source=\"{name}\",kind=\"reception\"}}");
        ingestor.wait_for_metric(&received, 3);
    }
    ingestor.wait_for_packets(0..3).await;
    // Each of the eight brought the same three packets.
    ingestor.wait_for_metric("meshcore_observations_duplicate_total", 21);
    assert_eq!(
        ingestor.number("SELECT count(*) FROM observations").await,
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_again_and_again_costs_neither_version_nor_session() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let (mut broker, addresses) = broker_with_all_transports(&certificates);
    let tls = json!({"caFile": certificates.ca()});
    let sources: Vec<_> = addresses
        .iter()
        .map(|address| tls_source(address, address, &tls))
        .collect();
    let ingestor = Ingestor::start(&sources);
    for _ in 0..3 {
        for address in &addresses {
            ingestor.wait_for_connection(address);
        }
        broker.kill().unwrap();
        for address in &addresses {
            ingestor.wait_for("its end", SOON, || {
                (ingestor.source(address)["connected"] == false).then_some(())
            });
        }
        broker.start_again().unwrap();
    }
    for address in &addresses {
        ingestor.wait_for_connection(address);
        assert_eq!(ingestor.source(address)["protocol"], "5");
        let cleared = "meshcore_source_sessions_cleared_total";
        assert_eq!(
            ingestor.metric(&format!("{cleared}{{source=\"{address}\"}}")),
            0
        );
    }
    assert!(
        !ingestor.log().contains("can't be read"),
        "{}",
        ingestor.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_authority_is_named_and_a_renewed_file_is_taken_up() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let strangers = Certificates::new(&["127.0.0.1"]).unwrap();
    let (broker, address) = broker_with_tls(&certificates, &[]);
    let authority = strangers.ca();
    let ingestor = Ingestor::start(&[
        tls_source("named", &address, &json!({"caFile": authority})),
        tls_source("of the system", &address, &Value::Null),
        tls_source("missing", &address, &json!({"caFile": "/no/such/ca.pem"})),
    ]);
    ingestor.wait_for_problem("named", "UnknownIssuer");
    ingestor.wait_for_problem("of the system", "certificate");
    ingestor.wait_for_problem("missing", "/no/such/ca.pem");
    std::fs::copy(certificates.ca(), authority).unwrap();
    ingestor.wait_for_connection("named");
    // Trust has nothing to do with the version.
    assert_eq!(ingestor.source("named")["protocol"], "5");
    assert_eq!(ingestor.source("of the system")["protocol"], "5");
    publish(&broker, [1]).await;
    ingestor.wait_for_packets([1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_wants_a_client_certificate_is_shown_ours() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let strangers = Certificates::new(&["127.0.0.1"]).unwrap();
    let (broker, address) = broker_with_tls(&certificates, &["require_certificate true"]);
    let ours = |of: &Certificates| {
        let (cert, key) = of.client();
        json!({"caFile": certificates.ca(), "clientCertFile": cert, "clientKeyFile": key})
    };
    let ingestor = Ingestor::start(&[
        tls_source("shown", &address, &ours(&certificates)),
        tls_source("none", &address, &json!({"caFile": certificates.ca()})),
        tls_source("foreign", &address, &ours(&strangers)),
    ]);
    ingestor.wait_for_connection("shown");
    publish(&broker, [2]).await;
    ingestor.wait_for_packets([2]).await;
    ingestor.wait_for_problem("none", "CertificateRequired");
    ingestor.wait_for_problem("foreign", "received fatal alert");
    let connects = "meshcore_source_connects_total{source=\"foreign\"}";
    assert_eq!(ingestor.metric(connects), 0);
    // Several attempts have failed by then; none of them was the version's fault.
    let renew = |from: &Path, to: &Path| std::fs::copy(from, to).unwrap();
    renew(&certificates.client().0, &strangers.client().0);
    renew(&certificates.client().1, &strangers.client().1);
    ingestor.wait_for_connection("foreign");
    assert_eq!(ingestor.source("foreign")["protocol"], "5");
    assert_eq!(ingestor.source("none")["protocol"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_the_certificate_can_be_given_or_left_unchecked() {
    let certificates = Certificates::new(&["broker.example"]).unwrap();
    let (_broker, [_, mqtts, _, wss]) = broker_with_all_transports(&certificates);
    let trusted = json!({"caFile": certificates.ca()});
    let named = with(trusted.clone(), &json!({"serverName": "broker.example"}));
    let unchecked = json!({"insecureSkipVerify": true});
    let ingestor = Ingestor::start(&[
        tls_source("mqtts", &mqtts, &trusted),
        tls_source("mqtts named", &mqtts, &named),
        tls_source("mqtts unchecked", &mqtts, &unchecked),
        tls_source("wss", &wss, &trusted),
        tls_source("wss named", &wss, &named),
        tls_source("wss unchecked", &wss, &unchecked),
    ]);
    for transport in ["mqtts", "wss"] {
        ingestor.wait_for_connection(&format!("{transport} named"));
        ingestor.wait_for_connection(&format!("{transport} unchecked"));
        ingestor.wait_for_problem(transport, "not valid for name");
    }
}
