//! The database that is imported: whether it can be read, what it has, and how to name its columns.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::Tallies;
use crate::adopt::{is_core_scope, reference::Shape};
use crate::doctor::connect_read_only;
use crate::error::{Class, Error, Result, SqliteContext};
use crate::filesystem::beside;
use crate::schema::{self, APPLICATION_ID, SCHEMA_VERSION};

/// What is asked of a file to know it again: its first packet and its first observation.
const FINGERPRINT: &str = "SELECT coalesce((SELECT id || ' ' || coalesce(hash, '') || ' ' || coalesce(first_seen, '') \
     FROM transmissions ORDER BY id LIMIT 1), '') || ' ' || coalesce((SELECT id || ' ' || timestamp \
     FROM observations ORDER BY id LIMIT 1), '')";

/// The database that is imported.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    shape: Shape,
    fingerprint: String,
    pub(super) is_ours: bool,
    /// Whether it is read as a file that nobody changes: where its folder can't be written, SQLite can't make
    /// the index of a WAL, and there is none.
    is_immutable: bool,
}

impl Source {
    /// Looks at the file. Nothing of it is changed, and the target not yet opened.
    pub(super) async fn examine(path: &Path, target: &Path) -> Result<Self> {
        let refuse = |reason: String| Error::Source {
            path: path.to_owned(),
            reason,
        };
        let metadata = std::fs::metadata(path).map_err(|e| refuse(e.to_string()))?;
        if !metadata.is_file() {
            return Err(refuse("it is no file".to_owned()));
        }
        let is_same = |other: std::fs::Metadata| {
            (other.dev(), other.ino()) == (metadata.dev(), metadata.ino())
        };
        if std::fs::metadata(target).is_ok_and(is_same) {
            return Err(refuse("it is the target itself".to_owned()));
        }
        let path = std::fs::canonicalize(path).map_err(|e| refuse(e.to_string()))?;
        match Self::read(&path, false).await {
            Err(error) if is_unreadable(&error) && !has_wal(&path) && !has_journal(&path) => {
                Self::read(&path, true).await
            }
            other => other,
        }
        .map_err(|error| match error {
            Error::Sqlite { .. } => refuse(why_not(&path, &error)),
            other => other,
        })
    }

    async fn read(path: &Path, is_immutable: bool) -> Result<Self> {
        let mut db = connect_read_only(path, is_immutable).await?;
        let source = Self::read_from(&mut db, path, is_immutable).await;
        db.close().await.during("close the source")?;
        source
    }

    async fn read_from(db: &mut SqliteConnection, path: &Path, is_immutable: bool) -> Result<Self> {
        let action = "read the source";
        let (application_id, version) = schema::marks(db, action).await?;
        let shape = Shape::of(db).await?;
        let names: Vec<String> = shape.tables.keys().cloned().collect();
        let refuse = |reason: &str| Error::Source {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let is_ours = application_id == APPLICATION_ID;
        if is_ours && version > SCHEMA_VERSION {
            return Err(Error::Newer {
                path: path.to_owned(),
                found: version,
                known: SCHEMA_VERSION,
            });
        }
        let is_theirs = (application_id, version) == (0, 0) && is_core_scope(&names);
        if !is_ours && !is_theirs {
            return Err(refuse("it is neither a CoreScope database nor one of ours"));
        }
        let has = |table: &str, column: &str| {
            shape
                .tables
                .get(table)
                .is_some_and(|t| t.column(column).is_some())
        };
        for (table, columns) in [
            ("transmissions", &["id", "hash"][..]),
            ("observations", &["id", "transmission_id", "timestamp"]),
        ] {
            if let Some(missing) = columns.iter().find(|column| !has(table, column)) {
                return Err(refuse(&format!(
                    "its table `{table}` has no column `{missing}`"
                )));
            }
        }
        let fingerprint = sqlx::query_scalar(if has("transmissions", "first_seen") {
            FINGERPRINT
        } else {
            "SELECT 'observations of ' || count(*) FROM transmissions"
        })
        .fetch_one(&mut *db)
        .await
        .during(action)?;
        Ok(Self {
            path: path.to_owned(),
            shape,
            fingerprint,
            is_ours,
            is_immutable,
        })
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Attaches the file, read-only, as `source`.
    pub(super) async fn attach(&self, db: &mut SqliteConnection) -> Result<()> {
        sqlx::query("ATTACH ? AS source")
            .bind(address(&self.path, self.is_immutable))
            .execute(db)
            .await
            .during("attach the source")?;
        Ok(())
    }

    pub(super) async fn detach(self, db: &mut SqliteConnection) -> Result<()> {
        sqlx::raw_sql("DETACH source")
            .execute(db)
            .await
            .during("detach the source")?;
        Ok(())
    }

    /// Whether it has this table.
    pub(super) fn has_table(&self, table: &str) -> bool {
        self.shape.tables.contains_key(table)
    }

    /// Whether it has this column.
    pub(super) fn has(&self, table: &str, column: &str) -> bool {
        self.shape
            .tables
            .get(table)
            .is_some_and(|t| t.column(column).is_some())
    }

    /// The column of the source's table, which is called `s` in statements; NULL where there is none.
    pub(super) fn column(&self, table: &str, column: &str) -> String {
        if self.has(table, column) {
            format!("s.{column}")
        } else {
            "NULL".to_owned()
        }
    }

    /// Several columns as a list.
    pub(super) fn columns(&self, table: &str, columns: &[&str]) -> String {
        let list: Vec<_> = columns.iter().map(|c| self.column(table, c)).collect();
        list.join(", ")
    }

    /// Up to where this import goes, where its rows go in the target, and how many there are.
    pub(super) async fn measure(&self, db: &mut SqliteConnection) -> Result<Tallies> {
        let action = "measure the source";
        let metrics = if self.has_table("observer_metrics") {
            "(SELECT count(*) FROM source.observer_metrics)"
        } else {
            "0"
        };
        // Our own words only.
        let sql = format!(
            "SELECT (SELECT coalesce(max(id), 0) FROM source.transmissions), \
             (SELECT coalesce(max(id), 0) FROM source.observations), \
             (SELECT coalesce(max(rowid), 0) + 1 FROM main.observers), \
             (SELECT count(*) FROM source.transmissions) + (SELECT count(*) FROM source.observations) + {metrics}"
        );
        let (last_transmission, last_observation, first_new_observer, total): (i64, i64, i64, i64) =
            sqlx::query_as(AssertSqlSafe(sql))
                .fetch_one(&mut *db)
                .await
                .during(action)?;
        Ok(Tallies {
            transmission_shift: self
                .shift_below(db, "transmissions", last_transmission)
                .await?,
            observation_shift: self
                .shift_below(db, "observations", last_observation)
                .await?,
            last_transmission,
            last_observation,
            first_new_observer,
            total: u64::try_from(total).unwrap_or(0),
            ..Tallies::default()
        })
    }

    /// What takes ids up to `last` of the source below all of the target's `table`, and below 0, which stands
    /// for none.
    pub(super) async fn shift_below(
        &self,
        db: &mut SqliteConnection,
        table: &'static str,
        last: i64,
    ) -> Result<i64> {
        // Our own words only.
        let lowest: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT min(id) FROM main.{table}")))
                .fetch_one(db)
                .await
                .during("look for room below the target's rows")?;
        let end = lowest.unwrap_or(0).min(0).checked_sub(1);
        end.and_then(|end| end.checked_sub(last))
            .ok_or_else(|| Error::Source {
                path: self.path.clone(),
                reason: format!(
                    "the ids of its {table} go up to {last}, and there is no room for so many below those of the target: import it into a new database"
                ),
            })
    }
}

/// The address of a file that is only read.
fn address(path: &Path, is_immutable: bool) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut address = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            // Writing to a text can't fail.
            write!(address, "%{byte:02X}").ok();
        }
    }
    address.push_str("?mode=ro");
    if is_immutable {
        address.push_str("&immutable=1");
    }
    address
}

fn has_wal(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|m| m.len() > 0)
}

fn has_journal(path: &Path) -> bool {
    beside(path, "-journal").exists()
}

/// Whether SQLite could not open it for want of rights, or of what else it takes.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.sqlite_code().map(|code| code & 0xff), Some(code)
        if code == libsqlite3_sys::SQLITE_CANTOPEN
            || code == libsqlite3_sys::SQLITE_READONLY
            || code == libsqlite3_sys::SQLITE_IOERR)
}

/// Why the source can't be read, and the cure.
fn why_not(path: &Path, error: &Error) -> String {
    let cause = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
    if error.class() == Class::Corrupt {
        format!("it is damaged, or no database ({cause})")
    } else if has_journal(path) && is_unreadable(error) {
        format!(
            "a program was killed in the middle of a transaction, and that can't be taken back without writing ({cause}): open it once with the program it belongs to, or copy it with its -journal and import a copy that `sqlite3` has opened"
        )
    } else if has_wal(path) && is_unreadable(error) {
        format!(
            "it has commits in its WAL, and reading those takes a file beside it, in a folder that can't be written ({cause}): copy it with its -wal into another folder and import the copy"
        )
    } else {
        format!("it can't be read ({cause})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_every_byte_of_the_path() {
        assert_eq!(
            address(Path::new("/a b/c?#%ü.db"), true),
            "file:/a%20b/c%3F%23%25%C3%BC.db?mode=ro&immutable=1"
        );
    }
}
