//! Retention, the size cap and checkpoints: small pieces of work between batches, so that ingest never stalls.

use std::time::Duration;

use tokio::time::Instant;

use crate::checkpoint::CheckpointMode;
use crate::error::{Class, Result};
use crate::filesystem::{folder_of, free_and_total_bytes};
use crate::retention::{EXPIRIES, Retention, delete_oldest, give_pages_back, is_too_large};
use crate::store::Store;

/// WAL pages from which a PASSIVE checkpoint is due; 8,000 pages are 32 MiB.
const WAL_PAGES: u64 = 8_000;
/// Bytes of a page.
const PAGE_BYTES: u64 = 4_096;
/// The WAL's size is looked at after so much time or so many records, whichever comes first.
const WAL_LOOK: Duration = Duration::from_millis(200);
const WAL_LOOK_RECORDS: usize = 500;
/// How often retention is due.
const ROUND: Duration = Duration::from_mins(10);
/// How often the size is looked at.
const SIZE_LOOK: Duration = Duration::from_secs(10);
/// How long deleting may go on between two batches. Under full load it gets about as much time as writing
/// does, so what is deleted keeps up with what comes in.
const SLICE: Duration = Duration::from_millis(25);
/// The most pages given back in one transaction.
const VACUUM_PAGES: u32 = 128;
/// How long maintenance rests after a full disk or a lock was in its way.
const REST: Duration = Duration::from_secs(10);
/// How long a full disk is cleared before writing is tried again.
const CLEARING: Duration = Duration::from_secs(1);

/// What is left to do, and when to look again.
#[derive(Debug)]
pub struct Maintenance {
    retention: Retention,
    wal_limit: u64,
    next_round: Instant,
    next_size_look: Instant,
    next_wal_look: Instant,
    records_since_look: usize,
    rest_until: Instant,
    expired: bool,
    /// How many of [`EXPIRIES`] are done in this round.
    tidied: usize,
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
            wal_limit: WAL_PAGES,
            next_round: now,
            next_size_look: now,
            next_wal_look: now,
            records_since_look: 0,
            rest_until: now,
            expired: false,
            tidied: EXPIRIES.len(),
            too_large: false,
            vacuum: false,
            wal_pages: 0,
            deleted_transmissions: 0,
        }
    }

    /// The number of WAL pages from which a checkpoint is due: 8,000 if nothing is said. It is never more than
    /// the room set aside for a full disk holds, and less where the disk has little room.
    #[must_use]
    pub fn with_wal_limit(mut self, pages: u64) -> Self {
        self.wal_limit = pages;
        self
    }

    /// When there is something to do even if no batch comes.
    pub(crate) fn next_due(&self) -> Instant {
        let due = if self.has_work() {
            Instant::now()
        } else {
            self.next_round.min(self.next_size_look)
        };
        due.max(self.rest_until)
    }

    fn has_work(&self) -> bool {
        self.expired || self.tidied < EXPIRIES.len() || self.too_large || self.vacuum
    }

    /// Does a slice of what is due after a commit of `records` records. What fails because of a lock, or for want
    /// of room that can't be made, is put off.
    pub(crate) async fn step(&mut self, store: &mut Store, records: usize) -> Result<()> {
        self.records_since_look += records;
        if Instant::now() < self.rest_until {
            return Ok(());
        }
        let mut done = self
            .slice(store)
            .await
            .map_err(|e| e.or_no_room(store.path()));
        if done
            .as_ref()
            .is_err_and(|error| error.class() == Class::Full)
        {
            // At once, and not when the next write fails too: by then the WAL may hold more than the ballast has
            // room for.
            done = self.make_room(store).await;
        }
        match done {
            Err(error) if matches!(error.class(), Class::Full | Class::Busy) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Maintenance is put off"
                );
                self.rest_until = Instant::now() + REST;
                Ok(())
            }
            other => other,
        }
    }

    async fn slice(&mut self, store: &mut Store) -> Result<()> {
        let now = Instant::now();
        if now >= self.next_wal_look || self.records_since_look >= WAL_LOOK_RECORDS {
            self.next_wal_look = now + WAL_LOOK;
            self.records_since_look = 0;
            self.look_at_wal(store).await?;
        }
        if now >= self.next_round {
            self.next_round = now + ROUND;
            self.expired = true;
            self.tidied = 0;
        }
        if now >= self.next_size_look {
            self.next_size_look = now + SIZE_LOOK;
            self.too_large = is_too_large(store, &self.retention).await?;
        }
        while self.has_work() && now.elapsed() < SLICE {
            self.piece(store, false).await?;
        }
        Ok(())
    }

    /// One transaction of the first thing that is left to do.
    async fn piece(&mut self, store: &mut Store, clearing: bool) -> Result<()> {
        if self.expired {
            self.expired = match self.retention.packets_before() {
                Some(before) => self.delete(store, &before).await?,
                None => false,
            };
        } else if let Some(expiry) = EXPIRIES.get(self.tidied) {
            if !expiry.apply(store, &self.retention).await? {
                self.tidied += 1;
            }
        } else if self.too_large {
            let deleted = match self.retention.surplus_before() {
                Some(before) => self.delete(store, &before).await?,
                None => false,
            };
            self.too_large = deleted && is_too_large(store, &self.retention).await?;
        } else if self.vacuum {
            let pages = self.retention.vacuum_pages.min(VACUUM_PAGES);
            self.vacuum = give_pages_back(store, pages, clearing).await?;
        }
        Ok(())
    }

    /// Deletes a chunk of packets; says whether there were any.
    async fn delete(&mut self, store: &mut Store, before: &str) -> Result<bool> {
        let deleted = delete_oldest(store, before).await?;
        self.deleted_transmissions += deleted.transmissions;
        let any = deleted.transmissions + deleted.observations > 0;
        self.vacuum |= any;
        Ok(any)
    }

    async fn look_at_wal(&mut self, store: &mut Store) -> Result<()> {
        let mut seen = store
            .checkpoint(CheckpointMode::Noop, Duration::ZERO)
            .await?;
        let free = free_and_total_bytes(folder_of(store.path())).map_or(u64::MAX, |(free, _)| free);
        // On a full disk it takes the ballast's room to copy into the main file what the WAL adds to it; some of
        // it is left for what comes until the next look.
        let ballast = store
            .ballast
            .bytes()
            .map_or(u64::MAX, |bytes| bytes / 4 * 3);
        let room = ballast.min(free / 4);
        let limit = self.wal_limit.min(room / PAGE_BYTES);
        if seen.wal_pages.saturating_sub(seen.checkpointed_pages) > limit {
            seen = store
                .checkpoint(CheckpointMode::Passive, Duration::ZERO)
                .await?;
            tracing::debug!(
                wal_pages = seen.wal_pages,
                checkpointed = seen.checkpointed_pages,
                "Checkpoint"
            );
        }
        self.wal_pages = seen.wal_pages;
        Ok(())
    }

    /// What to do on a full disk: uses the room that was set aside to checkpoint, and to delete what may be
    /// deleted, then sets it aside again.
    ///
    /// # Errors
    /// When there is still no room.
    pub(crate) async fn make_room(&mut self, store: &mut Store) -> Result<()> {
        store.ballast.release();
        let cleared = self.clear(store).await;
        let filled = store.ballast.fill();
        cleared
            .map_err(|error| error.or_no_room(store.path()))
            .and(filled)
    }

    async fn clear(&mut self, store: &mut Store) -> Result<()> {
        store.shrink_wal().await?;
        let started = Instant::now();
        (self.expired, self.vacuum) = (true, true);
        self.too_large = is_too_large(store, &self.retention).await?;
        while self.has_work() && started.elapsed() < CLEARING {
            self.piece(store, true).await?;
        }
        store.shrink_wal().await
    }
}
