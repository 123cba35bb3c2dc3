//! What good values become.

use std::time::Duration;

use super::{config, load};
use crate::config::{Credentials, ForeignAdverts, GeoFilter, Protocol, Qos, SecretSource, SizeCap};

const DAY: Duration = Duration::from_hours(24);

#[test]
fn the_defaults() {
    let config = config("");
    let source = &config.sources[0];
    assert_eq!(
        (source.protocol, source.qos),
        (Protocol::Auto, Qos::AtLeastOnce)
    );
    assert_eq!(source.topics, ["meshcore/#"]);
    assert_eq!(source.connect_timeout, Duration::from_secs(30));
    assert_eq!(source.keep_alive, Duration::from_secs(30));
    assert_eq!(source.silence, Some(Duration::from_mins(10)));
    assert_eq!(source.credentials, Credentials::Anonymous);
    assert_eq!(config.retention.packets, Some(DAY * 90));
    assert_eq!(config.retention.nodes, Some(DAY * 365));
    assert_eq!(config.retention.client_receptions, Some(DAY * 30));
    assert_eq!(config.metrics_interval, Duration::from_mins(5));
    assert_eq!(config.store.commit_linger, Duration::ZERO);
    assert_eq!(config.store.size_cap, SizeCap::Auto);
    assert_eq!(config.store.ballast_bytes, 32 << 20);
    assert_eq!(config.observers.max, 5000);
    assert_eq!(config.queue_messages, 10_000);
    assert_eq!(config.log_level, "info");
    assert!(config.validate_signatures && !config.client_rx_coverage);
    assert_eq!(
        (config.foreign_adverts, config.geo_filter),
        (ForeignAdverts::Flag, None)
    );
}

#[test]
fn every_key_of_a_source_arrives() {
    let source = config(
        "
mqttSources:
  - name: public
    broker: wss://broker.example/mqtt
    protocol: 3.1.1
    clientId: mine
    usernameFile: /run/user
    passwordFile: /run/password
    tls: {caFile: /ca, clientCertFile: /cert, clientKeyFile: /key, serverName: other}
    topics: [meshcore/SJC/#, meshcore/SFO/#]
    iataFilter: [sjc, ' SFO ']
    region: bay
    connectTimeoutSec: 5
    silenceSeconds: 0
    keepAliveSeconds: 60
    qos: 0
",
    )
    .sources
    .remove(0);
    assert_eq!(source.name, "public");
    assert_eq!(source.broker.to_url(), "wss://broker.example:443/mqtt");
    assert_eq!(
        (source.protocol, source.qos),
        (Protocol::V311, Qos::AtMostOnce)
    );
    assert_eq!(source.client_id.as_deref(), Some("mine"));
    assert_eq!(
        source.credentials,
        Credentials::Password {
            username: SecretSource::File("/run/user".into()),
            password: Some(SecretSource::File("/run/password".into())),
        }
    );
    let client = source.tls.client.unwrap();
    assert_eq!(
        (client.cert_file, client.key_file),
        ("/cert".into(), "/key".into())
    );
    assert_eq!(source.tls.ca_file, Some("/ca".into()));
    assert_eq!(source.tls.server_name.as_deref(), Some("other"));
    assert_eq!(source.topics.len(), 2);
    assert_eq!(
        source.iata_filter.iter().collect::<Vec<_>>(),
        ["SFO", "SJC"]
    );
    assert_eq!(source.region.as_deref(), Some("BAY"));
    assert_eq!(
        (source.connect_timeout.as_secs(), source.silence),
        (5, None)
    );
    assert_eq!(source.keep_alive.as_secs(), 60);
}

#[test]
fn protocols_may_be_numbers() {
    for (text, expected) in [
        ("5", Protocol::V5),
        ("'5'", Protocol::V5),
        ("auto", Protocol::Auto),
    ] {
        let text = format!("{{mqttSources: [{{broker: 'mqtt://b', protocol: {text}}}]}}");
        assert_eq!(config(&text).sources[0].protocol, expected, "{text}");
    }
}

#[test]
fn a_token_is_meant_for_the_brokers_host_unless_it_says_otherwise() {
    let audience = |token: &str| {
        let text = format!("{{mqttSources: [{{broker: 'wss://b.example', token: {token}}}]}}");
        match config(&text).sources.remove(0).credentials {
            Credentials::Token(token) => token.audience,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(audience("{privateKeyFile: /k}"), "b.example");
    assert_eq!(audience("{privateKeyFile: /k, audience: other}"), "other");
}

#[test]
fn both_ways_to_skip_verification_agree() {
    for keys in [
        "rejectUnauthorized: false",
        "tls: {insecureSkipVerify: true}",
    ] {
        let text = format!("{{mqttSources: [{{broker: 'mqtts://b', {keys}}}]}}");
        assert!(config(&text).sources[0].tls.insecure_skip_verify, "{keys}");
    }
}

#[test]
fn zero_and_minus_one_keep_for_ever() {
    let retention = config(
        "{retention: {packetDays: 0, nodeDays: -1, observerDays: 14, metricsDays: 1},
          neighborEdgesMaxAgeDays: 0}",
    )
    .retention;
    assert_eq!((retention.packets, retention.nodes), (None, None));
    assert_eq!(
        (retention.observers, retention.metrics),
        (Some(DAY * 14), Some(DAY))
    );
    assert_eq!(retention.neighbor_edges, None);
}

#[test]
fn sizes_have_units() {
    for (size, bytes) in [
        ("8Gi", 8 << 30),
        ("\"500 MB\"", 500_000_000),
        ("1T", 1_000_000_000_000),
        ("20971520", 20 << 20),
        ("'20971520'", 20 << 20),
        ("20480KiB", 20 << 20),
    ] {
        let cap = config(&format!("{{store: {{maxSizeBytes: {size}}}}}"))
            .store
            .size_cap;
        assert_eq!(cap, SizeCap::Bytes(bytes), "{size}");
    }
    assert_eq!(
        config("{store: {sizeCapBytes: 0}}").store.size_cap,
        SizeCap::None
    );
    assert_eq!(config("{store: {ballastBytes: 0}}").store.ballast_bytes, 0);
}

#[test]
fn lists_are_normalised() {
    let config = config(
        "{hashChannels: [test, '#test', '#Bot'], hashRegions: [ch, '#zrh'],
          observerBlacklist: [ABcd, ' '], nodeBlacklist: ['AB12'], observerIATAWhitelist: [sjc],
          channelKeys: {Club: 8b3387e9c5cdea6ac9e5edbaa115cd72}, clientRxCoverage: {enabled: true}}",
    );
    assert_eq!(config.channels.hashtags, ["#test", "#Bot"]);
    assert_eq!(config.regions, ["#ch", "#zrh"]);
    assert!(config.observers.is_blocked("abCD") && !config.observers.is_blocked("other"));
    assert!(config.node_blacklist.contains("ab12") && config.client_rx_coverage);
    assert!(config.observers.iata_whitelist.contains("SJC"));
    assert_eq!(config.channels.keys["Club"].expose().len(), 16);
}

#[test]
fn the_area_is_a_polygon_or_a_box() {
    let polygon = "{geo_filter: {polygon: [[0, 0], [0, 1], [1.5, 1]], bufferKm: 20, latMin: 5}}";
    assert_eq!(
        config(polygon).geo_filter,
        Some(GeoFilter::Polygon {
            corners: vec![[0.0, 0.0], [0.0, 1.0], [1.5, 1.0]],
            buffer_km: 20.0
        })
    );
    let square = "{geo_filter: {latMin: 1, latMax: 2, lonMin: -3, lonMax: 4}}";
    let expected = GeoFilter::Box {
        latitude: [1.0, 2.0],
        longitude: [-3.0, 4.0],
    };
    assert_eq!(config(square).geo_filter, Some(expected));
    assert_eq!(
        config("{geo_filter: {}, foreignAdverts: {mode: drop}}").geo_filter,
        None
    );
}

#[test]
fn nulls_are_as_good_as_absent() {
    let text = "{dbPath: null, mqttSources: null, retention: null, channelKeys: null, store: null,
        hashChannels: null, geo_filter: null, logLevel: null, mqtt: {broker: null, topic: null}}";
    assert_eq!(config(text), config(""));
}

#[test]
fn log_levels_are_words_or_filters() {
    for (given, taken) in [
        ("DEBUG", "debug"),
        ("Warning", "warn"),
        ("info,sqlx=warn", "info,sqlx=warn"),
    ] {
        assert_eq!(config(&format!("{{logLevel: '{given}'}}")).log_level, taken);
    }
}

#[test]
fn the_start_log_shows_everything_but_secrets() {
    let text = "{mqttSources: [{name: a, broker: 'wss://b/x?token=hunter2', username: hunter2,
        password: hunter2, tls: {caFile: /ca}}],
        channelKeys: {Club: 8b3387e9c5cdea6ac9e5edbaa115cd72}}";
    let loaded = load(text).unwrap();
    let shown = serde_json::to_string_pretty(&loaded.config.redacted()).unwrap();
    let debug = format!("{loaded:#?}");
    for secret in ["8b3387e9", "139, 51", "0x8b"] {
        assert!(
            !shown.contains(secret) && !debug.contains(secret),
            "{secret}"
        );
    }
    assert!(
        !shown.contains("hunter2") && !debug.contains("hunter2"),
        "{shown}\n{debug}"
    );
    for part in [
        "wss://b:443/x",
        "/ca",
        "\"packets\": 7776000.0",
        "***",
        "Club",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}
