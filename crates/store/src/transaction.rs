//! Write transactions, begun and ended by plain statements.
//!
//! sqlx's own `Transaction` is not used by the writer: SQLite rolls back by itself after some errors (a full
//! disk is one), sqlx's ROLLBACK then fails, and it believes itself inside a transaction for ever after.

use rusqlite::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::error::{Result, SqliteContext};

/// Begins a transaction that has the right to write from its first statement on: a deferred one that turns
/// writer later can fail with `SQLITE_BUSY_SNAPSHOT`, which no busy time-out waits for.
pub(crate) async fn begin(db: &mut SqliteConnection) -> Result<()> {
    sqlx::query("BEGIN IMMEDIATE")
        .execute(db)
        .await
        .during("begin a transaction")?;
    Ok(())
}

/// Commits if `done` is good, else rolls back. What it gives back is durable.
pub(crate) async fn finish<T>(db: &mut SqliteConnection, done: Result<T>) -> Result<T> {
    let done = match done {
        Ok(done) => sqlx::query("COMMIT")
            .execute(&mut *db)
            .await
            .during("commit")
            .map(|_| done),
        Err(error) => Err(error),
    };
    if done.is_err()
        && let Err(error) = sqlx::query("ROLLBACK").execute(db).await
    {
        tracing::debug!(%error, "Nothing to roll back: SQLite has done it by itself");
    }
    done
}

/// [`begin`] for a batch.
pub(crate) fn begin_batch(db: &Connection) -> Result<()> {
    execute(db, "BEGIN IMMEDIATE").during("begin a transaction")
}

/// [`finish`] for a batch.
pub(crate) fn finish_batch<T>(db: &Connection, done: Result<T>) -> Result<T> {
    let done = done.and_then(|done| execute(db, "COMMIT").during("commit").map(|()| done));
    if done.is_err()
        && let Err(error) = execute(db, "ROLLBACK")
    {
        tracing::debug!(%error, "Nothing to roll back: SQLite has done it by itself");
    }
    done
}

/// Ends a batch that has nothing to keep.
pub(crate) fn abandon_batch(db: &Connection) -> Result<()> {
    execute(db, "ROLLBACK").during("roll back")
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(|_| ())
}
