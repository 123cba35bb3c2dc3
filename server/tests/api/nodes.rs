//! `/api/nodes`.

use meshcore_store::{NodeAdvert, Record};
use serde_json::json;

use crate::harness::{Served, THEN, advert, advert_of, column};

/// Heard one after the other, the last one last.
fn nodes() -> Vec<Record> {
    [
        ("a1", "Alpha 100%", "repeater"),
        ("a2", "alpha_two", "repeater"),
        ("b3", "Grüße 🌳", "companion"),
        ("c4", "O'Brien \"x\" \\", "room"),
        ("d5", "%", "sensor"),
        ("e6", "x", "type-7"),
    ]
    .into_iter()
    .zip(0..)
    .map(|((key, name, role), n)| advert(n, key, name, role, THEN + i64::from(n)))
    .collect()
}

#[tokio::test]
async fn a_node_has_all_that_is_known_of_it() {
    let node = NodeAdvert {
        public_key: "ab".repeat(32),
        name: Some("Öl-Tank".to_owned()),
        role: "repeater".to_owned(),
        position: Some((52.5, 13.4)),
        is_foreign: true,
        timestamp: THEN,
    };
    let again = NodeAdvert {
        timestamp: THEN + 60,
        ..node.clone()
    };
    let served = Served::with(&[advert_of(1, node, THEN), advert_of(2, again, THEN + 60)]).await;
    let expected = json!({
        "nodes": [{
            "public_key": "ab".repeat(32),
            "name": "Öl-Tank",
            "role": "repeater",
            "lat": 52.5,
            "lon": 13.4,
            "first_seen": "2026-09-21T14:13:20Z",
            "last_seen": "2026-09-21T14:14:20Z",
            "last_heard": "2026-09-21T14:14:20Z",
            "advert_count": 2,
            "battery_mv": null,
            "temperature_c": null,
            "foreign": true,
            "default_scope": null,
        }],
        "total": 1,
        "counts": { "repeaters": 1, "rooms": 0, "companions": 0, "sensors": 0 },
    });
    assert_eq!(served.get("/api/nodes"), expected);
}

#[tokio::test]
async fn nodes_come_in_pages_those_heard_last_first() {
    let served = Served::with(&nodes()).await;
    let page = |offset| {
        let answer = served.get(&format!("/api/nodes?limit=4&offset={offset}"));
        assert_eq!(answer["total"], 6);
        column(&answer, "nodes", "role")
    };
    assert_eq!(page(0), ["type-7", "sensor", "room", "companion"]);
    assert_eq!(page(4), ["repeater", "repeater"]);
    assert_eq!(page(6), [""; 0]);
    assert_eq!(page(1_000_000), [""; 0]);
}

#[tokio::test]
async fn the_total_counts_what_the_filters_let_through() {
    let served = Served::with(&nodes()).await;
    let answer = served.get("/api/nodes?role=repeater&limit=1");
    assert_eq!(column(&answer, "nodes", "name"), ["alpha_two"]);
    assert_eq!(answer["total"], 2);
    let all = json!({ "repeaters": 2, "rooms": 1, "companions": 1, "sensors": 1 });
    assert_eq!(answer["counts"], all);
    let answer = served.get("/api/nodes?role=repeater&search=100");
    assert_eq!((&answer["total"], &answer["counts"]), (&json!(1), &all));
}

#[tokio::test]
async fn a_search_finds_what_it_says_and_nothing_else() {
    let served = Served::with(&nodes()).await;
    for (search, names) in [
        ("ALPHA", &["alpha_two", "Alpha 100%"][..]),
        // No letter has a meaning of its own.
        ("%25", &["%", "Alpha 100%"]),
        ("_", &["alpha_two"]),
        ("a%25a", &[]),
        ("'", &["O'Brien \"x\" \\"]),
        ("%5C", &["O'Brien \"x\" \\"]),
        ("%27%20OR%201=1%20--", &[]),
        ("%27)%20UNION%20SELECT%20*%20FROM%20nodes;--", &[]),
        ("Gr%C3%BC%C3%9Fe+%F0%9F%8C%B3", &["Grüße 🌳"]),
        ("%00", &[]),
        // A public key is found by its beginning.
        ("A1", &["Alpha 100%"]),
        ("a2000", &["alpha_two"]),
        ("000", &[]),
        ("nobody", &[]),
        (
            "",
            &[
                "x",
                "%",
                "O'Brien \"x\" \\",
                "Grüße 🌳",
                "alpha_two",
                "Alpha 100%",
            ],
        ),
    ] {
        let answer = served.get(&format!("/api/nodes?search={search}"));
        assert_eq!(column(&answer, "nodes", "name"), names, "{search}");
        assert_eq!(answer["total"], names.len(), "{search}");
    }
}
