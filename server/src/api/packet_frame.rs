//! The `data` object of the WebSocket's `packet` frame: one for each observation. Made once for each row,
//! whoever listens, so stored JSON goes in as it is and no tree of values is built.

use meshcore_packet::{Frame, PayloadType, corescope};
use meshcore_store::ObservationRow;
use serde::Serialize;
use serde_json::value::RawValue;

use super::stored_json::{self, ObjectOrEmpty};

/// What a client is told of one observation.
#[derive(Debug, Serialize)]
pub struct PacketData<'a> {
    #[serde(flatten)]
    fields: Fields<'a>,
    decoded: Decoded<'a>,
    /// The flat fields again: some clients look for them here.
    packet: Fields<'a>,
}

/// The flat fields. `id` is the transmission's, as everywhere in CoreScope's interface.
#[derive(Debug, Clone, Copy, Serialize)]
struct Fields<'a> {
    id: i64,
    observation_id: i64,
    raw_hex: &'a str,
    hash: &'a str,
    first_seen: Option<&'a str>,
    timestamp: Option<&'a str>,
    route_type: Option<i64>,
    payload_type: Option<i64>,
    decoded_json: Option<&'a str>,
    observer_id: Option<&'a str>,
    observer_name: Option<&'a str>,
    snr: Option<f64>,
    rssi: Option<f64>,
    path_json: Option<&'a str>,
    direction: Option<&'a str>,
    observation_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_path: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct Decoded<'a> {
    header: Header,
    payload: ObjectOrEmpty<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<TracePath<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    payload_type_name: &'static str,
}

/// The way of a TRACE.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TracePath<'a> {
    /// The nodes to visit.
    hops: Option<&'a RawValue>,
    /// How many of them were passed when this was heard; `None` when the frame can't be read.
    hops_completed: Option<usize>,
}

/// The `data` object of the `packet` frame for `row`. Whatever the row holds, it can be serialised.
pub fn packet_data(row: &ObservationRow) -> PacketData<'_> {
    let payload_type = row.payload_type.and_then(payload_type);
    let fields = Fields {
        id: row.transmission_id,
        observation_id: row.id,
        raw_hex: &row.raw_hex,
        hash: &row.hash,
        first_seen: row.first_seen.as_deref(),
        timestamp: row.timestamp.as_deref(),
        route_type: row.route_type,
        payload_type: row.payload_type,
        decoded_json: row.decoded_json.as_deref(),
        observer_id: row.observer_id.as_deref(),
        observer_name: row.observer_name.as_deref(),
        snr: row.snr,
        rssi: row.rssi,
        path_json: row.path_json.as_deref(),
        direction: row.direction.as_deref(),
        observation_count: row.observation_count,
        resolved_path: stored_json::array(row.resolved_path.as_deref()),
    };
    let decoded = Decoded {
        header: Header {
            payload_type_name: payload_type.map_or("UNKNOWN", corescope::type_name),
        },
        payload: ObjectOrEmpty::new(row.decoded_json.as_deref()),
        path: (payload_type == Some(PayloadType::Trace)).then(|| TracePath {
            hops: stored_json::array(row.path_json.as_deref()),
            hops_completed: hops_completed(&row.raw_hex),
        }),
    };
    PacketData {
        fields,
        decoded,
        packet: fields,
    }
}

fn payload_type(code: i64) -> Option<PayloadType> {
    u8::try_from(code).ok().and_then(PayloadType::from_code)
}

fn hops_completed(raw_hex: &str) -> Option<usize> {
    let raw = hex::decode(raw_hex).ok()?;
    Some(Frame::decode(&raw).ok()?.path.count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row() -> ObservationRow {
        ObservationRow {
            id: 7,
            transmission_id: 3,
            raw_hex: "1501AA12".to_owned(),
            hash: "0011223344556677".to_owned(),
            first_seen: Some("2026-11-21T04:06:00Z".to_owned()),
            timestamp: Some("2026-11-21T04:06:01Z".to_owned()),
            route_type: Some(1),
            payload_type: Some(5),
            decoded_json: Some(r#"{"type":"CHAN","text":"Grüße \"x\""}"#.to_owned()),
            scope_name: None,
            observation_count: 2,
            observer_id: Some("AB".to_owned()),
            observer_name: Some("Öl".to_owned()),
            observer_iata: Some("BER".to_owned()),
            direction: Some("rx".to_owned()),
            snr: Some(-3.25),
            rssi: Some(-110.0),
            score: Some(300),
            path_json: Some(r#"["AA"]"#.to_owned()),
            resolved_path: Some(r#"["abcd",null]"#.to_owned()),
            arrived_at_ms: None,
        }
    }

    /// Page and phone clients read these names.
    #[test]
    fn a_frame_has_the_fields_flat_and_again_in_packet() {
        let flat = json!({
            "id": 3, "observation_id": 7, "raw_hex": "1501AA12", "hash": "0011223344556677",
            "first_seen": "2026-11-21T04:06:00Z", "timestamp": "2026-11-21T04:06:01Z",
            "route_type": 1, "payload_type": 5,
            "decoded_json": "{\"type\":\"CHAN\",\"text\":\"Grüße \\\"x\\\"\"}",
            "observer_id": "AB", "observer_name": "Öl", "snr": -3.25, "rssi": -110.0,
            "path_json": "[\"AA\"]", "direction": "rx", "observation_count": 2,
            "resolved_path": ["abcd", null],
        });
        let mut expected = flat.clone();
        expected["packet"] = flat;
        expected["decoded"] = json!({
            "header": { "payloadTypeName": "GRP_TXT" },
            "payload": { "type": "CHAN", "text": "Grüße \"x\"" },
        });
        assert_eq!(serde_json::to_value(packet_data(&row())).unwrap(), expected);
    }

    #[test]
    fn a_trace_tells_how_far_it_has_come() {
        let trace = ObservationRow {
            payload_type: Some(9),
            raw_hex: "260228301122334455667700AABBCC".to_owned(),
            path_json: Some(r#"["AA","BB","CC"]"#.to_owned()),
            ..row()
        };
        let path = |row: &ObservationRow| {
            serde_json::to_value(packet_data(row)).unwrap()["decoded"]["path"].clone()
        };
        assert_eq!(
            path(&trace),
            json!({ "hops": ["AA", "BB", "CC"], "hopsCompleted": 2 })
        );
        let unreadable = ObservationRow {
            raw_hex: "26".to_owned(),
            path_json: Some("nonsense".to_owned()),
            ..trace
        };
        assert_eq!(
            path(&unreadable),
            json!({ "hops": null, "hopsCompleted": null })
        );
    }

    #[test]
    fn a_row_that_knows_nothing_is_a_frame_too() {
        let nothing = serde_json::to_value(packet_data(&ObservationRow::default())).unwrap();
        assert_eq!(
            nothing["decoded"],
            json!({ "header": { "payloadTypeName": "UNKNOWN" }, "payload": {} })
        );
        assert_eq!(nothing["packet"]["decoded_json"], json!(null));
        for decoded_json in ["", "{\"type\":", "[1]", "7", "{} {}", "\u{fffd}"] {
            let row = ObservationRow {
                decoded_json: Some(decoded_json.to_owned()),
                payload_type: Some(99),
                resolved_path: Some(decoded_json.to_owned()),
                snr: Some(f64::INFINITY),
                ..row()
            };
            let frame = serde_json::to_value(packet_data(&row)).unwrap();
            assert_eq!(frame["decoded"]["payload"], json!({}), "{decoded_json}");
            assert_eq!(frame["decoded_json"], json!(decoded_json));
            assert_eq!(frame["snr"], json!(null));
        }
    }
}
