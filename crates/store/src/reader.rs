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
mod time_limit;

pub use nodes::{NodeCounts, NodeFilter, NodeRow, RoleCounts};
pub use observations::ObservationRow;
pub use observers::ObserverRow;
pub use stats::Stats;

use std::path::Path;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection};

use self::columns::Columns;
use self::time_limit::TimeLimit;

use crate::error::{Error, Result, SqliteContext};
use crate::schema::{self, APPLICATION_ID, SCHEMA_VERSION};

/// How many rows SQLite's thread may be ahead of whoever reads them: a page of the longest list, so that the
/// threads need not wait for each other, and the read transaction ends without the reader's doing.
const ROW_BUFFER: usize = 1024;

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    db: SqliteConnection,
    db_uuid: String,
    time_limit: TimeLimit,
    /// Whether the last query was not seen through to its end, and may still be running.
    cut_off: bool,
}

impl Reader {
    /// Opens the file for reading.
    ///
    /// # Errors
    /// [`Error::NotReady`] while the schema isn't there (the writer makes it, or adopts a CoreScope database),
    /// [`Error::Foreign`] for another program's file, [`Error::Newer`] for a file of
    /// a newer version, [`Error::Older`] for one that the writer has not migrated yet, or what SQLite says (no
    /// such file).
    pub async fn open(path: &Path) -> Result<Self> {
        let mut db = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(1))
            .pragma("query_only", "ON")
            .pragma("wal_autocheckpoint", "0")
            .pragma("cache_size", "-4096")
            .row_buffer_size(ROW_BUFFER)
            .disable_statement_logging()
            .connect()
            .await
            .during("open the database for reading")?;
        let (application_id, found) = schema::marks(&mut db, "read the schema version").await?;
        if application_id != APPLICATION_ID {
            return Err(schema::why_not_ours(&mut db, path).await?);
        }
        if found > SCHEMA_VERSION {
            return Err(Error::Newer {
                path: path.to_owned(),
                found,
                known: SCHEMA_VERSION,
            });
        }
        if found < SCHEMA_VERSION {
            return Err(Error::Older {
                path: path.to_owned(),
                found,
                known: SCHEMA_VERSION,
            });
        }
        let db_uuid = sqlx::query_scalar("SELECT db_uuid FROM store_state")
            .fetch_optional(&mut db)
            .await
            .during("read which database this is")?
            .ok_or_else(|| Error::NotReady {
                path: path.to_owned(),
                reason: schema::NO_TABLES_YET,
            })?;
        let time_limit = TimeLimit::watch(&mut db).await?;
        Ok(Self {
            db,
            db_uuid,
            time_limit,
            cut_off: false,
        })
    }

    /// The random name of this database. A file that takes its place has another one.
    pub fn db_uuid(&self) -> &str {
        &self.db_uuid
    }

    /// A number that changes when another connection has committed to the file. Only numbers from the same
    /// connection can be compared.
    pub async fn data_version(&mut self) -> Result<i64> {
        let query = sqlx::query("PRAGMA data_version");
        let row = self.ask_one("look for new commits", query).await?;
        Ok(Columns(&row).count(0))
    }

    /// Whether the last query was given up by whoever asked it, so that the next one may have to wait for its
    /// end.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// The rows that `query` gives; `action` names it in errors. All queries take this way.
    ///
    /// # Errors
    /// What SQLite says, which is that it was interrupted when the query took too long.
    async fn ask(
        &mut self,
        action: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>> {
        if self.cut_off {
            // It keeps its own deadline: this waits for its end.
            self.db.ping().await.during(action)?;
        }
        self.time_limit.begin();
        self.cut_off = true;
        let rows = query.fetch_all(&mut self.db).await;
        self.cut_off = false;
        rows.during(action)
    }

    /// The one row that `query` gives.
    async fn ask_one(
        &mut self,
        action: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<SqliteRow> {
        let rows = self.ask(action, query).await?;
        rows.into_iter()
            .next()
            .ok_or(sqlx::Error::RowNotFound)
            .during(action)
    }

    /// Closes the connection; the file and its WAL stay as they are.
    pub async fn close(self) -> Result<()> {
        self.db.close().await.during("close the database")
    }
}
