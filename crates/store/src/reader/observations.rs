//! Observations in the order in which they were stored: what the server's tail reads.

use sqlx::sqlite::SqliteRow;

use super::Reader;
use super::columns::Columns;
use crate::error::Result;
use crate::observed_frame;
use crate::time;

/// An observation with its transmission and its observer. What the file does not know is `None`; in adopted
/// files that can be nearly everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObservationRow {
    /// The observation's id: grows with every observation that is stored.
    pub id: i64,
    /// The transmission's id.
    pub transmission_id: i64,
    /// The frame as this observer heard it, upper-case hex; empty for what never was a frame.
    pub raw_hex: String,
    /// The packet hash.
    pub hash: String,
    /// When the packet was first heard, RFC 3339.
    pub first_seen: Option<String>,
    /// When this observer heard it, RFC 3339.
    pub timestamp: Option<String>,
    /// 0 to 3.
    pub route_type: Option<i64>,
    /// 0 to 15.
    pub payload_type: Option<i64>,
    /// The decoded payload; JSON as far as its writer was right.
    pub decoded_json: Option<String>,
    /// `#region`, `""` for an unknown region, `None` when the packet is not scoped.
    pub scope_name: Option<String>,
    /// Observations of the transmission so far.
    pub observation_count: i64,
    /// The observer's id.
    pub observer_id: Option<String>,
    /// The observer's name.
    pub observer_name: Option<String>,
    /// The observer's region code.
    pub observer_iata: Option<String>,
    /// `rx` or `tx`.
    pub direction: Option<String>,
    /// Signal to noise, dB.
    pub snr: Option<f64>,
    /// Signal strength, dBm.
    pub rssi: Option<f64>,
    /// The firmware's reception score, 0 to 1000.
    pub score: Option<i64>,
    /// The path, a JSON array of hex hops.
    pub path_json: Option<String>,
    /// The nodes of the path, a JSON array of public keys and nulls.
    pub resolved_path: Option<String>,
    /// When the ingestor received it, unix milliseconds.
    pub arrived_at_ms: Option<i64>,
}

/// The columns of [`ObservationRow`], in the order in which [`ObservationRow::from_row`] reads them, from
/// tables named `o` (observations), `t` (transmissions) and `b` (observers).
macro_rules! observation_columns {
    () => {
        "o.id, t.id, o.raw_hex, t.raw_hex, t.hash, t.first_seen, o.timestamp, t.route_type, \
         t.payload_type, t.decoded_json, t.scope_name, t.observation_count, b.id, b.name, b.iata, \
         o.direction, o.snr, o.rssi, o.score, o.path_json, o.resolved_path, \
         o.arrived_at"
    };
}
pub(super) use observation_columns;

/// By the id of the observation, whatever the statistics of an adopted file make SQLite believe: CROSS JOIN
/// keeps it from beginning with the transmissions, NOT INDEXED from taking another way than the ids.
pub(super) const AFTER: &str = concat!(
    "SELECT ",
    observation_columns!(),
    " FROM observations o NOT INDEXED CROSS JOIN transmissions t ON t.id = o.transmission_id \
     LEFT JOIN observers b ON b.rowid = o.observer_idx WHERE o.id > ? ORDER BY o.id LIMIT ?"
);

impl Reader {
    /// The last id that was given to an observation, even if that one was deleted since: every later one gets
    /// a larger id. 0 when none was given.
    pub async fn last_observation_id(&mut self) -> Result<i64> {
        let query = sqlx::query(
            "SELECT max(0, coalesce((SELECT max(id) FROM observations), 0), \
                    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'observations'), 0))",
        );
        let row = self.ask_one("look for the last observation", query).await?;
        Ok(Columns(&row).count(0))
    }

    /// The observations stored after the one with `id`, oldest first, at most `limit`. Ids grow in the order
    /// of the commits, so nothing is passed over by going on from the last one of the answer.
    pub async fn observations_after(&mut self, id: i64, limit: u32) -> Result<Vec<ObservationRow>> {
        let query = sqlx::query(AFTER).bind(id).bind(limit);
        let rows = self.ask("read new observations", query).await?;
        Ok(rows.iter().map(ObservationRow::from_row).collect())
    }
}

impl ObservationRow {
    pub(super) fn from_row(row: &SqliteRow) -> Self {
        let columns = Columns(row);
        let first_frame = columns.text(3).unwrap_or_default();
        let path_json = columns.text(19);
        let raw_hex = columns.text(2).unwrap_or_else(|| {
            observed_frame::rebuild(&first_frame, path_json.as_deref()).into_owned()
        });
        Self {
            id: columns.count(0),
            transmission_id: columns.count(1),
            raw_hex,
            hash: columns.text(4).unwrap_or_default(),
            first_seen: columns.text(5),
            timestamp: columns.integer(6).map(time::text),
            route_type: columns.integer(7),
            payload_type: columns.integer(8),
            decoded_json: columns.text(9),
            scope_name: columns.text(10),
            observation_count: columns.count(11),
            observer_id: columns.text(12),
            observer_name: columns.text(13),
            observer_iata: columns.text(14),
            direction: columns.text(15),
            snr: columns.real(16),
            rssi: columns.real(17),
            score: columns.integer(18),
            path_json,
            resolved_path: columns.text(20),
            arrived_at_ms: columns.integer(21),
        }
    }
}
