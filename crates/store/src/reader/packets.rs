//! Packets: the list, newest first, and one with its observations.

use super::Reader;
use super::columns::Columns;
use super::observations::{ObservationRow, observation_columns};
use crate::error::Result;

/// A page of the list by the ids (NOT INDEXED leaves SQLite no other way), each packet with the observation
/// that was stored first. That one is looked for among a thousand at most: a packet that was heard over a
/// million made-up paths must not slow the page down.
pub(super) const PAGE: &str = concat!(
    "SELECT ",
    observation_columns!(),
    " FROM transmissions t NOT INDEXED LEFT JOIN observations o ON o.id = (SELECT min(id) FROM \
     (SELECT id FROM observations WHERE transmission_id = t.id LIMIT 1000)) \
     LEFT JOIN observers b ON b.rowid = o.observer_idx WHERE t.id < ? ORDER BY t.id DESC LIMIT ?"
);

/// One packet with its observations in the order in which they were stored. Their ids come from the index
/// alone, so that only those that are shown are read.
pub(super) const ONE: &str = concat!(
    "SELECT ",
    observation_columns!(),
    " FROM transmissions t LEFT JOIN (SELECT id FROM observations \
     WHERE transmission_id = (SELECT id FROM transmissions WHERE hash = ?1) ORDER BY id LIMIT ?2) shown \
     LEFT JOIN observations o ON o.id = shown.id \
     LEFT JOIN observers b ON b.rowid = o.observer_idx WHERE t.hash = ?1 ORDER BY shown.id"
);

impl Reader {
    /// How many packets there are.
    pub async fn packet_count(&mut self) -> Result<i64> {
        let query = sqlx::query("SELECT transmissions FROM store_state");
        let row = self.ask_one("count the packets", query).await?;
        Ok(Columns(&row).count(0))
    }

    /// Packets whose transmission id is below `before`, newest first, at most `limit`, each with the
    /// observation that was stored first. A packet without observations has one of id 0 that knows nothing.
    pub async fn packets(&mut self, before: i64, limit: u32) -> Result<Vec<ObservationRow>> {
        let query = sqlx::query(PAGE).bind(before).bind(limit);
        let rows = self.ask("read packets", query).await?;
        Ok(rows.iter().map(ObservationRow::from_row).collect())
    }

    /// The first `limit` observations of the packet with this hash (16 lower-case hex digits), in the order
    /// in which they were stored. Empty when there is no such packet; a packet without observations has one
    /// of id 0 that knows nothing.
    pub async fn packet(&mut self, hash: &str, limit: u32) -> Result<Vec<ObservationRow>> {
        let query = sqlx::query(ONE).bind(hash).bind(limit);
        let rows = self.ask("read a packet", query).await?;
        Ok(rows.iter().map(ObservationRow::from_row).collect())
    }
}
