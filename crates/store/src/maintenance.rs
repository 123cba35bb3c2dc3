//! Retention, the size cap and checkpoints: small pieces of work between batches, so that ingest never stalls.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use crate::checkpoint::{CheckpointMode, checkpoint};
use crate::error::{Error, Result, SqliteContext};
use crate::filesystem::free_and_total_bytes;
use crate::open::Store;
use crate::time;

/// How many packets one chunk of retention deletes.
const CHUNK: i64 = 100;
/// WAL pages from which a PASSIVE checkpoint is due; 8,000 pages are 32 MiB.
const WAL_PAGES: u64 = 8_000;
/// How often the WAL's size is looked at while batches go by.
const WAL_LOOK: Duration = Duration::from_millis(200);
/// How often retention and the size cap are due.
const ROUND: Duration = Duration::from_secs(600);
/// How often the size is looked at.
const SIZE_LOOK: Duration = Duration::from_secs(10);
/// How many dead letters are kept.
const MAX_DROPPED: i64 = 10_000;

/// How long things are kept; `None` keeps them for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Packets and their observations, by when they were first heard.
    pub packets: Option<Duration>,
    /// Nodes not heard for so long move to `inactive_nodes`.
    pub nodes: Option<Duration>,
    /// Observers not heard for so long are marked inactive; hourly counts are deleted.
    pub observers: Option<Duration>,
    /// Samples of observers, and dead letters.
    pub metrics: Option<Duration>,
    /// Receptions of mobile receivers, which say where people were.
    pub client_receptions: Option<Duration>,
    /// Edges between neighbours that were not seen again.
    pub neighbor_edges: Option<Duration>,
    /// The largest the file may grow, bytes; beyond it the oldest packets go first, whatever their age.
    /// `None` is three quarters of what the disk could give it, 0 is no cap.
    pub max_bytes: Option<u64>,
    /// How many free pages one step gives back to the file system.
    pub vacuum_pages: u32,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        Self {
            packets: days(90),
            nodes: days(365),
            observers: days(365),
            metrics: days(30),
            client_receptions: days(30),
            neighbor_edges: days(5),
            max_bytes: None,
            vacuum_pages: 256,
        }
    }
}

/// What is left to do, and when to look again.
#[derive(Debug)]
pub struct Maintenance {
    retention: Retention,
    next_round: Instant,
    next_size_look: Instant,
    next_wal_look: Instant,
    expired: bool,
    too_large: bool,
    vacuum: bool,
    /// Pages in the WAL when it was last looked at.
    pub wal_pages: u64,
    /// Packets deleted so far in this process life.
    pub deleted_transmissions: u64,
}

impl Maintenance {
    /// Begins with everything due at once.
    pub fn new(retention: Retention) -> Self {
        let now = Instant::now();
        Self {
            retention,
            next_round: now,
            next_size_look: now,
            next_wal_look: now,
            expired: false,
            too_large: false,
            vacuum: false,
            wal_pages: 0,
            deleted_transmissions: 0,
        }
    }

    /// When there is something to do even if no batch comes.
    pub(crate) fn next_due(&self) -> Instant {
        if self.expired || self.too_large || self.vacuum {
            Instant::now()
        } else {
            self.next_round.min(self.next_size_look)
        }
    }

    /// Does one small piece of what is due.
    pub(crate) async fn step(&mut self, store: &mut Store) -> Result<()> {
        let now = Instant::now();
        if now >= self.next_wal_look {
            self.next_wal_look = now + WAL_LOOK;
            self.look_at_wal(store).await?;
        }
        if now >= self.next_round {
            self.next_round = now + ROUND;
            self.expired = true;
            tidy(store, &self.retention).await?;
        }
        if now >= self.next_size_look {
            self.next_size_look = now + SIZE_LOOK;
            self.too_large = self.is_too_large(store).await?;
        }
        if self.expired {
            let cutoff = cutoff(self.retention.packets);
            let deleted = match cutoff {
                Some(cutoff) => delete_chunk(store, &cutoff).await?,
                None => 0,
            };
            self.expired = deleted > 0;
            self.note_deleted(deleted);
        } else if self.too_large {
            let deleted = delete_chunk(store, "9999").await?;
            self.note_deleted(deleted);
            self.too_large = deleted > 0 && self.is_too_large(store).await?;
        } else if self.vacuum {
            self.vacuum = give_pages_back(&mut store.db, self.retention.vacuum_pages).await?;
        }
        Ok(())
    }

    fn note_deleted(&mut self, deleted: u64) {
        self.deleted_transmissions += deleted;
        self.vacuum |= deleted > 0;
    }

    async fn look_at_wal(&mut self, store: &mut Store) -> Result<()> {
        let mut seen = checkpoint(&mut store.db, CheckpointMode::Noop, Duration::ZERO).await?;
        if seen.wal_pages - seen.checkpointed_pages.min(seen.wal_pages) >= WAL_PAGES {
            seen = checkpoint(&mut store.db, CheckpointMode::Passive, Duration::ZERO).await?;
            tracing::debug!(
                wal_pages = seen.wal_pages,
                checkpointed = seen.checkpointed_pages,
                "Checkpoint"
            );
        }
        self.wal_pages = seen.wal_pages;
        Ok(())
    }

    async fn is_too_large(&self, store: &mut Store) -> Result<bool> {
        let used = used_bytes(&mut store.db).await?;
        let cap = match self.retention.max_bytes {
            Some(0) => return Ok(false),
            Some(cap) => cap,
            None => {
                let folder = store.path().parent().unwrap_or(std::path::Path::new("."));
                let (free, _) = free_and_total_bytes(folder)
                    .map_err(|e| Error::io("look at the disk of", folder, e))?;
                used.saturating_add(free) / 4 * 3
            }
        };
        Ok(used > cap)
    }
}

/// The oldest time that is kept, or `None` to keep everything.
fn cutoff(age: Option<Duration>) -> Option<String> {
    age.map(|age| {
        time::text(time::now_seconds() - i64::try_from(age.as_secs()).unwrap_or(i64::MAX / 2))
    })
}

/// Bytes of the file that hold something.
async fn used_bytes(db: &mut SqliteConnection) -> Result<u64> {
    let action = "measure the database";
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    let free: i64 = sqlx::query_scalar("PRAGMA freelist_count")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    let size: i64 = sqlx::query_scalar("PRAGMA page_size")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    Ok(u64::try_from((pages - free) * size).unwrap_or(0))
}

/// Deletes the oldest packets first heard before `cutoff`, a chunk at most, with their observations.
async fn delete_chunk(store: &mut Store, cutoff: &str) -> Result<u64> {
    let action = "delete expired packets";
    let mut chunk = sqlx::Connection::begin_with(&mut store.db, "BEGIN IMMEDIATE")
        .await
        .during(action)?;
    let observations = sqlx::query(
        "DELETE FROM observations WHERE transmission_id IN \
         (SELECT id FROM transmissions WHERE first_seen < ? ORDER BY first_seen LIMIT ?)",
    )
    .bind(cutoff)
    .bind(CHUNK)
    .execute(&mut *chunk)
    .await
    .during(action)?
    .rows_affected();
    let transmissions = sqlx::query(
        "DELETE FROM transmissions WHERE id IN \
         (SELECT id FROM transmissions WHERE first_seen < ? ORDER BY first_seen LIMIT ?)",
    )
    .bind(cutoff)
    .bind(CHUNK)
    .execute(&mut *chunk)
    .await
    .during(action)?
    .rows_affected();
    if transmissions == 0 {
        return Ok(0);
    }
    let fenced = sqlx::query(
        "UPDATE store_state SET transmissions = transmissions - ?, observations = observations - ? \
         WHERE id = 1 AND fencing_token = ?",
    )
    .bind(i64::try_from(transmissions).unwrap_or(0))
    .bind(i64::try_from(observations).unwrap_or(0))
    .bind(&store.state.fencing_token)
    .execute(&mut *chunk)
    .await
    .during(action)?
    .rows_affected()
        == 0;
    if fenced {
        return Err(Error::Fenced {
            path: store.options.path.clone(),
        });
    }
    chunk.commit().await.during(action)?;
    store.state.transmissions.clear();
    Ok(transmissions)
}

/// Gives some free pages back to the file system; says whether there are more.
async fn give_pages_back(db: &mut SqliteConnection, pages: u32) -> Result<bool> {
    let action = "give pages back";
    let pragma = format!("PRAGMA incremental_vacuum({pages})");
    sqlx::query(sqlx::AssertSqlSafe(pragma))
        .fetch_all(&mut *db)
        .await
        .during(action)?;
    let left: i64 = sqlx::query_scalar("PRAGMA freelist_count")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    let mode: i64 = sqlx::query_scalar("PRAGMA auto_vacuum")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    Ok(left > 0 && mode == 2)
}

/// The small tables: nodes, observers, samples, dead letters.
async fn tidy(store: &mut Store, retention: &Retention) -> Result<()> {
    let action = "tidy up";
    let mut tidying = sqlx::Connection::begin_with(&mut store.db, "BEGIN IMMEDIATE")
        .await
        .during(action)?;
    let mut run = async |sql: &'static str, before: Option<String>| -> Result<()> {
        if let Some(before) = before {
            sqlx::query(sql)
                .bind(before)
                .execute(&mut *tidying)
                .await
                .during(action)?;
        }
        Ok(())
    };
    let nodes = cutoff(retention.nodes);
    run(
        "INSERT OR REPLACE INTO inactive_nodes SELECT * FROM nodes WHERE last_seen < ?",
        nodes.clone(),
    )
    .await?;
    run("DELETE FROM nodes WHERE last_seen < ?", nodes).await?;
    run(
        "UPDATE observers SET inactive = 1 WHERE inactive = 0 AND last_seen < ?",
        cutoff(retention.observers),
    )
    .await?;
    run(
        "DELETE FROM observation_counts_hourly WHERE hour < unixepoch(?)",
        cutoff(retention.observers),
    )
    .await?;
    run(
        "DELETE FROM observer_metrics WHERE timestamp < ?",
        cutoff(retention.metrics),
    )
    .await?;
    run(
        "DELETE FROM dropped_packets WHERE dropped_at < datetime(?)",
        cutoff(retention.metrics),
    )
    .await?;
    run(
        "DELETE FROM client_receptions WHERE rx_at < ?",
        cutoff(retention.client_receptions),
    )
    .await?;
    run(
        "DELETE FROM neighbor_edges WHERE last_seen < ?",
        cutoff(retention.neighbor_edges),
    )
    .await?;
    run(
        "DELETE FROM dropped_packets WHERE id <= (SELECT max(id) FROM dropped_packets) - CAST(? AS INTEGER)",
        Some(MAX_DROPPED.to_string()),
    )
    .await?;
    tidying.commit().await.during(action)
}
