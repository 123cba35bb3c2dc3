//! The writer's loop: take what is queued, commit it, tell that it is durable, look after the file.
//!
//! There is no timer: it commits as soon as the queue runs dry, so one packet waits for one sync and a flood
//! is written in large groups.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::{Class, Error, Result};
use crate::maintenance::Maintenance;
use crate::rows::{Describe, Outcome, Record};
use crate::store::Store;

/// The most records one transaction takes.
pub const BATCH_ROWS: usize = 5_000;
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait before a locked file is tried again.
const BUSY_AGAIN: Duration = Duration::from_millis(100);

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
            tokio::select! {
                // The order matters: nothing more is taken in once the stop has come, and what is queued goes
                // before maintenance.
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.queue.close();
                    continue;
                }
                taken = self.queue.recv_many(&mut group, BATCH_ROWS) => {
                    if taken == 0 {
                        return Ok(self.store);
                    }
                }
                () = tokio::time::sleep_until(self.maintenance.next_due()), if !stopping => {}
            }
            let mut records = 0;
            if !group.is_empty() {
                if !stopping && self.gather(&mut group, stop.as_mut()).await {
                    stopping = true;
                    self.queue.close();
                }
                records = group.len();
                self = self.commit(&mut group).await?;
            }
            if !stopping {
                self = self.maintain(records).await?;
            }
        }
    }

    /// Waits a little for more, where that is wanted. Says whether the stop came meanwhile.
    async fn gather(
        &mut self,
        group: &mut Vec<(Record, T)>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        let until = Instant::now() + self.linger;
        while !self.linger.is_zero() && group.len() < BATCH_ROWS {
            let room = BATCH_ROWS - group.len();
            tokio::select! {
                biased;
                () = &mut stop => return true,
                () = tokio::time::sleep_until(until) => break,
                taken = self.queue.recv_many(group, room) => {
                    if taken == 0 {
                        break;
                    }
                }
            }
        }
        false
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
        let mut trouble = Trouble::default();
        let (outcome, took) = loop {
            let started = Instant::now();
            match self.store.write(&records, &self.describe).await {
                Ok(outcome) => break (outcome, started.elapsed()),
                Err(error) => self = self.overcome(error, &mut trouble).await?,
            }
        };
        if trouble.condition.is_some() {
            tracing::info!("Writing goes on");
            self.events.condition(&Condition::Writing);
        }
        self.tell(outcome, records.len(), took, tokens.unwrap_or_default());
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
    async fn overcome(mut self, error: Error, trouble: &mut Trouble) -> Result<Self> {
        match error.class() {
            Class::Full => {
                // The first time, a checkpoint and what may be deleted can be enough. Later on, others must make room.
                if trouble.made_room {
                    self.hold_up(trouble, Condition::DiskFull, &error);
                    tokio::time::sleep(RETRY).await;
                }
                trouble.made_room = true;
                match self.maintenance.make_room(&mut self.store).await {
                    Err(still) if !matches!(still.class(), Class::Full | Class::Busy) => {
                        self.fail(still)
                    }
                    Err(still) => {
                        tracing::debug!(error = %still, "There is still no room");
                        Ok(self)
                    }
                    Ok(()) => Ok(self),
                }
            }
            Class::Busy => {
                self.hold_up(trouble, Condition::Busy, &error);
                // The busy time-out has passed already, but for the few kinds that don't wait for it.
                tokio::time::sleep(BUSY_AGAIN).await;
                Ok(self)
            }
            Class::Corrupt if !trouble.started_over => {
                trouble.started_over = true;
                self.start_over(&error).await
            }
            _ => self.fail(error),
        }
    }

    async fn start_over(mut self, error: &Error) -> Result<Self> {
        let (store, _, path) = Box::pin(self.store.start_over()).await?;
        self.store = store;
        tracing::error!(error = error as &dyn std::error::Error, set_aside = %path.display(), "The database is damaged; it was set aside and a new one begun");
        self.events.condition(&Condition::SetAside { path });
        Ok(self)
    }

    fn fail(self, error: Error) -> Result<Self> {
        if error.class() == Class::Io {
            self.store.note_io_error();
        }
        self.store.let_go(&error);
        Err(error)
    }

    fn hold_up(&mut self, trouble: &mut Trouble, condition: Condition, error: &Error) {
        if trouble.condition.as_ref() != Some(&condition) {
            tracing::error!(error = error as &dyn std::error::Error, condition = ?condition, "Writing is held up; nothing is acknowledged until it goes on");
            self.events.condition(&condition);
            trouble.condition = Some(condition);
        }
    }

    /// A slice of maintenance after a commit of `records` records.
    async fn maintain(mut self, records: usize) -> Result<Self> {
        match self.maintenance.step(&mut self.store, records).await {
            Ok(()) => Ok(self),
            Err(error) if error.class() == Class::Corrupt => self.start_over(&error).await,
            Err(error) => self.fail(error),
        }
    }
}

/// What a group went through before it was committed.
#[derive(Default)]
struct Trouble {
    /// What holds it up, as it was told.
    condition: Option<Condition>,
    /// Whether room was made on a full disk once.
    made_room: bool,
    /// Whether a damaged file was set aside for it. A second one is no accident.
    started_over: bool,
}
