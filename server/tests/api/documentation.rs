//! `docs/api.md` shows answers as they are: the same fields, of the same types.

use serde_json::Value;

use crate::harness::{Served, ack, advert, now, record};

const DOCUMENT: &str = include_str!("../../../docs/api.md");

/// The example in the section of `route`.
fn example(route: &str) -> Value {
    let (_, section) = DOCUMENT
        .split_once(&format!("\n## `{route}`\n"))
        .unwrap_or_else(|| panic!("no section about {route}"));
    let (_, example) = section.split_once("```json\n").expect("an example");
    let (example, _) = example.split_once("\n```").expect("its end");
    serde_json::from_str(example).unwrap_or_else(|error| panic!("{route}: {error}"))
}

/// What is different between two values but for their contents: `null` is like anything, and lists are
/// alike when their first elements are.
fn difference(place: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Object(one), Value::Object(other)) => {
            let names = |object: &serde_json::Map<String, Value>| -> Vec<String> {
                object.keys().cloned().collect()
            };
            if names(one) != names(other) {
                return Some(format!("{place}: {:?} and {:?}", names(one), names(other)));
            }
            one.iter().find_map(|(name, value)| {
                difference(&format!("{place}.{name}"), value, &other[name])
            })
        }
        (Value::Array(one), Value::Array(other)) => {
            let (one, other) = (one.first()?, other.first()?);
            difference(&format!("{place}[0]"), one, other)
        }
        (one, other) => {
            let alike = std::mem::discriminant(one) == std::mem::discriminant(other);
            (!alike).then(|| format!("{place}: {one} and {other}"))
        }
    }
}

#[tokio::test]
async fn the_examples_have_the_fields_of_real_answers() {
    let served = Served::with(&[
        record(ack(7, "AA", "O1")),
        advert(8, "a1", "Loma Prieta", "repeater", now()),
    ])
    .await;
    let decoded = served.post("/api/decode", br#"{"hex": "0D01AA00000007"}"#);
    assert_eq!(example("POST /api/decode"), decoded.body);
    for (route, path) in [
        ("GET /api/stats", "/api/stats"),
        ("GET /api/packets", "/api/packets?limit=1"),
        ("GET /api/packets/{hash}", "/api/packets/d28ca14b6f62d453"),
        ("GET /api/nodes", "/api/nodes"),
        ("GET /api/observers", "/api/observers"),
    ] {
        assert_eq!(difference(route, &example(route), &served.get(path)), None);
    }
}

#[test]
fn other_fields_and_other_types_are_differences() {
    let json = |text| serde_json::from_str::<Value>(text).expect("JSON");
    for (one, other, same) in [
        ("{\"a\":1}", "{\"a\":2}", true),
        ("{\"a\":1}", "{\"a\":null}", true),
        ("{\"a\":1}", "{\"a\":\"1\"}", false),
        ("{\"a\":1}", "{\"a\":1,\"b\":1}", false),
        ("[{\"a\":1}]", "[{\"b\":1}]", false),
        ("[]", "[1]", true),
    ] {
        let difference = difference("", &json(one), &json(other));
        assert_eq!(difference.is_none(), same, "{one} {other} {difference:?}");
    }
}
