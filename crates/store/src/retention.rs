//! What expires, and how it is deleted: a little at a time, so that ingest never waits long.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;

use crate::error::{Result, SqliteContext};
use crate::fence::Totals;
use crate::filesystem::{folder_of, free_and_total_bytes};
use crate::store::Store;
use crate::{error::Error, time, transaction};

/// The most packets that one transaction deletes.
const CHUNK_PACKETS: i64 = 100;
/// The most observations that one transaction deletes with them.
const CHUNK_OBSERVATIONS: i64 = 1_000;
/// What the size cap that nobody chose always leaves.
const ALWAYS_KEPT: Duration = Duration::from_hours(24);
/// Free pages up to this share of the file stay in it for the next packets: a file that shrinks and grows all
/// the time is written twice.
const SLACK: i64 = 16;

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
    /// `None` is three quarters of what the disk could give it, and never takes packets of the last day: a
    /// disk that something else fills must not cost what was only just acknowledged. 0 is no cap.
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

impl Retention {
    /// The time before which packets are deleted when the file is too large.
    pub(crate) fn surplus_before(&self) -> Option<String> {
        match self.max_bytes {
            None => cutoff(Some(ALWAYS_KEPT)),
            // Whatever their age: later than anything.
            Some(_) => Some("9999".to_owned()),
        }
    }

    /// The time before which packets are deleted.
    pub(crate) fn packets_before(&self) -> Option<String> {
        cutoff(self.packets)
    }
}

/// One of the smaller things that expire.
pub(crate) struct Expiry {
    age: fn(&Retention) -> Option<Duration>,
    /// Each takes the time before which things expire. The last one says whether there is more to do.
    statements: &'static [&'static str],
}

/// What expires beside packets, in the order in which it is looked at.
pub(crate) const EXPIRIES: [Expiry; 7] = [
    Expiry {
        age: |kept| kept.nodes,
        statements: &[
            "INSERT OR REPLACE INTO inactive_nodes SELECT * FROM nodes WHERE last_seen < ?",
            "DELETE FROM nodes WHERE last_seen < ?",
        ],
    },
    Expiry {
        age: |kept| kept.observers,
        statements: &["UPDATE observers SET inactive = 1 \
            WHERE last_seen < ? AND coalesce(inactive, 0) = 0"],
    },
    Expiry {
        age: |kept| kept.observers,
        // An hour at a time.
        statements: &[
            "DELETE FROM observation_counts_hourly WHERE hour < unixepoch(?) \
            AND hour <= (SELECT min(hour) FROM observation_counts_hourly)",
        ],
    },
    Expiry {
        age: |kept| kept.metrics,
        statements: &["DELETE FROM observer_metrics WHERE rowid IN \
            (SELECT rowid FROM observer_metrics WHERE timestamp < ? LIMIT 1000)"],
    },
    Expiry {
        age: |kept| kept.metrics,
        statements: &["DELETE FROM dropped_packets WHERE rowid IN \
            (SELECT rowid FROM dropped_packets WHERE dropped_at < datetime(?) LIMIT 1000)"],
    },
    Expiry {
        age: |kept| kept.client_receptions,
        statements: &["DELETE FROM client_receptions WHERE rowid IN \
            (SELECT rowid FROM client_receptions WHERE rx_at < ? LIMIT 1000)"],
    },
    Expiry {
        age: |kept| kept.neighbor_edges,
        statements: &["DELETE FROM neighbor_edges WHERE rowid IN \
            (SELECT rowid FROM neighbor_edges WHERE last_seen < ? LIMIT 1000)"],
    },
];

impl Expiry {
    /// Lets some of it expire; says whether there was any.
    pub(crate) async fn apply(&self, store: &mut Store, kept: &Retention) -> Result<bool> {
        let Some(before) = cutoff((self.age)(kept)) else {
            return Ok(false);
        };
        transaction::begin(&mut store.db).await?;
        let done = self.execute(store, &before).await;
        transaction::finish(&mut store.db, done).await
    }

    async fn execute(&self, store: &mut Store, before: &str) -> Result<bool> {
        let mut changed = 0;
        for sql in self.statements {
            changed = sqlx::query(*sql)
                .bind(before)
                .execute(&mut store.db)
                .await
                .during("let old things expire")?
                .rows_affected();
        }
        store.state.fence.check(&mut store.db).await?;
        Ok(changed > 0)
    }
}

/// The oldest time that is kept, or `None` to keep everything.
fn cutoff(age: Option<Duration>) -> Option<String> {
    let age = i64::try_from(age?.as_secs()).unwrap_or(i64::MAX);
    Some(time::text(time::now_seconds().saturating_sub(age)))
}

/// What one chunk deleted.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) transmissions: u64,
    pub(crate) observations: u64,
    hashes: Vec<String>,
}

/// Deletes some of the oldest packets first heard before `before`, with their observations.
pub(crate) async fn delete_oldest(store: &mut Store, before: &str) -> Result<Deleted> {
    transaction::begin(&mut store.db).await?;
    let done = delete_chunk(store, before).await;
    let deleted = transaction::finish(&mut store.db, done).await?;
    for hash in &deleted.hashes {
        let mut bytes = [0; 8];
        // Hashes of another form were never remembered.
        if hex::decode_to_slice(hash, &mut bytes).is_ok() {
            store.state.transmissions.forget(bytes);
        }
    }
    Ok(deleted)
}

async fn delete_chunk(store: &mut Store, before: &str) -> Result<Deleted> {
    let action = "delete old packets";
    let db = &mut store.db;
    let oldest: Vec<(i64, String, i64)> = sqlx::query_as(
        // Adopted files may have packets without a hash.
        "SELECT id, coalesce(hash, ''), observation_count FROM transmissions WHERE first_seen < ? \
         ORDER BY first_seen LIMIT ?",
    )
    .bind(before)
    .bind(CHUNK_PACKETS)
    .fetch_all(&mut *db)
    .await
    .during(action)?;
    let mut room = CHUNK_OBSERVATIONS;
    let whole: Vec<_> = oldest
        .iter()
        .take_while(|(_, _, observations)| {
            room -= observations;
            room >= 0
        })
        .collect();
    let mut deleted = Deleted::default();
    if let (true, Some((id, hash, _))) = (whole.is_empty(), oldest.first()) {
        deleted.observations = delete_some_observations(db, *id).await?;
        // Fewer than asked for were the last ones.
        if deleted.observations < CHUNK_OBSERVATIONS.unsigned_abs() {
            deleted.transmissions = delete_transmissions(db, &[*id]).await?;
            deleted.hashes.push(hash.clone());
        }
    } else if !whole.is_empty() {
        let ids: Vec<_> = whole.iter().map(|(id, ..)| *id).collect();
        deleted.observations = sqlx::query(
            "DELETE FROM observations WHERE transmission_id IN (SELECT value FROM json_each(?))",
        )
        .bind(serde_json::json!(ids).to_string())
        .execute(&mut *db)
        .await
        .during(action)?
        .rows_affected();
        deleted.transmissions = delete_transmissions(db, &ids).await?;
        deleted.hashes = whole.iter().map(|(_, hash, _)| hash.clone()).collect();
    }
    let gone = |n: u64| -i64::try_from(n).unwrap_or(i64::MAX);
    let totals = Totals {
        transmissions: gone(deleted.transmissions),
        observations: gone(deleted.observations),
        ..Totals::default()
    };
    store.state.fence.add(db, totals).await?;
    Ok(deleted)
}

/// A chunk of the observations of a packet that has very many.
async fn delete_some_observations(db: &mut SqliteConnection, transmission: i64) -> Result<u64> {
    let action = "delete old observations";
    let deleted = sqlx::query(
        "DELETE FROM observations WHERE id IN \
         (SELECT id FROM observations WHERE transmission_id = ? LIMIT ?)",
    )
    .bind(transmission)
    .bind(CHUNK_OBSERVATIONS)
    .execute(&mut *db)
    .await
    .during(action)?
    .rows_affected();
    sqlx::query("UPDATE transmissions SET observation_count = observation_count - ? WHERE id = ?")
        .bind(i64::try_from(deleted).unwrap_or(i64::MAX))
        .bind(transmission)
        .execute(&mut *db)
        .await
        .during(action)?;
    Ok(deleted)
}

async fn delete_transmissions(db: &mut SqliteConnection, ids: &[i64]) -> Result<u64> {
    let result =
        sqlx::query("DELETE FROM transmissions WHERE id IN (SELECT value FROM json_each(?))")
            .bind(serde_json::json!(ids).to_string())
            .execute(db)
            .await
            .during("delete old packets")?;
    Ok(result.rows_affected())
}

/// Pages of the file.
struct Pages {
    all: i64,
    free: i64,
    bytes_each: i64,
}

impl Pages {
    async fn count(db: &mut SqliteConnection) -> Result<Self> {
        let (all, free, bytes_each) = sqlx::query_as(
            "SELECT page_count, freelist_count, page_size \
             FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )
        .fetch_one(db)
        .await
        .during("measure the database")?;
        Ok(Self {
            all,
            free,
            bytes_each,
        })
    }

    fn bytes(&self, pages: i64) -> u64 {
        u64::try_from(pages * self.bytes_each).unwrap_or(0)
    }
}

/// Whether the file holds more than it may.
pub(crate) async fn is_too_large(store: &mut Store, kept: &Retention) -> Result<bool> {
    let pages = Pages::count(&mut store.db).await?;
    let cap = match kept.max_bytes {
        Some(0) => return Ok(false),
        Some(cap) => cap,
        None => {
            let folder = folder_of(store.path());
            let (free, _) = free_and_total_bytes(folder)
                .map_err(|e| Error::io("look at the disk of", folder, e))?;
            let free = free.saturating_sub(store.ballast.missing_bytes());
            // The file's free pages count too, or a full disk would cost all packets before the first
            // page is given back.
            pages.bytes(pages.all).saturating_add(free) / 4 * 3
        }
    };
    Ok(pages.bytes(pages.all - pages.free) > cap)
}

/// Gives some free pages back to the file system; says whether there are more to give. With `all` it goes on
/// to the last one.
pub(crate) async fn give_pages_back(store: &mut Store, pages: u32, all: bool) -> Result<bool> {
    let found = Pages::count(&mut store.db).await?;
    let enough = if all { 0 } else { found.all / SLACK };
    if found.free <= enough {
        return Ok(false);
    }
    transaction::begin(&mut store.db).await?;
    let done = vacuum(store, pages).await;
    transaction::finish(&mut store.db, done).await?;
    let left = Pages::count(&mut store.db).await?;
    // No progress: a file that was not made for it.
    Ok(left.free > enough && left.all < found.all)
}

async fn vacuum(store: &mut Store, pages: u32) -> Result<()> {
    let pragma = format!("PRAGMA incremental_vacuum({pages})");
    // It frees a page a step, so all steps are taken.
    sqlx::query(sqlx::AssertSqlSafe(pragma))
        .fetch_all(&mut store.db)
        .await
        .during("give pages back")?;
    store.state.fence.check(&mut store.db).await
}
