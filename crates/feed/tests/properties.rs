//! Whatever arrives, parsing returns, and what it returns is bounded.

use meshcore_feed::{Message, ParseOptions, parse};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const FIELDS: [&str; 24] = [
    "raw",
    "data",
    "origin",
    "origin_id",
    "region",
    "type",
    "direction",
    "SNR",
    "snr",
    "RSSI",
    "score",
    "duration",
    "hash",
    "timestamp",
    "status",
    "stats",
    "repeat",
    "neighbors",
    "self",
    "scopes",
    "text",
    "gps",
    "radios",
    "tx_radio_ids",
];

fn topic() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        Just("meshcore"),
        Just("SJC"),
        Just("client"),
        Just("message"),
        Just("channel"),
        Just("direct"),
        Just("packets"),
        Just("raw"),
        Just("status"),
        Just("neighbors"),
        Just("decoded"),
        Just("meshrank"),
        Just("uplink"),
        Just("repeater"),
        Just("internal"),
        Just("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"),
        Just(""),
    ];
    prop_oneof![
        proptest::collection::vec(level, 0..7).prop_map(|levels| levels.join("/")),
        any::<String>(),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9A-Fa-f ]{0,40}".prop_map(Value::from),
        "[-+0-9.eE]{0,12} ?(dBm|dB|%)?".prop_map(Value::from),
        Just(json!("2026-03-18T09:03:20.5+00:00")),
        any::<String>().prop_map(Value::from),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let name = proptest::sample::select(FIELDS.to_vec());
    let value = scalar().prop_recursive(3, 24, 4, move |inner| {
        let name = proptest::sample::select(FIELDS.to_vec());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..4).prop_map(to_object),
        ]
    });
    proptest::collection::vec((name, value), 0..10).prop_map(to_object)
}

fn to_object(fields: Vec<(&'static str, Value)>) -> Value {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn all_on() -> ParseOptions {
    ParseOptions::default().with_client_reception(true)
}

fn check(topic: &str, payload: &[u8]) -> Result<(), TestCaseError> {
    let message = parse(topic, payload, &all_on());
    prop_assert_eq!(
        &message,
        &parse(topic, payload, &all_on()),
        "the same again"
    );
    if let Message::Reception(reception) = &message {
        prop_assert!(!reception.raw.is_empty());
        prop_assert!(reception.raw.len() <= payload.len() / 2);
        prop_assert!(!reception.observer_id.is_empty());
        prop_assert!(reception.observer_id.chars().count() <= 128);
        prop_assert!(reception.snr.is_none_or(f64::is_finite));
        prop_assert!(reception.rssi.is_none_or(f64::is_finite));
        prop_assert!(
            reception
                .score
                .is_none_or(|score| (0..=1000).contains(&score))
        );
        let name = reception.observer_name.as_deref().unwrap_or("-");
        prop_assert!(!name.is_empty() && name.chars().count() <= 64);
        prop_assert!(!name.chars().any(char::is_control));
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes(topic in topic(), payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&topic, &payload)?;
    }

    #[test]
    fn arbitrary_objects(topic in topic(), payload in object()) {
        check(&topic, payload.to_string().as_bytes())?;
    }
}
