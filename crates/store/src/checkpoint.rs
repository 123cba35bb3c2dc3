//! Checkpoints, with their result row always read: `busy` is a row, not an error.

use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::error::{Result, SqliteContext};

/// How far a checkpoint goes (<https://sqlite.org/pragma.html#pragma_wal_checkpoint>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointMode {
    /// Only look at the WAL.
    Noop,
    /// Copy what no reader needs, wait for nobody.
    Passive,
    /// Copy everything, wait for readers and cut the WAL to nothing. It holds the writer lock while it waits.
    Truncate,
}

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// A reader or another writer kept it from completing.
    pub busy: bool,
    /// Pages in the WAL afterwards; 0 when it was truncated.
    pub wal_pages: u64,
    /// Pages of them that are in the main file.
    pub checkpointed_pages: u64,
}

impl Checkpoint {
    /// Whether the main file holds everything.
    pub fn is_complete(&self) -> bool {
        !self.busy && self.checkpointed_pages == self.wal_pages
    }
}

/// The busy time-out of the writer in normal life; it covers foreign tools only.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a checkpoint that waits at most `wait` for readers.
pub(crate) async fn checkpoint(
    db: &mut SqliteConnection,
    mode: CheckpointMode,
    wait: Duration,
) -> Result<Checkpoint> {
    let action = "checkpoint the WAL";
    let pragma = match mode {
        CheckpointMode::Noop => "PRAGMA wal_checkpoint(NOOP)",
        CheckpointMode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        CheckpointMode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    if mode == CheckpointMode::Truncate {
        set_busy_timeout(db, wait).await?;
    }
    let row = sqlx::query(pragma).fetch_one(&mut *db).await.during(action);
    if mode == CheckpointMode::Truncate {
        set_busy_timeout(db, BUSY_TIMEOUT).await?;
    }
    let row = row?;
    let column = |at: usize| -> Result<i64> { row.try_get(at).during(action) };
    // -1 in both counts: there is no WAL.
    let pages = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Checkpoint {
        busy: column(0)? != 0,
        wal_pages: pages(column(1)?),
        checkpointed_pages: pages(column(2)?),
    })
}

async fn set_busy_timeout(db: &mut SqliteConnection, wait: Duration) -> Result<()> {
    let pragma = format!("PRAGMA busy_timeout = {}", wait.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(pragma))
        .execute(db)
        .await
        .during("set the busy time-out")?;
    Ok(())
}
