//! Packets and observations as clients see them.

use meshcore_store::ObservationRow;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::stored_json::{self, ArrayOrEmpty};

/// A page of the list.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    pub(super) packets: Vec<Packet<'a>>,
    /// Packets in the whole list.
    pub(super) total: i64,
    pub(super) limit: u32,
    /// Where the next page begins; `null` on the last one.
    #[serde(rename = "nextCursor")]
    pub(super) next_cursor: Option<String>,
}

/// A packet with what the observation that was stored first says of it.
#[derive(Debug, Serialize)]
pub(super) struct Packet<'a> {
    id: i64,
    raw_hex: &'a str,
    hash: &'a str,
    first_seen: Option<&'a str>,
    timestamp: Option<&'a str>,
    route_type: Option<i64>,
    payload_type: Option<i64>,
    decoded_json: Option<&'a str>,
    scope_name: Option<&'a str>,
    observation_count: i64,
    #[serde(flatten)]
    heard: Heard<'a>,
}

/// Who heard it, and how.
#[derive(Debug, Serialize)]
struct Heard<'a> {
    observer_id: Option<&'a str>,
    observer_name: Option<&'a str>,
    observer_iata: Option<&'a str>,
    direction: Option<&'a str>,
    snr: Option<f64>,
    rssi: Option<f64>,
    score: Option<i64>,
    path_json: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_path: Option<&'a RawValue>,
}

/// One of the observations of a packet.
#[derive(Debug, Serialize)]
struct Observation<'a> {
    id: i64,
    transmission_id: i64,
    hash: &'a str,
    raw_hex: &'a str,
    timestamp: Option<&'a str>,
    #[serde(flatten)]
    heard: Heard<'a>,
}

/// A packet and who heard it.
#[derive(Debug, Serialize)]
pub(super) struct PacketWithObservations<'a> {
    packet: Packet<'a>,
    /// The hops of the first observation.
    path: ArrayOrEmpty<'a>,
    observation_count: i64,
    observations: Vec<Observation<'a>>,
    /// Whether there are more observations than are shown.
    observations_truncated: bool,
}

impl<'a> Packet<'a> {
    pub(super) fn new(row: &'a ObservationRow) -> Self {
        Self {
            id: row.transmission_id,
            raw_hex: &row.raw_hex,
            hash: &row.hash,
            first_seen: row.first_seen.as_deref(),
            timestamp: row.timestamp.as_deref().or(row.first_seen.as_deref()),
            route_type: row.route_type,
            payload_type: row.payload_type,
            decoded_json: row.decoded_json.as_deref(),
            scope_name: row.scope_name.as_deref(),
            observation_count: row.observation_count,
            heard: Heard::new(row),
        }
    }
}

impl<'a> Heard<'a> {
    fn new(row: &'a ObservationRow) -> Self {
        Self {
            observer_id: row.observer_id.as_deref(),
            observer_name: row.observer_name.as_deref(),
            observer_iata: row.observer_iata.as_deref(),
            direction: row.direction.as_deref(),
            snr: row.snr,
            rssi: row.rssi,
            score: row.score,
            path_json: row.path_json.as_deref(),
            resolved_path: stored_json::array(row.resolved_path.as_deref()),
        }
    }
}

impl<'a> Observation<'a> {
    fn new(row: &'a ObservationRow) -> Self {
        Self {
            id: row.id,
            transmission_id: row.transmission_id,
            hash: &row.hash,
            raw_hex: &row.raw_hex,
            timestamp: row.timestamp.as_deref(),
            heard: Heard::new(row),
        }
    }
}

impl<'a> PacketWithObservations<'a> {
    /// From the observations of one packet; `None` when there is no such packet.
    pub(super) fn new(rows: &'a [ObservationRow], is_cut: bool) -> Option<Self> {
        let first = rows.first()?;
        Some(Self {
            packet: Packet::new(first),
            path: ArrayOrEmpty::new(first.path_json.as_deref()),
            observation_count: first.observation_count,
            observations: rows
                .iter()
                // A packet without observations has one row all the same.
                .filter(|row| row.id != 0)
                .map(Observation::new)
                .collect(),
            observations_truncated: is_cut,
        })
    }
}
