//! Receptions as the JSON of the feeders (section 12 of the protocol document).

use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use meshcore_packet::airtime::reception_score;
use meshcore_packet::{PayloadType, Route};
use serde::Serialize;

use crate::node::Node;
use crate::observer::{Dialect, Observer};
use crate::propagation::{Heard, Sent};
use crate::radio::{SF, reported_rssi, reported_snr};

/// A reception, with fields in the order in which feeders write them. All values are strings.
#[derive(Serialize)]
struct PacketJson<'a> {
    origin: &'a str,
    origin_id: &'a str,
    timestamp: String,
    #[serde(rename = "type")]
    kind: &'static str,
    direction: &'static str,
    time: String,
    date: String,
    len: String,
    packet_type: String,
    route: &'static str,
    payload_len: String,
    raw: String,
    #[serde(rename = "SNR")]
    snr: String,
    #[serde(rename = "RSSI")]
    rssi: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rx_radio_id: Option<&'static str>,
}

/// What feeders call a path.
#[derive(Serialize)]
#[serde(untagged)]
enum PathJson {
    Text(String),
    Hops(Vec<String>),
}

/// A reception by meshcore-ha: lower-case keys, and numbers that are numbers.
#[derive(Serialize)]
struct HomeAssistantJson<'a> {
    origin: &'a str,
    origin_id: &'a str,
    timestamp: String,
    #[serde(rename = "type")]
    kind: &'static str,
    direction: &'static str,
    source: &'static str,
    len: usize,
    packet_type: u8,
    payload_len: usize,
    raw: String,
    snr: f64,
    rssi: i32,
    hash: String,
}

/// The message body of a reception. `at` is the time of reception by the feeder's clock.
pub(crate) fn packet_json(
    heard: &Heard,
    observer: &Observer,
    node: &Node,
    at: Timestamp,
) -> Vec<u8> {
    let sent = heard.sent.as_ref();
    let snr_db = f64::from(reported_snr(heard.link_db)) / 4.0;
    let origin_id = node.public_key.to_string().to_uppercase();
    let hash = sent.packet_hash.to_string().to_uppercase();
    let raw = hex::encode_upper(&sent.raw);
    let utc = at.to_zoned(TimeZone::UTC).datetime();
    if observer.dialect == Dialect::HomeAssistant {
        return to_bytes(&HomeAssistantJson {
            origin: &node.name,
            origin_id: &origin_id,
            timestamp: timestamp(utc, observer.dialect),
            kind: "PACKET",
            direction: "rx",
            source: "meshcore-ha",
            len: sent.raw.len(),
            packet_type: sent.payload_type.code(),
            payload_len: sent.payload_len,
            raw,
            snr: snr_db,
            rssi: reported_rssi(heard.link_db),
            hash,
        });
    }
    let score = reception_score(snr_db, SF, sent.raw.len()) * 1_000.0;
    let (score, duration) = match observer.dialect {
        Dialect::PacketCapture | Dialect::HomeAssistant => (None, None),
        Dialect::Openhop => (None, Some((sent.airtime_us / 1_000).to_string())),
        Dialect::MeshcoreToMqtt | Dialect::MeshcoreToMqttNaive | Dialect::Esp32 => (
            Some(format!("{:.0}", score.trunc())),
            Some((sent.airtime_us / 1_000).to_string()),
        ),
    };
    let pads_date = observer.dialect == Dialect::PacketCapture;
    to_bytes(&PacketJson {
        origin: &node.name,
        origin_id: &origin_id,
        timestamp: timestamp(utc, observer.dialect),
        kind: "PACKET",
        direction: "rx",
        time: format!("{:02}:{:02}:{:02}", utc.hour(), utc.minute(), utc.second()),
        date: if pads_date {
            format!("{:02}/{:02}/{}", utc.day(), utc.month(), utc.year())
        } else {
            format!("{}/{}/{}", utc.day(), utc.month(), utc.year())
        },
        len: sent.raw.len().to_string(),
        packet_type: sent.payload_type.code().to_string(),
        route: route(sent.route, observer.dialect),
        payload_len: sent.payload_len.to_string(),
        raw,
        snr: match observer.dialect {
            // This firmware casts to an integer before it prints.
            Dialect::MeshcoreToMqtt | Dialect::MeshcoreToMqttNaive => {
                format!("{:.0}", snr_db.trunc() + 0.0)
            }
            _ => format!("{snr_db:?}"),
        },
        rssi: reported_rssi(heard.link_db).to_string(),
        score,
        duration,
        hash,
        path: path(sent, observer.dialect),
        rx_radio_id: (observer.dialect == Dialect::Openhop).then_some("radio0"),
    })
}

/// Serializes what cannot fail to serialize.
pub(crate) fn to_bytes(json: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(json).unwrap_or_default()
}

/// ISO 8601 with microseconds; whether there is a zone depends on the feeder.
pub(crate) fn timestamp(utc: DateTime, dialect: Dialect) -> String {
    let zone = match dialect {
        Dialect::MeshcoreToMqtt | Dialect::Openhop => "+00:00",
        Dialect::Esp32 => "Z",
        Dialect::MeshcoreToMqttNaive | Dialect::PacketCapture | Dialect::HomeAssistant => "",
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}{zone}",
        utc.year(),
        utc.month(),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second(),
        utc.subsec_nanosecond() / 1_000,
    )
}

fn route(route: Route, dialect: Dialect) -> &'static str {
    match route {
        Route::TransportFlood if dialect == Dialect::Esp32 => "T",
        Route::TransportDirect if dialect == Dialect::Esp32 => "U",
        Route::Flood | Route::TransportFlood => "F",
        Route::Direct | Route::TransportDirect => "D",
    }
}

/// What the feeder publishes as path, which differs more than any other field.
fn path(sent: &Sent, dialect: Dialect) -> Option<PathJson> {
    let hops = || -> Vec<String> {
        let entries = sent.path.chunks(sent.hash_size.max(1));
        entries.map(hex::encode).collect()
    };
    let is_direct = sent.route.is_direct();
    match dialect {
        Dialect::MeshcoreToMqtt | Dialect::MeshcoreToMqttNaive => {
            let names_both = matches!(
                sent.payload_type,
                PayloadType::Request
                    | PayloadType::Response
                    | PayloadType::Text
                    | PayloadType::Path
            );
            let start = sent.raw.len() - sent.payload_len;
            let payload = sent.raw.get(start..)?;
            let [dest, src, ..] = *payload else {
                return None;
            };
            let text = || PathJson::Text(format!("{src:02X} -> {dest:02X}"));
            (is_direct && names_both).then(text)
        }
        Dialect::Esp32 => Some(PathJson::Hops(hops())),
        Dialect::PacketCapture | Dialect::Openhop => {
            (is_direct && !sent.path.is_empty()).then(|| PathJson::Text(hops().join(",")))
        }
        Dialect::HomeAssistant => None,
    }
}
