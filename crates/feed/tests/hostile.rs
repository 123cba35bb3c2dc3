//! Payloads that nobody should send, but somebody will.

mod support;

use meshcore_feed::{
    Ignored, MAX_NAME_CHARS, MAX_PAYLOAD_BYTES, Message, ParseOptions, Reception, parse,
};
use serde_json::{Value, json};

const TOPIC: &str = "meshcore/SJC/AB/packets";

fn read(payload: impl AsRef<[u8]>) -> Message {
    parse(TOPIC, payload.as_ref(), &ParseOptions::default())
}

fn ignored(payload: impl AsRef<[u8]>) -> Ignored {
    match read(payload) {
        Message::Ignored(ignored) => ignored,
        other => panic!("not ignored: {other:?}"),
    }
}

fn reception(value: &Value) -> Reception {
    match read(value.to_string()) {
        Message::Reception(reception) => reception,
        other => panic!("no reception: {other:?}"),
    }
}

#[test]
fn what_is_no_json_object_is_told_apart() {
    assert_eq!(ignored(""), Ignored::Empty);
    assert_eq!(ignored(b"\xff\xfe"), Ignored::InvalidUtf8);
    assert_eq!(ignored(b"{\"raw\":\"\xc3\x28\"}"), Ignored::InvalidUtf8);
    assert_eq!(ignored("online"), Ignored::NotJson);
    assert_eq!(ignored("{\"raw\":\"1500\""), Ignored::NotJson);
    assert_eq!(ignored("{\"raw\":\"1500\"} trailing"), Ignored::NotJson);
    assert_eq!(ignored("{\"SNR\":NaN,\"raw\":\"1500\"}"), Ignored::NotJson);
    for value in ["[]", "null", "42", "\"text\"", "[{\"raw\":\"1500\"}]"] {
        assert_eq!(ignored(value), Ignored::NotAnObject, "{value}");
    }
}

#[test]
fn frames_must_be_hexadecimal() {
    let cases = [
        (json!({}), Ignored::NoRaw),
        (json!({"raw": null}), Ignored::NoRaw),
        (json!({"raw": ""}), Ignored::NoRaw),
        (json!({"raw": " \n"}), Ignored::NoRaw),
        (json!({"raw": "150"}), Ignored::BadRawHex),
        (json!({"raw": "15xx"}), Ignored::BadRawHex),
        (json!({"raw": "0x1500"}), Ignored::BadRawHex),
        (json!({"raw": 1500}), Ignored::BadRawHex),
        (json!({"raw": ["15", "00"]}), Ignored::BadRawHex),
    ];
    for (value, expected) in cases {
        assert_eq!(ignored(value.to_string()), expected, "{value}");
    }
    let second = reception(&json!({"raw": "xyz", "data": "1500"}));
    assert_eq!(
        second.raw,
        [0x15, 0x00],
        "a good second field makes up for a bad first one"
    );
}

#[test]
fn the_largest_payload_is_read_and_one_byte_more_is_not() {
    let frame = "00".repeat((MAX_PAYLOAD_BYTES - 10) / 2);
    let fits = format!("{{\"raw\":\"{frame}\"}}");
    assert_eq!(fits.len(), MAX_PAYLOAD_BYTES);
    assert!(matches!(read(&fits), Message::Reception(_)));
    assert_eq!(ignored(format!("{fits} ")), Ignored::TooLarge);
    assert_eq!(
        ignored(vec![0xFF; MAX_PAYLOAD_BYTES + 1]),
        Ignored::TooLarge
    );
}

#[test]
fn every_field_survives_every_wrong_type() {
    let fields = [
        "origin",
        "origin_id",
        "region",
        "timestamp",
        "type",
        "direction",
        "time",
        "date",
        "len",
        "packet_type",
        "route",
        "payload_len",
        "SNR",
        "snr",
        "RSSI",
        "rssi",
        "score",
        "Score",
        "duration",
        "hash",
        "path",
        "rx_radio_id",
        "tx_radio_ids",
        "radio",
        "status",
        "stats",
        "repeat",
        "radios",
        "location",
        "model",
        "battery_mv",
        "self",
        "neighbors",
        "truncated",
        "text",
        "message",
        "channel_idx",
        "sender",
        "gps",
    ];
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(18_446_744_073_709_551_615_u64),
        json!(""),
        json!("\u{0}\u{1b}[2J"),
        json!("NaN"),
        json!([]),
        json!([null, {}, [[]], "x", 1e300]),
        json!({}),
        json!({"scopes": 7, "lat": "north", "lon": [], "battery_mv": {}, "id": null}),
    ];
    let topics = [
        TOPIC,
        "meshcore/SJC/AB/status",
        "meshcore/SJC/AB/neighbors",
        "meshcore/SJC/AB/raw",
        "meshcore/SJC/AB/decoded",
        "meshcore/message/channel/x",
        "meshcore/client/ab/packets",
    ];
    let options = ParseOptions::default().with_client_reception(true);
    for topic in topics {
        for field in fields {
            for value in &wrong {
                let mut payload = json!({"raw": "1500AABB", "direction": "rx", "text": "a"});
                payload[field] = value.clone();
                let message = parse(topic, payload.to_string().as_bytes(), &options);
                let text = support::summary(&message).to_string();
                assert!(!text.contains("\\u001b"), "{topic} {field} {value}: {text}");
                if topic == TOPIC {
                    assert!(matches!(message, Message::Reception(_)), "{field} {value}");
                }
            }
        }
    }
}

#[test]
fn numbers_out_of_this_world_are_dropped() {
    let found = reception(&json!({
        "raw": "1500", "SNR": 1e9, "RSSI": -5000, "score": -1, "duration": 1e12,
        "hash": "not hexadecimal", "timestamp": "0000-00-00T00:00:00Z",
    }));
    assert_eq!((found.snr, found.rssi, found.score), (None, None, None));
    assert_eq!(
        (found.duration_ms, found.feeder_hash, found.feeder_time),
        (None, None, None)
    );
    assert!(!found.snr_is_integer);
}

#[test]
fn names_are_cut_and_cleaned() {
    let origin = format!("\u{1b}[31m{}\r\n", "ü".repeat(100));
    let name = reception(&json!({"raw": "1500", "origin": origin}))
        .observer_name
        .unwrap();
    assert_eq!(name.chars().count(), MAX_NAME_CHARS);
    assert!(!name.chars().any(char::is_control));
    assert_eq!(
        reception(&json!({"raw": "1500", "origin": ""})).observer_name,
        None
    );
}

#[test]
fn json_bombs_fizzle() {
    let deep = format!(
        "{{\"raw\":\"1500\",\"a\":{}{}}}",
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    assert_eq!(ignored(deep), Ignored::NotJson);
    let unclosed = "{\"a\":".repeat(13_000);
    assert_eq!(ignored(unclosed), Ignored::NotJson);
    let digits = format!("{{\"raw\":\"1500\",\"SNR\":\"{}\"}}", "9".repeat(60_000));
    assert!(matches!(
        read(digits),
        Message::Reception(Reception { snr: None, .. })
    ));
    let bare = format!("{{\"raw\":\"1500\",\"SNR\":{}}}", "9".repeat(60_000));
    assert_eq!(ignored(bare), Ignored::NotJson);
    let time = format!(
        "{{\"raw\":\"1500\",\"timestamp\":\"2026-{}\"}}",
        "1".repeat(60_000)
    );
    assert!(matches!(
        read(time),
        Message::Reception(Reception {
            feeder_time: None,
            ..
        })
    ));
    let wide = format!("{{\"raw\":\"1500\",\"path\":[{}0]}}", "0,".repeat(30_000));
    assert!(matches!(read(wide), Message::Reception(_)));
}

#[test]
fn of_duplicate_keys_the_last_counts() {
    let Message::Reception(found) = read(r#"{"raw":"1500","raw":"1600AA","SNR":1,"SNR":2}"#) else {
        panic!("a reception");
    };
    assert_eq!((found.raw_hex().as_str(), found.snr), ("1600AA", Some(2.0)));
}

#[test]
fn lists_are_bounded() {
    let many: Vec<_> = (0..5000)
        .map(|n| json!({"pubkey": format!("{n:06x}")}))
        .collect();
    let payload = json!({"neighbors": many, "self": {"scopes": "#a,".repeat(1000)}}).to_string();
    let payload = &payload.as_bytes()[..payload.len().min(MAX_PAYLOAD_BYTES)];
    assert!(matches!(
        parse(
            "meshcore/SJC/AB/neighbors",
            payload,
            &ParseOptions::default()
        ),
        Message::Ignored(Ignored::TooLarge | Ignored::NotJson)
    ));
    let some: Vec<_> = (0..2000)
        .map(|n| json!({"pubkey": format!("{n:06x}")}))
        .collect();
    let payload = json!({"neighbors": some, "self": {"scopes": "#a,".repeat(1000)}}).to_string();
    let options = ParseOptions::default();
    let Message::Neighbors(table) =
        parse("meshcore/SJC/AB/neighbors", payload.as_bytes(), &options)
    else {
        panic!("a table");
    };
    assert_eq!((table.neighbors.len(), table.scopes.len()), (1024, 64));
}

#[test]
fn topics_of_any_shape_are_survived() {
    for topic in ["", "/", "//", "///packets", "\u{0}/\u{0}/\u{0}/packets"] {
        for payload in ["{}", "{\"raw\":\"1500\"}", "{\"status\":\"online\"}"] {
            let message = parse(topic, payload.as_bytes(), &ParseOptions::default());
            assert!(
                matches!(message, Message::Ignored(_)),
                "{topic} {payload} {message:?}"
            );
        }
    }
    let endless = parse(
        &"a/".repeat(40_000),
        b"{\"raw\":\"1500\"}",
        &ParseOptions::default(),
    );
    assert!(
        matches!(endless, Message::Reception(_)),
        "any topic with a frame is a reception"
    );
}

#[test]
fn internal_topics_are_refused_before_their_payload_is_read() {
    for payload in ["", "not json", "{\"email\":\"a@example.org\"}"] {
        let message = parse(
            "meshcore/SJC/AB/internal",
            payload.as_bytes(),
            &ParseOptions::default(),
        );
        assert_eq!(message, Message::Ignored(Ignored::Internal));
    }
}
