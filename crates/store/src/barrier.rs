//! The start-up barrier.
//!
//! It closes the *ghost commit*: a commit that SIGKILL cut off from its fsync is recovered from the page cache,
//! the redelivered message looks like a duplicate, and would be acknowledged without any sync. So before the
//! first acknowledgement of each process life the WAL is synced (in `connect`), checkpointed, and one real row
//! is committed with `synchronous=FULL`.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use crate::checkpoint::{Checkpoint, CheckpointMode, checkpoint};
use crate::error::{Error, Result, SqliteContext};
use crate::fence::Fence;
use crate::life::{PreviousEnd, random_hex};
use crate::{mutant, time, transaction};

/// How long the first checkpoint may wait for readers.
pub(crate) const BARRIER_WAIT: Duration = Duration::from_millis(250);

/// Passes the barrier; gives back this life's right to write. After an I/O error the checkpoint must complete
/// within `settle`.
pub(crate) async fn pass(
    db: &mut SqliteConnection,
    path: &Path,
    previous: PreviousEnd,
    settle: Duration,
) -> Result<(Fence, Checkpoint)> {
    if mutant::is_active("no-barrier") {
        return without(db, path, previous).await;
    }
    let until = Instant::now() + settle;
    let mut done = checkpoint(db, CheckpointMode::Truncate, BARRIER_WAIT).await?;
    while previous == PreviousEnd::IoError && !done.is_complete() {
        if Instant::now() >= until {
            return Err(Error::Unsettled {
                path: path.to_owned(),
            });
        }
        done = checkpoint(db, CheckpointMode::Truncate, BARRIER_WAIT).await?;
    }
    Ok((take_over(db, path, previous).await?, done))
}

/// Ends the right to write of whoever has it: its next transaction is refused.
pub(crate) async fn revoke(db: &mut SqliteConnection) -> Result<()> {
    sqlx::query("UPDATE store_state SET fencing_token = ?")
        .bind(random_hex::<16>())
        .execute(db)
        .await
        .during("end the right to write of others")?;
    Ok(())
}

/// Commits the row of this life and its fencing token.
async fn take_over(db: &mut SqliteConnection, path: &Path, previous: PreviousEnd) -> Result<Fence> {
    let token = random_hex::<16>();
    transaction::begin(db).await?;
    let done = write_session(db, &token, previous).await;
    transaction::finish(db, done).await?;
    Ok(Fence::new(path.to_owned(), token))
}

async fn write_session(
    db: &mut SqliteConnection,
    token: &str,
    previous: PreviousEnd,
) -> Result<()> {
    let action = "begin the session";
    sqlx::query(
        "INSERT INTO store_state(id, db_uuid, fencing_token) VALUES (1, ?, ?) \
         ON CONFLICT DO UPDATE SET fencing_token = excluded.fencing_token",
    )
    .bind(random_hex::<16>())
    .bind(token)
    .execute(&mut *db)
    .await
    .during(action)?;
    sqlx::query("INSERT INTO ingest_sessions(started_at, version, previous_end) VALUES (?, ?, ?)")
        .bind(time::now_text())
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(previous.as_str())
        .execute(&mut *db)
        .await
        .during(action)?;
    Ok(())
}

/// The fault that the durability tests must find: no sync before the first acknowledgement.
async fn without(
    db: &mut SqliteConnection,
    path: &Path,
    previous: PreviousEnd,
) -> Result<(Fence, Checkpoint)> {
    let done = checkpoint(db, CheckpointMode::Noop, BARRIER_WAIT).await?;
    let token: Option<String> = sqlx::query_scalar("SELECT fencing_token FROM store_state")
        .fetch_optional(&mut *db)
        .await
        .during("read the fencing token")?;
    let fence = match token {
        Some(token) => Fence::new(path.to_owned(), token),
        None => take_over(db, path, previous).await?,
    };
    Ok((fence, done))
}
