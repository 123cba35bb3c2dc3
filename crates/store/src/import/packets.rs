//! Packets by their hash, then observations by packet, observer and path, a chunk of ids at a time.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use sqlx::AssertSqlSafe;

use super::{Import, STEPS, Tallies};
use crate::adopt::count::{CHANNEL_HASH, COUNTS_AND_LAST_SEEN, FROM_PUBKEY, HOURLY};
use crate::error::{Result, SqliteContext};
use crate::fence::Totals;
use crate::job::Job;
use crate::known::FrameHead;
use crate::{observed_frame, transaction};

/// The payload type whose frames can't be rebuilt from another one's.
const TRACE: i64 = 9;

/// An observation, the frames of its packet there and here, its path, its packet's type.
type Frames = (i64, Vec<u8>, Vec<u8>, Option<String>, Option<i64>);

/// Rows of a source's table, by the ids of the first and the last one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    first: i64,
    pub(super) last: i64,
    pub(super) rows: i64,
}

impl Chunk {
    /// The id right before the first one.
    pub(super) fn before(self) -> i64 {
        self.first.saturating_sub(1)
    }
}

/// A hash as we write it: 16 lower-case digits. Bogus ones of older versions stay as they are.
fn hash_of(table: &str) -> String {
    format!(
        "iif(length({table}.hash) = 16 AND {table}.hash NOT GLOB '*[^0-9A-Fa-f]*', lower({table}.hash), {table}.hash)"
    )
}

/// A time of the source in unix seconds.
const HEARD: &str = "coalesce(iif(typeof(s.timestamp) = 'text', unixepoch(s.timestamp), CAST(s.timestamp AS INTEGER)), 0)";

impl Import {
    /// The next chunk of packets.
    pub(super) async fn transmissions(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        let chunk = self
            .next("transmissions", job.position, job.tallies.last_transmission)
            .await?;
        let Some(chunk) = chunk else {
            return self.step_done(job, STEPS[2]).await;
        };
        transaction::begin(&mut self.store.db).await?;
        let done = self.add_transmissions(job, chunk).await;
        self.commit(done, job).await
    }

    async fn add_transmissions(&mut self, job: &mut Job<Tallies>, chunk: Chunk) -> Result<Totals> {
        let tallies = &mut job.tallies;
        let rest = chunk.first..=tallies.last_transmission;
        let shift = self
            .place("transmissions", rest, tallies.transmission_shift)
            .await?;
        tallies.transmission_shift = shift;
        let (after, last) = (chunk.before(), chunk.last);
        let column = |name: &str| self.source.column("transmissions", name);
        let (hash, first_seen, last_seen) =
            (hash_of("s"), column("first_seen"), column("last_seen"));
        let insert = format!(
            "INSERT INTO main.transmissions(id, raw_hex, hash, first_seen, route_type, payload_type, \
             payload_version, decoded_json, from_pubkey, last_seen, created_at, channel_hash, scope_name) \
             SELECT s.id + ?, coalesce({}, ''), {hash}, coalesce({first_seen}, '1970-01-01T00:00:00Z'), {}, \
             coalesce({last_seen}, 0), {} FROM source.transmissions s WHERE s.id > ? AND s.id <= ? \
             AND s.hash IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.transmissions t WHERE t.hash = {hash}) \
             ORDER BY s.id ON CONFLICT DO NOTHING",
            column("raw_hex"),
            self.source.columns(
                "transmissions",
                &[
                    "route_type",
                    "payload_type",
                    "payload_version",
                    "decoded_json",
                    "from_pubkey"
                ]
            ),
            self.source.columns(
                "transmissions",
                &["created_at", "channel_hash", "scope_name"]
            ),
        );
        let merge = format!(
            "UPDATE main.transmissions SET first_seen = min(transmissions.first_seen, coalesce({first_seen}, transmissions.first_seen)), \
             last_seen = max(transmissions.last_seen, coalesce({last_seen}, 0)) FROM source.transmissions s \
             WHERE transmissions.hash = {hash} AND transmissions.id <> s.id + ? AND s.id > ? AND s.id <= ? \
             AND (transmissions.first_seen > {first_seen} OR transmissions.last_seen < {last_seen})"
        );
        let without_hash: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM source.transmissions s WHERE s.id > ? AND s.id <= ? AND s.hash IS NULL",
        )
        .bind(after)
        .bind(last)
        .fetch_one(&mut self.store.db)
        .await
        .during("read the source's packets")?;
        let added = self.shifted(insert, shift, after, last).await?;
        self.shifted(merge, shift, after, last).await?;
        for sql in [FROM_PUBKEY, CHANNEL_HASH] {
            self.over(sql, moved(after, shift), moved(last, shift))
                .await?;
        }
        job.position = last;
        job.tallies
            .table("transmissions")
            .count(chunk.rows, added, without_hash);
        Ok(Totals {
            transmissions: count(added),
            ..Totals::default()
        })
    }

    /// The next chunk of observations.
    pub(super) async fn observations(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        let chunk = self
            .next("observations", job.position, job.tallies.last_observation)
            .await?;
        let Some(chunk) = chunk else {
            return self.step_done(job, STEPS[3]).await;
        };
        transaction::begin(&mut self.store.db).await?;
        let done = self.add_observations(job, chunk).await;
        self.commit(done, job).await
    }

    async fn add_observations(&mut self, job: &mut Job<Tallies>, chunk: Chunk) -> Result<Totals> {
        let tallies = &mut job.tallies;
        let rest = chunk.first..=tallies.last_observation;
        let shift = self
            .place("observations", rest, tallies.observation_shift)
            .await?;
        tallies.observation_shift = shift;
        let (after, last) = (chunk.before(), chunk.last);
        let column = |name: &str| self.source.column("observations", name);
        let (path, hash) = (column("path_json"), hash_of("x"));
        let observer = format!(
            "coalesce((SELECT idx FROM temp.observer_rows WHERE of_source = {}), \
             (SELECT idx FROM temp.observer_names WHERE id = {}))",
            column("observer_idx"),
            column("observer_id")
        );
        // CoreScope's times are those of the arrival there.
        let rows_of_source = format!(
            "SELECT s.id AS id, (SELECT min(t.id) FROM main.transmissions t WHERE t.hash = \
             (SELECT {hash} FROM source.transmissions x WHERE x.id = s.transmission_id)) AS transmission, \
             {observer} AS observer, {} AS direction, {} AS snr, {} AS rssi, {} AS score, {path} AS path, \
             {HEARD} AS heard, {} AS resolved, {} AS raw, {} AS arrived, {} AS feeder, \
             coalesce({}, 0) AS time_source, {} AS duration \
             FROM source.observations s WHERE s.id > ? AND s.id <= ?",
            column("direction"),
            column("snr"),
            column("rssi"),
            column("score"),
            column("resolved_path"),
            column("raw_hex"),
            column("arrived_at"),
            column("feeder_time"),
            column("time_source"),
            column("duration_ms"),
        );
        let insert = format!(
            "INSERT INTO main.observations(id, transmission_id, observer_idx, direction, snr, rssi, score, \
             path_json, timestamp, resolved_path, raw_hex, arrived_at, feeder_time, time_source, duration_ms) \
             SELECT o.id + ?, o.transmission, o.observer, o.direction, o.snr, o.rssi, o.score, o.path, o.heard, \
             o.resolved, o.raw, o.arrived, o.feeder, o.time_source, o.duration FROM ({rows_of_source}) o \
             WHERE o.transmission IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.observations m \
             WHERE m.transmission_id = o.transmission AND m.observer_idx IS o.observer \
             AND coalesce(m.path_json, '') = coalesce(o.path, '') \
             AND (o.observer IS NOT NULL OR m.timestamp = o.heard)) ORDER BY o.id ON CONFLICT DO NOTHING"
        );
        let orphans: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM source.observations s WHERE s.id > ? AND s.id <= ? AND NOT EXISTS \
             (SELECT 1 FROM source.transmissions x WHERE x.id = s.transmission_id AND x.hash IS NOT NULL)",
        )
        .bind(after)
        .bind(last)
        .fetch_one(&mut self.store.db)
        .await
        .during("read the source's observations")?;
        let added = self.shifted(insert, shift, after, last).await?;
        let range = (moved(after, shift), moved(last, shift));
        self.keep_frames(job, range).await?;
        for sql in [HOURLY, COUNTS_AND_LAST_SEEN] {
            self.over(sql, range.0, range.1).await?;
        }
        sqlx::query(
            "UPDATE main.observers SET packet_count = coalesce(packet_count, 0) + c.n FROM \
             (SELECT observer_idx, count(*) AS n FROM main.observations WHERE id > ? AND id <= ? GROUP BY 1) c \
             WHERE observers.rowid = c.observer_idx AND observers.rowid < ?",
        )
        .bind(range.0)
        .bind(range.1)
        .bind(job.tallies.first_new_observer)
        .execute(&mut self.store.db)
        .await
        .during("count the observers' packets")?;
        job.position = last;
        job.tallies
            .table("observations")
            .count(chunk.rows, added, orphans);
        Ok(Totals {
            observations: count(added),
            ..Totals::default()
        })
    }

    /// An observation without a frame of its own has that of its packet, with its path in it. Where the target's
    /// packet has another frame, one that differs in more than the path, it must keep its own.
    async fn keep_frames(&mut self, job: &Job<Tallies>, range: (i64, i64)) -> Result<()> {
        if !self.source.has("transmissions", "raw_hex") {
            return Ok(());
        }
        let action = "keep the frames of observations";
        let rows: Vec<Frames> = sqlx::query_as(
            "SELECT m.id, CAST(x.raw_hex AS BLOB), CAST(t.raw_hex AS BLOB), m.path_json, t.payload_type \
             FROM main.observations m JOIN source.observations s ON s.id = m.id - ? \
             JOIN source.transmissions x ON x.id = s.transmission_id \
             JOIN main.transmissions t ON t.id = m.transmission_id \
             WHERE m.id > ? AND m.id <= ? AND m.raw_hex IS NULL AND x.raw_hex <> t.raw_hex",
        )
        .bind(job.tallies.observation_shift)
        .bind(range.0)
        .bind(range.1)
        .fetch_all(&mut self.store.db)
        .await
        .during(action)?;
        for (id, theirs, ours, path, payload_type) in rows {
            let head = |frame: &[u8]| FrameHead::of(&hex::decode(frame).unwrap_or_default());
            if payload_type != Some(TRACE) && head(&theirs) == head(&ours) {
                continue;
            }
            let theirs = String::from_utf8_lossy(&theirs);
            let frame = if self.source.is_ours {
                observed_frame::rebuild(&theirs, path.as_deref())
            } else {
                Cow::Borrowed(theirs.as_ref())
            };
            sqlx::query("UPDATE main.observations SET raw_hex = ? WHERE id = ?")
                .bind(frame.as_ref())
                .bind(id)
                .execute(&mut self.store.db)
                .await
                .during(action)?;
        }
        Ok(())
    }

    /// What to add to the ids `rest` of the source: as planned, or anew where others have taken some of those ids
    /// since. Within the transaction that adds rows, so no row of the target stands in the way of one of them, or
    /// is counted as one.
    async fn place(
        &mut self,
        table: &'static str,
        rest: RangeInclusive<i64>,
        planned: i64,
    ) -> Result<i64> {
        // Our own words only.
        let sql = format!("SELECT EXISTS(SELECT 1 FROM main.{table} WHERE id >= ? AND id <= ?)");
        let is_taken: bool = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(moved(*rest.start(), planned))
            .bind(moved(*rest.end(), planned))
            .fetch_one(&mut self.store.db)
            .await
            .during("look whether the planned ids are free")?;
        if is_taken {
            self.source
                .shift_below(&mut self.store.db, table, *rest.end())
                .await
        } else {
            Ok(planned)
        }
    }

    /// The next chunk of a source's table.
    pub(super) async fn next(
        &mut self,
        table: &'static str,
        after: i64,
        last: i64,
    ) -> Result<Option<Chunk>> {
        let id = if table == "observer_metrics" {
            "rowid"
        } else {
            "id"
        };
        let sql = format!(
            "SELECT min(i), max(i), count(*) FROM (SELECT {id} AS i FROM source.{table} WHERE {id} > ? AND {id} <= ? \
             ORDER BY {id} LIMIT ?)"
        );
        let (first, last, rows): (Option<i64>, Option<i64>, i64) =
            sqlx::query_as(AssertSqlSafe(sql))
                .bind(after)
                .bind(last)
                .bind(self.chunk.rows())
                .fetch_one(&mut self.store.db)
                .await
                .during("find the next rows to import")?;
        Ok(first
            .zip(last)
            .map(|(first, last)| Chunk { first, last, rows }))
    }

    /// Goes on to the next step.
    pub(super) async fn step_done(&mut self, job: &mut Job<Tallies>, next: &str) -> Result<()> {
        job.go_on_to(next);
        transaction::begin(&mut self.store.db).await?;
        self.commit(Ok(Totals::default()), job).await
    }

    /// Runs a statement that takes the shift and a range of the source's ids. Says how many rows it changed.
    pub(super) async fn shifted(
        &mut self,
        sql: String,
        shift: i64,
        after: i64,
        last: i64,
    ) -> Result<u64> {
        // Put together from our own words and the names of columns that we know.
        let result = sqlx::query(AssertSqlSafe(sql))
            .bind(shift)
            .bind(after)
            .bind(last)
            .execute(&mut self.store.db)
            .await
            .during("import a chunk of rows")?;
        Ok(result.rows_affected())
    }

    async fn over(&mut self, sql: &'static str, after: i64, last: i64) -> Result<()> {
        sqlx::query(sql)
            .bind(after)
            .bind(last)
            .execute(&mut self.store.db)
            .await
            .during("count a chunk of rows")?;
        Ok(())
    }
}

/// An id of the source in the target.
fn moved(id: i64, shift: i64) -> i64 {
    id.saturating_add(shift)
}

pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
