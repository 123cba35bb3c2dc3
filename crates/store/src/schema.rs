//! The schema's versions, and how a file gets from one to the next.

use std::path::Path;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::adopt;
use crate::error::{Error, Result, SqliteContext};

/// `PRAGMA application_id` of our files: "MCOP".
pub(crate) const APPLICATION_ID: i64 = 0x4D43_4F50;

/// The newest schema version this program knows, kept in `PRAGMA user_version`.
pub const SCHEMA_VERSION: i64 = 2;

/// The step that makes each version out of the one before.
const STEPS: [(i64, &str); 2] = [
    (1, include_str!("schema/v1.sql")),
    (2, include_str!("schema/v2.sql")),
];

/// What kind of file stands at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing in it yet.
    Empty,
    /// CoreScope's, or one whose adoption isn't finished.
    CoreScope,
    /// Ours, at this version.
    Ours(i64),
}

/// `application_id` and `user_version`: whose file it is, and of which version.
pub(crate) async fn marks(db: &mut SqliteConnection, action: &'static str) -> Result<(i64, i64)> {
    let application_id = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    let version = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(db)
        .await
        .during(action)?;
    Ok((application_id, version))
}

/// Looks at what the file is.
///
/// # Errors
/// [`Error::Newer`] and [`Error::Foreign`] for files that must not be touched.
pub(crate) async fn inspect(db: &mut SqliteConnection, path: &Path) -> Result<Kind> {
    let action = "read the kind of file";
    let (application_id, version) = marks(db, action).await?;
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
        (0, 0) if adopt::is_core_scope(&tables) => {
            // Boxed, as few files need it.
            Box::pin(adopt::check_usable(db, path)).await?;
            Ok(Kind::CoreScope)
        }
        _ => Err(Error::Foreign {
            path: path.to_owned(),
            reason: format!(
                "an SQLite file of another program: application_id {application_id}, user_version {version}, {}",
                some_of(&tables)
            ),
        }),
    }
}

/// What a reader is told of a file without tables.
pub(crate) const NO_TABLES_YET: &str = "the ingestor has not made its tables yet";

/// What a reader is told of a file that is not marked as ours: that it will be, or whose it is.
pub(crate) async fn why_not_ours(db: &mut SqliteConnection, path: &Path) -> Result<Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .fetch_all(db)
            .await
            .during("read the kind of file")?;
    let reason = if tables.is_empty() {
        NO_TABLES_YET
    } else if !adopt::is_core_scope(&tables) {
        return Ok(Error::Foreign {
            path: path.to_owned(),
            reason: format!("an SQLite file of another program: {}", some_of(&tables)),
        });
    } else if tables.iter().any(|t| t == "store_jobs") {
        "this CoreScope database is being adopted by the ingestor, whose readiness says how far it is"
    } else {
        "this is a CoreScope database, which the ingestor adopts when it starts on it"
    };
    Ok(Error::NotReady {
        path: path.to_owned(),
        reason,
    })
}

/// The first few names, for people.
fn some_of(tables: &[String]) -> String {
    const SHOWN: usize = 5;
    if tables.is_empty() {
        return "no tables".to_owned();
    }
    let names = tables[..tables.len().min(SHOWN)].join(", ");
    match tables.len().saturating_sub(SHOWN) {
        0 => format!("tables {names}"),
        more => format!("tables {names} and {more} more"),
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
        tracing::debug!(version, "The schema was migrated");
    }
    Ok(())
}
