//! Adoption: a CoreScope database becomes ours where it stands.
//!
//! Nothing of theirs is deleted or rewritten: columns are appended, tables and indexes added, NULLs filled that
//! CoreScope's own migrations would fill. What takes long goes in chunks, each a transaction that also notes how
//! far it is (`store_jobs`), so a kill at any point costs one chunk at most. `application_id` and `user_version`
//! come last, in the transaction that also writes the totals: until then the file is theirs, and readers wait.
//!
//! The same steps count a file of ours again that CoreScope has written to after us.

pub(crate) mod count;
mod finish;
mod indexes;
mod observers;
mod recognise;
pub(crate) mod reference;
mod structure;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;

pub(crate) use self::recognise::{check_usable, is_core_scope, unusable};
use crate::checkpoint::{CheckpointMode, checkpoint};
use crate::error::{Class, Result, SqliteContext};
use crate::filesystem::beside;
use crate::import;
use crate::job::{ChunkSize, Job};
use crate::life::Life;
use crate::open::ProgressHook;
use crate::transaction;

/// The name of the work in `store_jobs`.
const JOB: &str = "adoption";
/// How long one transaction should take. Nobody waits for the writer yet, but readers and a stop do.
const CHUNK_TIME: Duration = Duration::from_millis(40);
/// Rows in the first chunk, and the fewest and most there may be.
const CHUNK_ROWS: i64 = 2_000;
const CHUNK_LIMITS: RangeInclusive<i64> = 100..=50_000;
/// Bytes in the WAL from which it is checkpointed between chunks.
const WAL_BYTES: u64 = 64 << 20;
/// Steps of SQLite's machine between two looks whether somebody still waits for the result.
const LOOK_EVERY: i32 = 20_000;

/// The parts of an adoption that take long, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptionStep {
    /// Observations of an older shape learn the row of their observer.
    Observers,
    /// Indexes are built, each in one piece.
    Indexes,
    /// Packets get the columns that are derived from their JSON.
    Transmissions,
    /// Observations are counted by packet and by hour.
    Observations,
}

const STEPS: [AdoptionStep; 4] = [
    AdoptionStep::Observers,
    AdoptionStep::Indexes,
    AdoptionStep::Transmissions,
    AdoptionStep::Observations,
];

impl AdoptionStep {
    fn name(self) -> &'static str {
        match self {
            Self::Observers => "observers",
            Self::Indexes => "indexes",
            Self::Transmissions => "transmissions",
            Self::Observations => "observations",
        }
    }
}

/// How far an adoption is. Its text is for people: `adopting the CoreScope database: 40 % of 1,234,567
/// observations`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptionProgress {
    /// What is being done.
    pub step: AdoptionStep,
    /// Rows, or indexes, done in this step.
    pub done: u64,
    /// Rows, or indexes, in all.
    pub total: u64,
}

impl fmt::Display for AdoptionProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, done, total } = *self;
        let percent = done.min(total).saturating_mul(100) / total.max(1);
        let total = grouped(total);
        f.write_str("adopting the CoreScope database: ")?;
        match step {
            AdoptionStep::Observers => {
                write!(f, "observers of {total} observations, {percent} % done")
            }
            AdoptionStep::Indexes => write!(f, "{done} of {total} missing indexes built"),
            AdoptionStep::Transmissions => write!(f, "{percent} % of {total} packets"),
            AdoptionStep::Observations => write!(f, "{percent} % of {total} observations"),
        }
    }
}

/// `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What an adoption found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Packets in the file.
    pub transmissions: i64,
    /// Observations in the file.
    pub observations: i64,
    /// Whether the file was ours before, and was only counted again.
    pub was_ours: bool,
    /// Observations that share packet, observer and path with an earlier one. They are kept.
    pub repeated_observations: i64,
}

/// What is counted on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tallies {
    /// Rows when it began, for the progress only.
    transmissions_expected: i64,
    observations_expected: i64,
    /// Rows seen by the chunks.
    transmissions: i64,
    observations: i64,
    repeated_observations: i64,
    /// The highest rows that are counted: what CoreScope adds later is above them.
    last_transmission: i64,
    last_observation: i64,
    /// Whether the file was CoreScope's, and not one of ours that CoreScope only wrote to.
    was_core_scopes: bool,
}

/// Whether a file of ours needs counting: it was interrupted, or CoreScope wrote the newest observation.
pub(crate) async fn is_due(db: &mut SqliteConnection) -> Result<bool> {
    let job = Job::<Tallies>::load(db, JOB).await?;
    if job.as_ref().is_some_and(|job| !job.finished) {
        return Ok(true);
    }
    let newest: Option<(i64, bool)> =
        sqlx::query_as("SELECT id, time_source IS NULL FROM observations ORDER BY id DESC LIMIT 1")
            .fetch_optional(db)
            .await
            .during("look at the newest observation")?;
    let counted = job.map_or(i64::MIN, |job| job.tallies.last_observation);
    Ok(newest.is_some_and(|(id, is_theirs)| is_theirs && id > counted))
}

/// Whether the file, or some of what is in it, was CoreScope's once.
pub(crate) async fn was_adopted(db: &mut SqliteConnection) -> Result<bool> {
    let job = Job::<Tallies>::load(db, JOB).await?;
    Ok(job.is_some_and(|job| job.tallies.was_core_scopes) || import::has_imports(db).await?)
}

/// Adopts the file, or goes on with it.
///
/// # Cancel safety
/// May be dropped at any time: the statement at work is interrupted and its transaction rolled back.
pub(crate) async fn adopt(
    db: &mut SqliteConnection,
    path: &Path,
    was_ours: bool,
    hook: &ProgressHook,
) -> Result<Adopted> {
    // A kill from here on is an unclean end, and an I/O error one that the next start must know of.
    Life::begin(path)?;
    let _interrupt = Interrupt::set(db).await?;
    let adoption = Adoption {
        db,
        path,
        was_ours,
        hook,
        chunk: ChunkSize::new(CHUNK_ROWS, CHUNK_LIMITS, CHUNK_TIME),
    };
    let done = adoption.run().await;
    Interrupt::unset(db).await?;
    if done.as_ref().is_err_and(|error| error.class() == Class::Io) {
        Life::note_io_error(path);
    }
    done
}

struct Adoption<'a> {
    db: &'a mut SqliteConnection,
    path: &'a Path,
    was_ours: bool,
    hook: &'a ProgressHook,
    chunk: ChunkSize,
}

impl Adoption<'_> {
    async fn run(mut self) -> Result<Adopted> {
        let started = Instant::now();
        let mut job = self.begin().await?;
        tracing::info!(
            path = %self.path.display(),
            observations = job.tallies.observations_expected,
            step = job.step,
            "Adopting a CoreScope database"
        );
        loop {
            for step in STEPS {
                if job.step == step.name() {
                    self.take(step, &mut job).await?;
                }
            }
            if let Some(adopted) = self.finish(&mut job).await? {
                tracing::info!(
                    transmissions = adopted.transmissions,
                    observations = adopted.observations,
                    took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "The database is adopted"
                );
                return Ok(adopted);
            }
        }
    }

    async fn take(&mut self, step: AdoptionStep, job: &mut Job<Tallies>) -> Result<()> {
        match step {
            AdoptionStep::Observers => self.fill_observers(job).await,
            AdoptionStep::Indexes => self.build_indexes(job).await,
            AdoptionStep::Transmissions => self.derive_columns(job).await,
            AdoptionStep::Observations => self.count_observations(job).await,
        }
    }

    fn tell(&self, step: AdoptionStep, done: i64, total: i64) {
        self.hook.tell(&AdoptionProgress {
            step,
            done: u64::try_from(done).unwrap_or(0),
            total: u64::try_from(total).unwrap_or(0),
        });
    }

    /// The id and number of rows of the next chunk of `table` behind `position`; `None` at its end.
    async fn next_chunk(&mut self, table: Chunked, position: i64) -> Result<Option<(i64, i64)>> {
        let sql = match table {
            Chunked::Transmissions => {
                "SELECT max(id), count(*) FROM (SELECT id FROM transmissions WHERE id > ? ORDER BY id LIMIT ?)"
            }
            Chunked::Observations => {
                "SELECT max(id), count(*) FROM (SELECT id FROM observations WHERE id > ? ORDER BY id LIMIT ?)"
            }
        };
        let (last, rows): (Option<i64>, i64) = sqlx::query_as(sql)
            .bind(position)
            .bind(self.chunk.rows())
            .fetch_one(&mut *self.db)
            .await
            .during("find the next rows to adopt")?;
        Ok(last.map(|last| (last, rows)))
    }

    /// Copies the WAL into the main file when it has grown. Our connection never does so by itself.
    async fn keep_wal_small(&mut self) -> Result<()> {
        let bytes = std::fs::metadata(beside(self.path, "-wal")).map_or(0, |m| m.len());
        if bytes > WAL_BYTES {
            checkpoint(self.db, CheckpointMode::Passive, Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Runs one chunk as a transaction: `done` is what it gives back before the commit.
    async fn commit<T>(&mut self, done: Result<T>) -> Result<T> {
        let done = transaction::finish(self.db, done).await?;
        self.keep_wal_small().await?;
        Ok(done)
    }
}

/// Tables that are gone through in chunks.
#[derive(Debug, Clone, Copy)]
enum Chunked {
    Transmissions,
    Observations,
}

/// Ends the statement at work when the future that waits for it is dropped: SQLite runs on a thread of its own
/// and would build an index to its end for nobody.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    async fn set(db: &mut SqliteConnection) -> Result<Self> {
        let gone = Arc::new(AtomicBool::new(false));
        let look = Arc::clone(&gone);
        db.lock_handle()
            .await
            .during("watch for a stop")?
            .set_progress_handler(LOOK_EVERY, move || !look.load(Ordering::Relaxed));
        Ok(Self(gone))
    }

    async fn unset(db: &mut SqliteConnection) -> Result<()> {
        db.lock_handle()
            .await
            .during("watch for a stop")?
            .remove_progress_handler();
        Ok(())
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_sentence() {
        let progress = AdoptionProgress {
            step: AdoptionStep::Observations,
            done: 493_827,
            total: 1_234_567,
        };
        assert_eq!(
            progress.to_string(),
            "adopting the CoreScope database: 40 % of 1,234,567 observations"
        );
        let nothing = AdoptionProgress {
            step: AdoptionStep::Transmissions,
            done: 0,
            total: 0,
        };
        assert!(nothing.to_string().ends_with("0 % of 0 packets"));
    }
}
