//! Import: the rows of a CoreScope database, or of one of ours, are merged into one of ours.
//!
//! The source is attached read-only and never changed. Packets are the same by hash, observers and nodes by id,
//! observations by packet, observer and path. What takes long goes in chunks; each is a transaction that also
//! notes how far it is (`store_jobs`) and keeps totals and counts right, so an import that was stopped or killed
//! goes on when it is run again, and one that is finished adds nothing when it is run again.
//!
//! Packets and observations keep their order, and their ids go below all that are there and below 0: ids are the
//! order in which pages and the live feed show things, and what is imported is history. What is stored between two
//! runs of one import therefore gets ids that the import does not need. Another import may take some of those; each
//! chunk looks, and the rest then goes further down.

mod observers;
mod packets;
mod rest;
mod source;

use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;

use self::source::Source;
use crate::checkpoint::CheckpointMode;
use crate::error::{Result, SqliteContext};
use crate::fence::Totals;
use crate::filesystem::beside;
use crate::job::{ChunkSize, Job};
use crate::open::StoreOptions;
use crate::store::Store;
use crate::transaction;

/// What names of imports in `store_jobs` begin with.
pub(crate) const JOB_PREFIX: &str = "import ";
/// How long one transaction should take: a stop waits for it.
const CHUNK_TIME: Duration = Duration::from_millis(80);
/// Rows in the first chunk, and the fewest and most there may be.
const CHUNK_ROWS: i64 = 1_000;
const CHUNK_LIMITS: RangeInclusive<i64> = 100..=20_000;
/// Bytes in the WAL from which it is checkpointed between chunks.
const WAL_BYTES: u64 = 64 << 20;
/// How long the last checkpoint waits for readers.
const READERS_WAIT: Duration = Duration::from_secs(1);

/// The steps, in their order.
const STEPS: [&str; 5] = [
    "observers",
    "transmissions",
    "observations",
    "metrics",
    "rest",
];

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Rows of the source that are done.
    pub done: u64,
    /// Rows of the source.
    pub total: u64,
}

/// What became of the rows of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Rows of the source.
    pub read: u64,
    /// Rows that are new in the target.
    pub added: u64,
    /// Rows that can't be kept: packets without a hash, and what belongs to them.
    pub left_out: u64,
}

impl Tally {
    /// Rows that were there already.
    pub fn known(self) -> u64 {
        self.read.saturating_sub(self.added + self.left_out)
    }

    fn count(&mut self, read: i64, added: u64, left_out: i64) {
        let positive = |n: i64| u64::try_from(n).unwrap_or(0);
        self.read += positive(read);
        self.added += added;
        self.left_out += positive(left_out);
    }
}

/// What an import did, over all its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// By table of the source.
    pub tables: BTreeMap<String, Tally>,
    /// Whether it went on where an earlier run had stopped.
    pub resumed: bool,
    /// Whether everything is done; else somebody asked to stop.
    pub finished: bool,
}

/// What is noted between chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tallies {
    tables: BTreeMap<String, Tally>,
    /// What is added to the source's ids.
    transmission_shift: i64,
    observation_shift: i64,
    /// The highest rows of the source when it began: what comes later is for another import.
    last_transmission: i64,
    last_observation: i64,
    /// Observers from this row on are new: their `packet_count` came with them.
    first_new_observer: i64,
    /// Rows of the source, for the progress.
    total: u64,
}

impl Tallies {
    fn table(&mut self, name: &str) -> &mut Tally {
        self.tables.entry(name.to_owned()).or_default()
    }

    fn done(&self) -> u64 {
        self.tables.values().map(|tally| tally.read).sum()
    }
}

/// Merges the database at `source` into the one that `target` names, which is made if it isn't there.
/// `progress` is told after each chunk and says whether to go on.
///
/// # Errors
/// [`Error::Source`](crate::Error::Source) for a source that can't be read, [`Error::Locked`](crate::Error::Locked)
/// while a writer runs on the target; what SQLite says. What was committed stays, and the next run goes on.
pub async fn import(
    source: &Path,
    target: StoreOptions,
    mut progress: impl FnMut(&ImportProgress) -> ControlFlow<()> + Send,
) -> Result<Imported> {
    let source = Source::examine(source, &target.path).await?;
    let (store, _) = Store::open(target).await?;
    let mut import = Import {
        store,
        source,
        chunk: ChunkSize::new(CHUNK_ROWS, CHUNK_LIMITS, CHUNK_TIME),
        resumed: false,
    };
    // Boxed: it is large, and it runs once.
    let done = Box::pin(import.run(&mut progress)).await;
    import.end(done).await
}

struct Import {
    store: Store,
    source: Source,
    chunk: ChunkSize,
    resumed: bool,
}

type Progress<'a> = &'a mut (dyn FnMut(&ImportProgress) -> ControlFlow<()> + Send);

impl Import {
    async fn run(&mut self, progress: Progress<'_>) -> Result<Imported> {
        self.source.attach(&mut self.store.db).await?;
        let mut job = self.begin().await?;
        // Each run needs to know which observer is which.
        self.merge_observers(&mut job).await?;
        let mut going = progress(&Self::progress(&job));
        while going.is_continue() && !job.finished {
            let started = Instant::now();
            match job.step.as_str() {
                "transmissions" => self.transmissions(&mut job).await?,
                "observations" => self.observations(&mut job).await?,
                "metrics" => self.metrics(&mut job).await?,
                _ => self.rest(&mut job).await?,
            }
            self.chunk.learn(started.elapsed());
            self.keep_wal_small().await?;
            going = progress(&Self::progress(&job));
        }
        Ok(Imported {
            tables: job.tallies.tables.clone(),
            resumed: self.resumed,
            finished: job.finished,
        })
    }

    /// Lets the source go and closes the target, whatever came before.
    async fn end(self, done: Result<Imported>) -> Result<Imported> {
        let Self {
            mut store, source, ..
        } = self;
        let imported = match done {
            Ok(imported) => imported,
            Err(error) => {
                let error = error.or_no_room(store.path());
                if error.class() == crate::Class::Io {
                    store.note_io_error();
                } else if error.class() != crate::Class::Corrupt {
                    store.close().await.ok();
                } else {
                    store.let_go(&error);
                }
                return Err(error);
            }
        };
        source.detach(&mut store.db).await?;
        store
            .checkpoint(CheckpointMode::Truncate, READERS_WAIT)
            .await?;
        store.close().await?;
        Ok(imported)
    }

    /// Loads the job of an interrupted run with the same source, or begins one.
    async fn begin(&mut self) -> Result<Job<Tallies>> {
        let name = format!("{JOB_PREFIX}{}", self.source.fingerprint());
        let db = &mut self.store.db;
        if let Some(job) = Job::<Tallies>::load(db, &name).await?
            && !job.finished
        {
            self.resumed = true;
            return Ok(job);
        }
        let mut job = Job::<Tallies>::new(name, STEPS[0]);
        job.tallies = self.source.measure(db).await?;
        Ok(job)
    }

    fn progress(job: &Job<Tallies>) -> ImportProgress {
        let total = job.tallies.total;
        ImportProgress {
            done: job.tallies.done().min(total),
            total,
        }
    }

    async fn keep_wal_small(&mut self) -> Result<()> {
        let wal = beside(self.store.path(), "-wal");
        if std::fs::metadata(wal).map_or(0, |m| m.len()) > WAL_BYTES {
            // Of the target only: the source can't be checkpointed.
            sqlx::query("PRAGMA main.wal_checkpoint(PASSIVE)")
                .fetch_all(&mut self.store.db)
                .await
                .during("checkpoint the WAL")?;
        }
        Ok(())
    }

    /// Ends a transaction: with totals, the fencing check and the job if `done` is good.
    async fn commit(&mut self, done: Result<Totals>, job: &Job<Tallies>) -> Result<()> {
        let done = match done {
            Ok(totals) => self.settle(totals, job).await,
            Err(error) => Err(error),
        };
        transaction::finish(&mut self.store.db, done).await
    }

    async fn settle(&mut self, totals: Totals, job: &Job<Tallies>) -> Result<()> {
        let Store { db, state, .. } = &mut self.store;
        state.fence.add(db, totals).await?;
        job.save(db).await
    }
}

/// Whether anything was imported into this file.
pub(crate) async fn has_imports(db: &mut SqliteConnection) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS(SELECT 1 FROM store_jobs WHERE name >= ? AND name < ?)")
        .bind(JOB_PREFIX)
        // The text right behind all that begin so.
        .bind("import!")
        .fetch_one(db)
        .await
        .during("look for imports")
}
