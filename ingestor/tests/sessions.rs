//! Sessions: what a broker keeps for us while we are away, and what becomes of acknowledgements when
//! connections end.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{Ingestor, SOON, broker, publish, source, with};
use meshcore_testkit::{AckProxy, Publisher, numbered_packet};
use serde_json::{Value, json};

const VERSIONS: [&str; 2] = ["5", "3.1.1"];

/// A source that speaks `version`.
fn speaking(version: &str, port: u16) -> Value {
    with(source("broker", port), &json!({"protocol": version}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_told_in_state_metric_and_log() {
    // Anonymous clients of this broker may subscribe to nothing but what is listed.
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.json");
    let allowed = json!({"acltype": "subscribePattern", "topic": "meshcore/SJC/#", "allow": true});
    let deliver = json!({"acltype": "publishClientReceive", "topic": "#", "allow": true});
    let send = json!({"acltype": "publishClientSend", "topic": "#", "allow": true});
    let rules_json = json!({
        "defaultACLAccess": {"publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
        "roles": [{"rolename": "anyone", "acls": [allowed, deliver, send]}],
        "groups": [{"groupname": "all", "roles": [{"rolename": "anyone"}]}],
        "anonymousGroup": "all",
        "clients": [],
    });
    std::fs::write(&rules, rules_json.to_string()).unwrap();
    open_to_all(folder.path(), &rules);
    let broker = broker(&[
        "plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
        &format!("plugin_opt_config_file {}", rules.display()),
    ]);
    let topics = json!({"topics": ["meshcore/SJC/#", "meshcore/SFO/#"]});
    let nothing = json!({"topics": ["other/#"]});
    let named = |name: &str, version: &str, more: &Value| {
        with(
            with(source(name, broker.port()), &json!({"protocol": version})),
            more,
        )
    };
    let ingestor = Ingestor::start(&[
        named("some 5", "5", &topics),
        named("some 3.1.1", "3.1.1", &topics),
        named("none 5", "5", &nothing),
        named("none 3.1.1", "3.1.1", &nothing),
    ]);
    for version in VERSIONS {
        let (some, none) = (format!("some {version}"), format!("none {version}"));
        ingestor.wait_for_problem(&some, "subscription refused: meshcore/SFO/#");
        ingestor.wait_for_problem(&none, "subscription refused: other/#");
        assert_eq!(ingestor.source(&some)["connected"], true);
        assert_eq!(ingestor.source(&none)["connected"], false);
        for name in [&some, &none] {
            let refused = "meshcore_source_subscriptions_refused_total";
            assert_eq!(
                ingestor.metric(&format!("{refused}{{source=\"{name}\"}}")),
                1
            );
        }
    }
    assert_eq!(
        ingestor
            .log()
            .matches("The broker refused a subscription")
            .count(),
        4
    );
    publish(&broker, [1]).await;
    ingestor.wait_for_packets([1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_meanwhile_is_stored_after_a_stop_and_after_a_kill() {
    for version in VERSIONS {
        let broker = broker(&[]);
        let proxy = AckProxy::start(broker.port()).await.unwrap();
        let mut ingestor = Ingestor::start(&[speaking(version, proxy.port())]);
        ingestor.wait_for_connection("broker");
        publish(&broker, 0..50).await;
        ingestor.wait_for_packets(0..50).await;
        assert_eq!(ingestor.stop(), Some(0));
        publish(&broker, 50..150).await;

        ingestor.start_again();
        ingestor.wait_for_packets(0..150).await;
        ingestor.wait_for_connection("broker");
        ingestor.kill();
        publish(&broker, 150..250).await;

        ingestor.start_again();
        ingestor.wait_for_packets(0..250).await;
        ingestor.wait_for_connection("broker");
        assert_eq!(
            ingestor.number("SELECT count(*) FROM observations").await,
            250
        );
        assert_eq!(
            ingestor.metric("meshcore_source_sessions_lost_total{source=\"broker\"}"),
            0
        );

        let connects = proxy.connects();
        assert_eq!(connects.len(), 3);
        assert!(
            connects.iter().all(|connect| *connect == connects[0]),
            "{connects:?}"
        );
        assert!(
            connects[0].client_id.len() <= 23 && !connects[0].clean,
            "{connects:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_configured_no_more_is_unsubscribed() {
    for version in VERSIONS {
        let broker = broker(&[]);
        let topics = |topics: &[&str]| {
            let source = with(speaking(version, broker.port()), &json!({"topics": topics}));
            json!({"mqttSources": [source]})
        };
        let mut ingestor = Ingestor::start_with(&topics(&["meshcore/+/+/packets", "old/#"]));
        ingestor.wait_for_connection("broker");
        ingestor.stop();
        ingestor.start_again_with(&topics(&["meshcore/+/+/packets", "new/#"]));
        ingestor.wait_for_connection("broker");
        ingestor.wait_for_log("Unsubscribing from a topic");

        let mut publisher = Publisher::start(broker.port(), "publisher", 10).unwrap();
        for (n, topic) in [(1, "old/SJC/x/packets"), (2, "new/SJC/x/packets")] {
            publisher
                .publish(topic, numbered_packet(n).payload)
                .await
                .unwrap();
        }
        publish(&broker, [3]).await;
        ingestor.wait_for_packets([2, 3]).await;
        let received = "meshcore_messages_received_total{source=\"broker\",kind=\"reception\"}";
        assert_eq!(ingestor.metric(received), 2, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_broker_forgot_is_counted() {
    for version in VERSIONS {
        let mut broker = broker(&[]);
        let ingestor = Ingestor::start(&[speaking(version, broker.port())]);
        ingestor.wait_for_connection("broker");
        let lost = "meshcore_source_sessions_lost_total{source=\"broker\"}";
        assert_eq!(ingestor.metric(lost), 0);
        broker.kill().unwrap();
        broker.start_again().unwrap();
        ingestor.wait_for_metric(lost, 1);
        ingestor.wait_for_connection("broker");
        publish(&broker, [1]).await;
        ingestor.wait_for_packets([1]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ingestors_with_one_client_id_are_told() {
    for version in VERSIONS {
        let broker = broker(&[]);
        let source = with(
            speaking(version, broker.port()),
            &json!({"clientId": "the-same"}),
        );
        let (one, _other) = (
            Ingestor::start(std::slice::from_ref(&source)),
            Ingestor::start(&[source]),
        );
        one.wait_for_problem("broker", "does another client use the same client id?");
        one.wait_for_log("give each its own clientId");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_die_with_their_connection() {
    for version in VERSIONS {
        let broker = broker(&[]);
        let proxy = AckProxy::start(broker.port()).await.unwrap();
        let mut ingestor = Ingestor::start(&[speaking(version, proxy.port())]);
        ingestor.wait_for_connection("broker");
        let received = "meshcore_messages_received_total{source=\"broker\",kind=\"reception\"}";
        let connects = "meshcore_source_connects_total{source=\"broker\"}";
        let mut published = 0;
        for round in 1..=3 {
            let held = ingestor.hold_the_writer().await;
            let acknowledged = proxy.count();
            publish(&broker, published..published + 10).await;
            published += 10;
            ingestor.wait_for_metric(received, round * 20 - 10);
            proxy.cut();
            ingestor.wait_for_metric(connects, round + 1);
            ingestor.wait_for_metric(received, round * 20);
            assert_eq!(
                proxy.count(),
                acknowledged,
                "nothing is committed, so nothing acknowledged"
            );
            drop(held);
            ingestor.wait_for_packets(0..published).await;
            ingestor.wait_for("all acknowledged", SOON, || {
                (proxy.count() as u64 >= published).then_some(())
            });
        }
        // What came on the connections that were cut was stored, but no acknowledgement of it left.
        assert_eq!(proxy.count(), 30);
        ingestor.assert_metric("meshcore_acks_stale_total", 30);
        assert_eq!(
            ingestor.number("SELECT count(*) FROM observations").await,
            30
        );
        // The broker has nothing left for us: after a restart only what is new comes.
        assert_eq!(ingestor.stop(), Some(0));
        let delivered = proxy.delivered();
        ingestor.start_again();
        ingestor.wait_for_connection("broker");
        publish(&broker, [published]).await;
        ingestor.wait_for_packets([published]).await;
        assert_eq!(proxy.delivered(), delivered + 1);
    }
}

/// The broker gives up root before it reads its files.
fn open_to_all(folder: &std::path::Path, file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
}
