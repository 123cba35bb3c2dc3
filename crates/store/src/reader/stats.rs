//! The totals of the file.

use serde::Serialize;

use super::Reader;
use crate::error::{Result, SqliteContext};
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
    /// Observers.
    pub total_observers: i64,
    /// Receptions in the last hour, to the hour's start.
    pub packets_last_hour: i64,
    /// Receptions in the last 24 hours, to the hour's start.
    pub packets_last_24h: i64,
    /// Adverts with a wrong signature.
    pub bad_signatures: i64,
    /// Dead letters.
    pub dropped: i64,
}

impl Reader {
    /// The totals, in one query.
    pub async fn stats(&mut self) -> Result<Stats> {
        let now = time::now_seconds();
        let hour = now - now.rem_euclid(3600);
        let row: (i64, i64, i64, i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT s.transmissions, s.observations, s.bad_signatures, s.dropped, \
             (SELECT count(*) FROM nodes WHERE last_seen >= ?), \
             (SELECT count(*) FROM nodes) + (SELECT count(*) FROM inactive_nodes), \
             (SELECT count(*) FROM observers), \
             (SELECT coalesce(sum(observations), 0) FROM observation_counts_hourly WHERE hour >= ?), \
             (SELECT coalesce(sum(observations), 0) FROM observation_counts_hourly WHERE hour >= ?) \
             FROM store_state s",
        )
        .bind(time::text(now - 7 * 86_400))
        .bind(hour)
        .bind(hour - 23 * 3600)
        .fetch_one(&mut self.db)
        .await
        .during("read the totals")?;
        let (
            transmissions,
            total_observations,
            bad_signatures,
            dropped,
            recent,
            ever,
            observers,
            hour,
            day,
        ) = row;
        Ok(Stats {
            total_packets: transmissions,
            total_transmissions: transmissions,
            total_observations,
            total_nodes: recent,
            total_nodes_all_time: ever,
            total_observers: observers,
            packets_last_hour: hour,
            packets_last_24h: day,
            bad_signatures,
            dropped,
        })
    }
}
