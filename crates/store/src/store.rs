//! The open file, with the right to write it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::barrier::BARRIER_WAIT;
use crate::batch::BatchState;
use crate::checkpoint::{Checkpoint, CheckpointMode, checkpoint};
use crate::error::{Class, Error, Result, SqliteContext};
use crate::filesystem::Ballast;
use crate::life::Life;
use crate::lock::WriterLock;
use crate::open::{Opened, StoreOptions};
use crate::quarantine;
use crate::rows::{Describe, Dropped, Outcome, Record};

/// The open file, with the right to write it.
#[derive(Debug)]
pub struct Store {
    pub(crate) options: StoreOptions,
    /// For everything but batches.
    pub(crate) db: SqliteConnection,
    /// For batches.
    pub(crate) batches: rusqlite::Connection,
    pub(crate) state: BatchState,
    pub(crate) ballast: Ballast,
    pub(crate) lock: WriterLock,
    pub(crate) instance: String,
    /// Whether a write or a checkpoint found the file damaged.
    pub(crate) is_damaged: bool,
}

impl Store {
    /// A random name of this installation, kept beside the file; 12 hex digits.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Each observer's id and the last known skew of its clock in seconds.
    pub async fn observer_skews(&mut self) -> Result<Vec<(String, i64)>> {
        sqlx::query_as(
            "SELECT CAST(id AS TEXT), CAST(clock_skew_seconds AS INTEGER) FROM observers \
             WHERE clock_skew_seconds IS NOT NULL AND id IS NOT NULL",
        )
        .fetch_all(&mut self.db)
        .await
        .during("read the observers' clocks")
    }

    /// Writes `records` durably, all in one transaction unless a row is refused: then the others are written
    /// and the refused one becomes a dead letter with reason `store:<code>`.
    ///
    /// # Errors
    /// Anything but a refused row; nothing of the failing group was written then, though groups before it may
    /// have been. Writing the same records again is harmless. Without the room set aside for a full disk
    /// nothing is written: that counts as full.
    #[expect(
        clippy::unused_async,
        reason = "that it blocks its thread, and how, is no business of callers"
    )]
    pub async fn write(&mut self, records: &[Record], describe: &dyn Describe) -> Result<Outcome> {
        on_this_thread(|| self.write_groups(records, describe))
    }

    fn write_groups(&mut self, records: &[Record], describe: &dyn Describe) -> Result<Outcome> {
        self.ballast.fill()?;
        let mut outcome = Outcome::default();
        // Groups still to write, the next one last.
        let mut groups = vec![records];
        while let Some(group) = groups.pop() {
            match self.write_group(group, describe) {
                Ok(done) => outcome.merge(done),
                Err(error) if error.class() == Class::Row => match group {
                    [] => return Err(error),
                    [record] => {
                        let letter = dead_letter(record, &error).ok_or(error)?;
                        outcome.merge(self.write_group(&[letter], describe)?);
                    }
                    group => {
                        let (first, second) = group.split_at(group.len() / 2);
                        groups.extend([second, first]);
                    }
                },
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    fn write_group(&mut self, group: &[Record], describe: &dyn Describe) -> Result<Outcome> {
        self.state
            .write(&self.batches, group, describe)
            .map_err(|error| self.note_damage(error).or_no_room(&self.options.path))
    }

    fn note_damage(&mut self, error: Error) -> Error {
        self.is_damaged |= error.class() == Class::Corrupt;
        error
    }

    /// Checkpoints the WAL.
    pub async fn checkpoint(&mut self, mode: CheckpointMode, wait: Duration) -> Result<Checkpoint> {
        checkpoint(&mut self.db, mode, wait)
            .await
            .map_err(|error| self.note_damage(error).or_no_room(&self.options.path))
    }

    /// Checkpoints as far as readers allow, and cuts the WAL to nothing if they do.
    pub(crate) async fn shrink_wal(&mut self) -> Result<()> {
        let done = self
            .checkpoint(CheckpointMode::Truncate, BARRIER_WAIT)
            .await?;
        if done.busy {
            self.checkpoint(CheckpointMode::Passive, BARRIER_WAIT)
                .await?;
        }
        Ok(())
    }

    /// Sets the damaged file aside and goes on in a new one. Gives back where the old one is.
    ///
    /// # Errors
    /// When the file can't be moved, or the new one can't be made.
    pub async fn start_over(self) -> Result<(Self, Opened, PathBuf)> {
        let Self {
            options,
            db,
            batches,
            lock,
            state: _,
            ballast: _,
            instance: _,
            is_damaged: _,
        } = self;
        // Not closed, for the reason that `let_go` gives.
        std::mem::forget((db, batches));
        let aside = quarantine::set_aside(&options.path)?;
        let (store, opened) = Self::open_locked(options, lock).await?;
        Ok((store, opened, aside))
    }

    /// Lets the file go after `error`. A damaged one is not closed, for the reason that the `let_go` of connections
    /// gives.
    pub(crate) fn let_go(self, error: &Error) {
        if self.is_damaged || error.class() == Class::Corrupt {
            let Self { db, batches, .. } = self;
            std::mem::forget((db, batches));
        }
    }

    /// Closes the file and notes that this life ended well. A file that was found damaged is left as it is, for the
    /// next start to set aside.
    ///
    /// # Errors
    /// When SQLite can't close it.
    pub async fn close(self) -> Result<()> {
        let Self {
            options,
            db,
            batches,
            lock: _lock,
            is_damaged,
            ..
        } = self;
        if is_damaged {
            tracing::error!(path = %options.path.display(), "The database is damaged; it is left as it is");
            std::mem::forget((db, batches));
            return Ok(());
        }
        let action = "close the database";
        batches.close().map_err(|(_, error)| error).during(action)?;
        db.close().await.during(action)?;
        Life::end(&options.path);
        Ok(())
    }

    /// Notes that this life ends in an I/O error, so that the next one completes its first checkpoint.
    pub fn note_io_error(&self) {
        Life::note_io_error(&self.options.path);
    }
}

/// Does work that blocks. The tasks of this thread, if it is one of several, go on on another one.
fn on_this_thread<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The record that stands for one the store refuses.
fn dead_letter(record: &Record, error: &Error) -> Option<Record> {
    let reason = format!("store:{}", error.sqlite_code().unwrap_or(0)).into();
    let (hash, raw, observer) = match record {
        Record::Reception(r) => (Some(r.hash), r.raw.clone(), Some(&r.observer)),
        Record::Status(s) => (None, Vec::new(), Some(&s.observer)),
        Record::Neighbors(n) => (None, Vec::new(), Some(&n.observer)),
        Record::SignOfLife(observer) => (None, Vec::new(), Some(observer.as_ref())),
        Record::ClientReception(_) => (None, Vec::new(), None),
        // A dead letter that is refused, or nothing: there is no other way to keep it.
        Record::Dropped(_) | Record::Nothing => return None,
    };
    Some(Record::Dropped(Box::new(Dropped {
        reason,
        hash,
        raw,
        observer_id: observer.map(|o| o.id.clone()),
        observer_name: observer.and_then(|o| o.name.clone()),
    })))
}
