//! Observers, those that gave a sign of life last first.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::Reader;
use super::columns::Columns;
use crate::error::Result;
use crate::time;

/// An observer, under the names of its columns. What the file does not know is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObserverRow {
    /// Its id as sent: a public key, or a name.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its region code.
    pub iata: Option<String>,
    /// Its last sign of life, RFC 3339.
    pub last_seen: Option<String>,
    /// Its first sign of life, RFC 3339.
    pub first_seen: Option<String>,
    /// When it last heard a packet, RFC 3339.
    pub last_packet_at: Option<String>,
    /// How many receptions it reported.
    pub packet_count: i64,
    /// How many of them in the last hour.
    #[serde(rename = "packetsLastHour")]
    pub packets_last_hour: i64,
    /// Hardware model.
    pub model: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Feeder program and version.
    pub client_version: Option<String>,
    /// `freq,bw,sf,cr`.
    pub radio: Option<String>,
    /// Battery, millivolts.
    pub battery_mv: Option<i64>,
    /// Uptime, seconds.
    pub uptime_secs: Option<i64>,
    /// Noise floor, dBm.
    pub noise_floor: Option<f64>,
    /// Whether its last status said online.
    pub online: Option<bool>,
    /// Whether it also repeats; `None` if it never said.
    pub can_relay: Option<bool>,
    /// Its clock against ours, seconds (positive: it runs ahead).
    pub clock_skew_seconds: Option<i64>,
    /// When it last sent a time stamp without a zone, RFC 3339.
    pub clock_last_naive_at: Option<String>,
    /// Degrees; of the node with the same public key, as the next two.
    pub lat: Option<f64>,
    /// Degrees.
    pub lon: Option<f64>,
    /// The role of that node.
    #[serde(rename = "nodeRole")]
    pub node_role: Option<String>,
}

/// Receptions of the last hour come from the index on observer and time alone.
pub(super) const LIST: &str = "SELECT b.id, b.name, b.iata, b.last_seen, b.first_seen, b.last_packet_at, \
     b.packet_count, (SELECT count(*) FROM observations o WHERE o.observer_idx = b.rowid AND o.timestamp > ?), \
     b.model, b.firmware, b.client_version, b.radio, b.battery_mv, b.uptime_secs, b.noise_floor, b.online, \
     CASE WHEN b.can_relay_seen THEN b.can_relay END, b.clock_skew_seconds, b.clock_last_naive_at, \
     n.lat, n.lon, n.role FROM observers b LEFT JOIN nodes n ON n.public_key = lower(b.id) \
     WHERE b.inactive IS NULL OR b.inactive = 0 ORDER BY b.last_seen DESC, b.id LIMIT ?";

impl Reader {
    /// Observers that are not inactive, those that gave a sign of life last first, at most `limit`.
    pub async fn observers(&mut self, limit: u32) -> Result<Vec<ObserverRow>> {
        let query = sqlx::query(LIST)
            .bind(time::now_seconds() - 3600)
            .bind(limit);
        let rows = self.ask("read observers", query).await?;
        Ok(rows.iter().map(ObserverRow::from_row).collect())
    }
}

impl ObserverRow {
    fn from_row(row: &SqliteRow) -> Self {
        let columns = Columns(row);
        Self {
            id: columns.text(0).unwrap_or_default(),
            name: columns.text(1),
            iata: columns.text(2),
            last_seen: columns.text(3),
            first_seen: columns.text(4),
            last_packet_at: columns.text(5),
            packet_count: columns.count(6),
            packets_last_hour: columns.count(7),
            model: columns.text(8),
            firmware: columns.text(9),
            client_version: columns.text(10),
            radio: columns.text(11),
            battery_mv: columns.integer(12),
            uptime_secs: columns.integer(13),
            noise_floor: columns.real(14),
            online: columns.boolean(15),
            can_relay: columns.boolean(16),
            clock_skew_seconds: columns.integer(17),
            clock_last_naive_at: columns.text(18),
            lat: columns.real(19),
            lon: columns.real(20),
            node_role: columns.text(21),
        }
    }
}
