//! The writer's loop: take what is queued, commit it, tell that it is durable, look after the file.
//!
//! There is no timer: it commits as soon as the queue runs dry, so one packet waits for one sync and a flood
//! is written in large groups.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::{Class, Error, Result};
use crate::maintenance::Maintenance;
use crate::open::Store;
use crate::rows::{Describe, Outcome, Record};

/// The most records one transaction takes.
pub const BATCH_ROWS: usize = 5_000;
/// How often a full disk or a locked file is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// One durable commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// What it did.
    pub outcome: Outcome,
    /// How many records it held.
    pub records: usize,
    /// From the start of the transaction to its durability.
    pub took: Duration,
    /// Pages in the WAL when it was last looked at.
    pub wal_pages: u64,
    /// Packets that retention has deleted in this process life.
    pub deleted_transmissions: u64,
}

/// What keeps the writer from writing, or worries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing does.
    Writing,
    /// The disk is full: nothing is acknowledged until there is room.
    DiskFull,
    /// Another connection holds the file.
    Busy,
    /// A damaged file was set aside; writing goes on in a new one.
    SetAside {
        /// Where the damaged file is.
        path: PathBuf,
    },
}

/// Who is told what the writer does. `T` is what came with each record, usually an acknowledgement to send.
pub trait WriterEvents<T>: Send {
    /// `tokens` belong to records that are durable.
    fn committed(&mut self, commit: &Commit, tokens: Vec<T>);
    /// The condition has changed.
    fn condition(&mut self, condition: &Condition);
}

/// The writer: the file, the queue in front of it, and who hears of commits.
pub struct Writer<T, E, D> {
    store: Store,
    queue: mpsc::Receiver<(Record, T)>,
    events: E,
    describe: D,
    maintenance: Maintenance,
    linger: Duration,
}

impl<T: Send, E: WriterEvents<T>, D: Describe> Writer<T, E, D> {
    /// Puts a writer together; `linger` is how long it waits for more once something is there.
    pub fn new(
        store: Store,
        queue: mpsc::Receiver<(Record, T)>,
        events: E,
        describe: D,
        maintenance: Maintenance,
        linger: Duration,
    ) -> Self {
        Self {
            store,
            queue,
            events,
            describe,
            maintenance,
            linger,
        }
    }

    /// Writes until `stop` completes, then takes nothing more in, writes what is queued and gives the file back.
    ///
    /// # Errors
    /// I/O errors (noted for the next start), a takeover by another writer, and what else makes writing
    /// impossible. Nothing that was not durable has been told to be.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<Store> {
        let mut stop = std::pin::pin!(stop);
        let mut stopping = false;
        let mut group: Vec<(Record, T)> = Vec::new();
        loop {
            let taken = tokio::select! {
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.queue.close();
                    continue;
                }
                taken = self.queue.recv_many(&mut group, BATCH_ROWS) => Some(taken),
                () = tokio::time::sleep_until(self.maintenance.next_due()) => None,
            };
            match taken {
                Some(0) => return Ok(self.store),
                Some(_) => {
                    self.gather(&mut group).await;
                    self = self.commit(&mut group).await?;
                }
                None => {}
            }
            self = self.maintain().await?;
        }
    }

    /// Waits a little for more, where that is wanted.
    async fn gather(&mut self, group: &mut Vec<(Record, T)>) {
        if self.linger.is_zero() {
            return;
        }
        let until = Instant::now() + self.linger;
        while group.len() < BATCH_ROWS {
            let room = BATCH_ROWS - group.len();
            match tokio::time::timeout_at(until, self.queue.recv_many(group, room)).await {
                Ok(n) if n > 0 => {}
                _ => break,
            }
        }
    }

    /// Commits the group, however long that takes, and tells of it.
    async fn commit(mut self, group: &mut Vec<(Record, T)>) -> Result<Self> {
        let (records, tokens): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let mut tokens = Some(tokens);
        if crate::mutant::is_active("ack-before-commit") {
            self.tell(
                Outcome::default(),
                records.len(),
                Duration::ZERO,
                tokens.take().unwrap_or_default(),
            );
        }
        let mut condition = Condition::Writing;
        let outcome = loop {
            let started = Instant::now();
            match self.store.write(&records, &self.describe).await {
                Ok(outcome) => break (outcome, started.elapsed()),
                Err(error) => self = self.overcome(error, &mut condition).await?,
            }
        };
        if !matches!(condition, Condition::Writing) {
            self.events.condition(&Condition::Writing);
        }
        self.tell(
            outcome.0,
            records.len(),
            outcome.1,
            tokens.unwrap_or_default(),
        );
        Ok(self)
    }

    fn tell(&mut self, outcome: Outcome, records: usize, took: Duration, tokens: Vec<T>) {
        let commit = Commit {
            outcome,
            records,
            took,
            wal_pages: self.maintenance.wal_pages,
            deleted_transmissions: self.maintenance.deleted_transmissions,
        };
        self.events.committed(&commit, tokens);
    }

    /// Does what can be done about a failed write; gives the error back when nothing can.
    async fn overcome(mut self, error: Error, condition: &mut Condition) -> Result<Self> {
        match error.class() {
            Class::Full => {
                self.change(condition, Condition::DiskFull, &error);
                if let Err(still) = self.store.make_room().await {
                    match still.class() {
                        Class::Full | Class::Busy => tokio::time::sleep(RETRY).await,
                        _ => return self.fail(still),
                    }
                }
                Ok(self)
            }
            Class::Busy => {
                self.change(condition, Condition::Busy, &error);
                tokio::time::sleep(RETRY).await;
                Ok(self)
            }
            Class::Corrupt => {
                let (store, _, path) = self.store.start_over().await?;
                self.store = store;
                tracing::error!(error = %error, set_aside = %path.display(), "The database is damaged; it was set aside and a new one begun");
                *condition = Condition::Writing;
                self.events.condition(&Condition::SetAside { path });
                Ok(self)
            }
            _ => self.fail(error),
        }
    }

    fn fail(self, error: Error) -> Result<Self> {
        if error.class() == Class::Io {
            self.store.note_io_error();
        }
        Err(error)
    }

    fn change(&mut self, condition: &mut Condition, to: Condition, error: &Error) {
        if *condition != to {
            tracing::error!(error = %error, cause = ?std::error::Error::source(error).map(ToString::to_string), condition = ?to, "Writing is held up; nothing is acknowledged until it goes on");
            self.events.condition(&to);
            *condition = to;
        }
    }

    /// One piece of maintenance. What fails here for want of room or because of a lock is tried again later.
    async fn maintain(mut self) -> Result<Self> {
        match self.maintenance.step(&mut self.store).await {
            Ok(()) => Ok(self),
            Err(error) => match error.class() {
                Class::Full | Class::Busy => {
                    tracing::warn!(error = %error, "Maintenance was put off");
                    Ok(self)
                }
                Class::Corrupt => self.overcome(error, &mut Condition::Writing).await,
                _ => self.fail(error),
            },
        }
    }
}
