//! The totals of the file.

use serde::Serialize;

use super::Reader;
use super::columns::Columns;
use super::nodes::{RoleCounts, role_counts};
use crate::error::Result;
use crate::time;

/// Totals of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Packets, each counted once.
    pub total_packets: i64,
    /// The same number under CoreScope's newer name.
    pub total_transmissions: i64,
    /// Receptions of packets by observers.
    pub total_observations: i64,
    /// Nodes heard in the last seven days.
    pub total_nodes: i64,
    /// Nodes ever heard.
    pub total_nodes_all_time: i64,
    /// Observers that are not inactive.
    pub total_observers: i64,
    /// Receptions in the last hour.
    pub packets_last_hour: i64,
    /// Receptions in the last 24 hours; whole hours, so up to one hour less.
    pub packets_last_24h: i64,
    /// The nodes heard in the last seven days, by role.
    pub counts: RoleCounts,
    /// Adverts with a wrong signature.
    pub bad_signatures: i64,
    /// The same number under CoreScope's name. Here such adverts are stored and marked, not dropped.
    pub signature_drops: i64,
    /// Dead letters.
    pub dropped: i64,
}

/// One pass over the nodes of the last days; receptions of the last hour come from the index on observer and
/// time alone.
pub(super) const TOTALS: &str = concat!(
    "SELECT s.transmissions, s.observations, s.bad_signatures, s.dropped, n.*, \
     (SELECT count(*) FROM nodes) + (SELECT count(*) FROM inactive_nodes), \
     (SELECT count(*) FROM observers WHERE inactive IS NULL OR inactive = 0), \
     (SELECT coalesce(sum((SELECT count(*) FROM observations o \
     WHERE o.observer_idx = b.rowid AND o.timestamp > ?2)), 0) FROM observers b), \
     (SELECT coalesce(sum(observations), 0) FROM observation_counts_hourly WHERE hour >= ?3) \
     FROM store_state s, (SELECT count(*), ",
    role_counts!(),
    " FROM nodes WHERE last_seen >= ?1) n"
);

impl Reader {
    /// The totals, in one query.
    pub async fn stats(&mut self) -> Result<Stats> {
        let now = time::now_seconds();
        let hour = now - now.rem_euclid(3600);
        let query = sqlx::query(TOTALS)
            .bind(time::text(now - 7 * 86_400))
            .bind(now - 3600)
            .bind(hour - 23 * 3600);
        let row = self.ask_one("read the totals", query).await?;
        let columns = Columns(&row);
        Ok(Stats {
            total_packets: columns.count(0),
            total_transmissions: columns.count(0),
            total_observations: columns.count(1),
            total_nodes: columns.count(4),
            total_nodes_all_time: columns.count(9),
            total_observers: columns.count(10),
            packets_last_hour: columns.count(11),
            packets_last_24h: columns.count(12),
            counts: RoleCounts::from_row(&row, 5),
            bad_signatures: columns.count(2),
            signature_drops: columns.count(2),
            dropped: columns.count(3),
        })
    }
}
