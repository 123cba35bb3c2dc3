//! When the writer checkpoints in normal life; both contenders do the same, on the writing thread.

use std::time::{Duration, Instant};

use anyhow::Result;
use meshcore_store::{CheckpointMode, Store};

/// How often the WAL's size is looked at while batches go by.
pub(crate) const LOOK: Duration = Duration::from_millis(200);
/// WAL pages from which a PASSIVE checkpoint is due.
pub(crate) const WAL_PAGES: u64 = 8_000;

/// Checkpoints a store as the writer's maintenance does.
pub(crate) struct Checkpoints(Instant);

impl Checkpoints {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// After a batch.
    pub(crate) async fn step(&mut self, store: &mut Store) -> Result<()> {
        let now = Instant::now();
        if now < self.0 {
            return Ok(());
        }
        self.0 = now + LOOK;
        let seen = store
            .checkpoint(CheckpointMode::Noop, Duration::ZERO)
            .await?;
        if seen.wal_pages.saturating_sub(seen.checkpointed_pages) >= WAL_PAGES {
            store
                .checkpoint(CheckpointMode::Passive, Duration::ZERO)
                .await?;
        }
        Ok(())
    }
}
