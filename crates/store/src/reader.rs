//! Reading beside the writer: never creates, never writes, never checkpoints. Each query is one short read
//! transaction with a bounded answer, since a reader that stays keeps the WAL from being reused.

mod columns;
mod nodes;
mod observations;
mod observers;
mod packets;
#[cfg(test)]
mod plans;
mod stats;

pub use nodes::{NodeCounts, NodeFilter, NodeRow, RoleCounts};
pub use observations::ObservationRow;
pub use observers::ObserverRow;
pub use stats::Stats;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::error::{Error, Result, SqliteContext};
use crate::schema::{APPLICATION_ID, SCHEMA_VERSION};

/// How many rows SQLite's thread may be ahead of whoever reads them: a page of the longest list, so that the
/// threads need not wait for each other, and the read transaction ends without the reader's doing.
const ROW_BUFFER: usize = 1024;

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    db: SqliteConnection,
    db_uuid: String,
}

impl Reader {
    /// Opens the file for reading.
    ///
    /// # Errors
    /// [`Error::Foreign`] while the schema isn't there (the writer makes it), [`Error::Newer`] for a file of
    /// a newer version, or what SQLite says (no such file).
    pub async fn open(path: &Path) -> Result<Self> {
        let mut db = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(1))
            .pragma("query_only", "ON")
            .pragma("wal_autocheckpoint", "0")
            .pragma("cache_size", "-16384")
            .row_buffer_size(ROW_BUFFER)
            .disable_statement_logging()
            .connect()
            .await
            .during("open the database for reading")?;
        let action = "read the schema version";
        let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
            .fetch_one(&mut db)
            .await
            .during(action)?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut db)
            .await
            .during(action)?;
        let not_made = || Error::Foreign {
            path: path.to_owned(),
            reason: "the ingestor has not made its tables yet".to_owned(),
        };
        if application_id != APPLICATION_ID {
            return Err(not_made());
        }
        if found > SCHEMA_VERSION {
            return Err(Error::Newer {
                path: path.to_owned(),
                found,
                known: SCHEMA_VERSION,
            });
        }
        let db_uuid = sqlx::query_scalar("SELECT db_uuid FROM store_state")
            .fetch_optional(&mut db)
            .await
            .during("read which database this is")?
            .ok_or_else(not_made)?;
        Ok(Self { db, db_uuid })
    }

    /// The random name of this database. A file that takes its place has another one.
    pub fn db_uuid(&self) -> &str {
        &self.db_uuid
    }

    /// A number that changes when another connection has committed to the file. Only numbers from the same
    /// connection can be compared.
    pub async fn data_version(&mut self) -> Result<i64> {
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.db)
            .await
            .during("look for new commits")
    }

    /// Closes the connection; the file and its WAL stay as they are.
    pub async fn close(self) -> Result<()> {
        self.db.close().await.during("close the database")
    }
}
