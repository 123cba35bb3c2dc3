//! The last transaction: totals, CoreScope's marks that are true now, and the two numbers that make it ours.

use sqlx::AssertSqlSafe;

use super::{Adopted, Adoption, AdoptionStep, Tallies};
use crate::error::{Result, SqliteContext};
use crate::job::Job;
use crate::life::random_hex;
use crate::schema::{APPLICATION_ID, SCHEMA_VERSION};
use crate::transaction;

/// CoreScope's migrations that stand for columns, tables and indexes that exist now, or for what the chunks
/// filled. The others change or delete rows; whether they were done is left as it was found:
/// `advert_count_unique_v1`, `noise_floor_real_v1`, `obs_timestamp_index_v1`, `cleanup_legacy_null_hash_ts`,
/// `channel_hash_casing_v1`, `backfill_path_json_from_raw_hex_v1`, `backfill_default_scope_v1`.
const MARKS: &str = "INSERT OR IGNORE INTO _migrations(name) VALUES \
     ('node_telemetry_v1'),('observer_metrics_v1'),('observer_metrics_ts_idx'),('observers_inactive_v1'), \
     ('observer_metrics_packets_v1'),('channel_hash_v1'),('dropped_packets_v1'), \
     ('observers_last_packet_at_v1'),('observers_clock_naive_v1'),('foreign_advert_v1'),('from_pubkey_v1'), \
     ('scope_name_v1'),('nodes_default_scope_v1'),('observations_raw_hex_v1'),('obs_observer_ts_idx_v1'); \
     INSERT INTO _async_migrations(name, status, started_at, ended_at) VALUES \
     ('obs_observer_ts_idx_v1','done',datetime('now'),datetime('now')), \
     ('tx_last_seen_backfill_v1','done',datetime('now'),datetime('now')) \
     ON CONFLICT DO UPDATE SET status = excluded.status, ended_at = excluded.ended_at, error = NULL \
     WHERE status IS NOT 'done'";

impl Adoption<'_> {
    /// Makes the file ours; `None` when rows have come meanwhile and the chunks must go on.
    pub(super) async fn finish(&mut self, job: &mut Job<Tallies>) -> Result<Option<Adopted>> {
        transaction::begin(self.db).await?;
        let done = self.finish_in_transaction(job).await;
        self.commit(done).await
    }

    async fn finish_in_transaction(&mut self, job: &mut Job<Tallies>) -> Result<Option<Adopted>> {
        if self.has_more(job).await? {
            job.go_on_to(AdoptionStep::Transmissions.name());
            job.position = job.tallies.last_transmission;
            job.save(self.db).await?;
            return Ok(None);
        }
        let action = "finish the adoption";
        // Counted anew: CoreScope may have deleted packets of a file that was ours before.
        let (transmissions, observations) = sqlx::query_as(
            "INSERT INTO store_state(id, db_uuid, fencing_token, transmissions, observations, dropped) \
             VALUES (1, ?, ?, (SELECT count(*) FROM transmissions), (SELECT count(*) FROM observations), \
             (SELECT count(*) FROM dropped_packets)) ON CONFLICT DO UPDATE SET \
             transmissions = excluded.transmissions, observations = excluded.observations \
             RETURNING transmissions, observations",
        )
        .bind(random_hex::<16>())
        .bind(random_hex::<16>())
        .fetch_one(&mut *self.db)
        .await
        .during(action)?;
        sqlx::raw_sql(MARKS)
            .execute(&mut *self.db)
            .await
            .during(action)?;
        job.finished = true;
        job.save(self.db).await?;
        let marks = format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
        );
        // Two constants, no data.
        sqlx::raw_sql(AssertSqlSafe(marks))
            .execute(&mut *self.db)
            .await
            .during(action)?;
        Ok(Some(Adopted {
            transmissions,
            observations,
            was_ours: self.was_ours,
            repeated_observations: job.tallies.repeated_observations,
        }))
    }

    async fn has_more(&mut self, job: &Job<Tallies>) -> Result<bool> {
        sqlx::query_scalar(
            "SELECT EXISTS(SELECT 1 FROM transmissions WHERE id > ?) \
                 OR EXISTS(SELECT 1 FROM observations WHERE id > ?)",
        )
        .bind(job.tallies.last_transmission)
        .bind(job.tallies.last_observation)
        .fetch_one(&mut *self.db)
        .await
        .during("look for more rows")
    }
}
