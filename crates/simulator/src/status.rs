//! Statuses of observers (research 3.3, shape B).

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::feed::{timestamp, to_bytes};
use crate::node::{Node, Role};
use crate::observer::{Dialect, Observer};
use crate::radio::{NOISE_FLOOR_DBM, RADIO};
use crate::rng::Rng;

/// How often feeders tell how they are, in microseconds.
pub(crate) const STATUS_INTERVAL_US: u64 = 300_000_000;

#[derive(Serialize)]
struct StatusJson<'a> {
    status: &'static str,
    timestamp: String,
    origin: &'a str,
    origin_id: &'a str,
    model: &'static str,
    firmware_version: &'static str,
    radio: &'static str,
    client_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    stats: StatsJson,
}

#[derive(Serialize)]
struct StatsJson {
    battery_mv: u64,
    uptime_secs: u64,
    debug_flags: u64,
    queue_len: u64,
    noise_floor: i64,
    tx_air_secs: u64,
    rx_air_secs: u64,
    recv_errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_received: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_heap: Option<u64>,
}

/// The message body of an online status. `elapsed_us` counts from the start of the simulation,
/// `received` what the observer heard since.
pub(crate) fn status_json(
    rng: &mut Rng,
    observer: &Observer,
    node: &Node,
    at: Timestamp,
    elapsed_us: u64,
    received: u64,
) -> Vec<u8> {
    let uptime_secs = observer.uptime_secs + elapsed_us / 1_000_000;
    let is_esp32 = observer.dialect == Dialect::Esp32;
    let is_home_assistant = observer.dialect == Dialect::HomeAssistant;
    let origin_id = node.public_key.to_string().to_uppercase();
    to_bytes(&StatusJson {
        status: "online",
        timestamp: timestamp(at.to_zoned(TimeZone::UTC).datetime(), observer.dialect),
        origin: &node.name,
        origin_id: &origin_id,
        model: observer.model,
        firmware_version: "v1.17.1-a1b2c3d (Build: 14 Aug 2026)",
        radio: RADIO,
        client_version: observer.dialect.client_version(),
        repeat: is_esp32.then_some(node.role == Role::Repeater),
        source: is_home_assistant.then_some("meshcore-ha"),
        stats: StatsJson {
            battery_mv: 3_700 + rng.below(480),
            uptime_secs,
            debug_flags: 0,
            queue_len: rng.below(3),
            noise_floor: noise_floor(rng),
            tx_air_secs: uptime_secs / 90,
            rx_air_secs: uptime_secs / 14,
            recv_errors: uptime_secs / 1_800,
            packets_sent: is_esp32.then_some(uptime_secs / 60),
            packets_received: is_esp32.then_some(uptime_secs / 9 + received),
            internal_heap: is_esp32.then(|| 140_000 + rng.below(20_000)),
        },
    })
}

/// A measured noise floor in dBm.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is within -124 and -100 dBm"
)]
fn noise_floor(rng: &mut Rng) -> i64 {
    (NOISE_FLOOR_DBM + rng.bell() * 2.0).round() as i64
}
