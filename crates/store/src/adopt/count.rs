//! The two tables that can be large, gone through in chunks: what is derived from packets, and the counts that
//! pages need.

use std::time::Instant;

use super::{Adoption, AdoptionStep, Chunked, Tallies};
use crate::error::{Result, SqliteContext};
use crate::job::Job;
use crate::transaction;

/// The sender of adverts. CoreScope fills the same NULLs at each of its starts.
pub(crate) const FROM_PUBKEY: &str = "UPDATE transmissions SET from_pubkey = lower(decoded_json ->> '$.pubKey') \
     WHERE id > ? AND id <= ? AND payload_type = 4 AND from_pubkey IS NULL \
     AND iif(json_valid(decoded_json), decoded_json ->> '$.pubKey' IS NOT NULL, 0)";

/// The channel of group texts: its name where it was decrypted.
pub(crate) const CHANNEL_HASH: &str = "UPDATE transmissions SET channel_hash = \
     iif(decoded_json ->> '$.type' = 'CHAN', decoded_json ->> '$.channel', \
         'enc_' || upper(decoded_json ->> '$.channelHashHex')) \
     WHERE id > ? AND id <= ? AND payload_type = 5 AND channel_hash IS NULL AND json_valid(decoded_json)";

/// Receptions by hour, observer and payload type. Observations come in the order of their ids, so the first one
/// of a packet is the lowest one of a packet that has no count yet. Nobody's are under observer 0, packets
/// without a type or without a row under type 255.
pub(crate) const HOURLY: &str = "INSERT INTO observation_counts_hourly(hour, observer_idx, payload_type, observations, transmissions) \
     SELECT o.heard - ((o.heard % 3600) + 3600) % 3600, coalesce(o.observer_idx, 0), coalesce(t.payload_type, 255), \
            count(*), coalesce(sum(t.observation_count = 0 AND o.id = o.first_id), 0) \
     FROM (SELECT id, transmission_id, observer_idx, \
                  coalesce(iif(typeof(timestamp) = 'text', unixepoch(timestamp), CAST(timestamp AS INTEGER)), 0) AS heard, \
                  min(id) OVER (PARTITION BY transmission_id) AS first_id \
           FROM observations WHERE id > ? AND id <= ?) o \
     LEFT JOIN transmissions t ON t.id = o.transmission_id GROUP BY 1, 2, 3 \
     ON CONFLICT DO UPDATE SET observations = observations + excluded.observations, \
     transmissions = transmissions + excluded.transmissions";

const COUNTS: &str = "UPDATE transmissions SET observation_count = observation_count + c.n \
     FROM (SELECT transmission_id, count(*) AS n FROM observations WHERE id > ? AND id <= ? GROUP BY 1) c \
     WHERE transmissions.id = c.transmission_id";

/// As [`COUNTS`], and the last reception of packets, which CoreScope fills in the background.
pub(crate) const COUNTS_AND_LAST_SEEN: &str = "UPDATE transmissions SET observation_count = observation_count + c.n, \
     last_seen = max(last_seen, c.seen) \
     FROM (SELECT transmission_id, count(*) AS n, max(CAST(timestamp AS INTEGER)) AS seen \
           FROM observations WHERE id > ? AND id <= ? GROUP BY 1) c \
     WHERE transmissions.id = c.transmission_id";

impl Adoption<'_> {
    pub(super) async fn derive_columns(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        let fill_channels = !self.is_marked("_migrations", "channel_hash_v1").await?;
        while let Some((last, rows)) = self
            .next_chunk(Chunked::Transmissions, job.position)
            .await?
        {
            let started = Instant::now();
            transaction::begin(self.db).await?;
            let derived = self.derive_chunk(fill_channels, last, rows, job).await;
            self.commit(derived).await?;
            self.chunk.learn(started.elapsed());
            self.tell(
                AdoptionStep::Transmissions,
                job.tallies.transmissions,
                job.tallies.transmissions_expected,
            );
        }
        job.go_on_to(AdoptionStep::Observations.name());
        job.position = job.tallies.last_observation;
        job.save(self.db).await
    }

    async fn derive_chunk(
        &mut self,
        fill_channels: bool,
        last: i64,
        rows: i64,
        job: &mut Job<Tallies>,
    ) -> Result<()> {
        let channels = fill_channels.then_some(CHANNEL_HASH);
        for sql in [Some(FROM_PUBKEY), channels].into_iter().flatten() {
            self.over_chunk(sql, job.position, last).await?;
        }
        job.position = last;
        job.tallies.transmissions += rows;
        job.tallies.last_transmission = last;
        job.save(self.db).await
    }

    pub(super) async fn count_observations(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        let counts = if self
            .is_marked("_async_migrations", "tx_last_seen_backfill_v1")
            .await?
        {
            COUNTS
        } else {
            COUNTS_AND_LAST_SEEN
        };
        while let Some((last, rows)) = self.next_chunk(Chunked::Observations, job.position).await? {
            let started = Instant::now();
            transaction::begin(self.db).await?;
            let counted = self.count_chunk(counts, last, rows, job).await;
            self.commit(counted).await?;
            self.chunk.learn(started.elapsed());
            self.tell(
                AdoptionStep::Observations,
                job.tallies.observations,
                job.tallies.observations_expected,
            );
        }
        Ok(())
    }

    async fn count_chunk(
        &mut self,
        counts: &'static str,
        last: i64,
        rows: i64,
        job: &mut Job<Tallies>,
    ) -> Result<()> {
        // The hours first: they ask which packets have no count yet.
        for sql in [HOURLY, counts] {
            self.over_chunk(sql, job.position, last).await?;
        }
        job.position = last;
        job.tallies.observations += rows;
        job.tallies.last_observation = last;
        job.save(self.db).await
    }

    async fn over_chunk(&mut self, sql: &'static str, after: i64, last: i64) -> Result<()> {
        sqlx::query(sql)
            .bind(after)
            .bind(last)
            .execute(&mut *self.db)
            .await
            .during("adopt a chunk of rows")?;
        Ok(())
    }

    /// Whether CoreScope, or the end of an adoption, has marked a migration as done.
    async fn is_marked(&mut self, table: &str, name: &str) -> Result<bool> {
        let sql = match table {
            "_migrations" => "SELECT EXISTS(SELECT 1 FROM _migrations WHERE name = ?)",
            _ => {
                "SELECT EXISTS(SELECT 1 FROM _async_migrations WHERE name = ? AND status = 'done')"
            }
        };
        sqlx::query_scalar(sql)
            .bind(name)
            .fetch_one(&mut *self.db)
            .await
            .during("look at CoreScope's marks")
    }
}
