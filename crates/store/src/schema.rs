//! The schema's versions, and how a file gets from one to the next.

use std::path::Path;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::error::{Error, Result, SqliteContext};

/// `PRAGMA application_id` of our files: "MCOP".
pub(crate) const APPLICATION_ID: i64 = 0x4D43_4F50;

/// The newest schema version this program knows, kept in `PRAGMA user_version`.
pub const SCHEMA_VERSION: i64 = 1;

/// The step that makes each version out of the one before.
const STEPS: [(i64, &str); 1] = [(1, include_str!("schema/v1.sql"))];

/// What kind of file stands at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing in it yet.
    Empty,
    /// Ours, at this version.
    Ours(i64),
}

/// Looks at what the file is.
///
/// # Errors
/// [`Error::Newer`] and [`Error::Foreign`] for files that must not be touched.
pub(crate) async fn inspect(db: &mut SqliteConnection, path: &Path) -> Result<Kind> {
    let action = "read the kind of file";
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .fetch_all(&mut *db)
            .await
            .during(action)?;
    match (application_id, version) {
        (APPLICATION_ID, found) if found > SCHEMA_VERSION => Err(Error::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA_VERSION,
        }),
        (APPLICATION_ID, version) => Ok(Kind::Ours(version)),
        (0, 0) if tables.is_empty() => Ok(Kind::Empty),
        _ if tables.iter().any(|t| t == "transmissions")
            && tables.iter().any(|t| t == "_migrations") =>
        {
            Err(Error::Foreign {
                path: path.to_owned(),
                reason: "it is a CoreScope database, which this version can't adopt".to_owned(),
            })
        }
        _ => Err(Error::Foreign {
            path: path.to_owned(),
            reason: format!(
                "an SQLite file with application_id {application_id} and {} tables",
                tables.len()
            ),
        }),
    }
}

/// Brings the file to [`SCHEMA_VERSION`], one transaction a step.
pub(crate) async fn migrate(db: &mut SqliteConnection, from: i64) -> Result<()> {
    for (version, sql) in STEPS.iter().filter(|(version, _)| *version > from) {
        let mut step = db
            .begin_with("BEGIN IMMEDIATE")
            .await
            .during("begin a migration")?;
        sqlx::raw_sql(*sql)
            .execute(&mut *step)
            .await
            .during("migrate the schema")?;
        let marks =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};");
        // Two constants of this file, no data.
        sqlx::raw_sql(sqlx::AssertSqlSafe(marks))
            .execute(&mut *step)
            .await
            .during("mark the schema version")?;
        step.commit().await.during("commit a migration")?;
        tracing::info!(version, "The schema was migrated");
    }
    Ok(())
}
