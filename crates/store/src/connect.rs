//! The write connection: how it is set up, and the checks before anything is believed or written.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::OpenFlags;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::adopt::{self, Adopted};
use crate::checkpoint::BUSY_TIMEOUT;
use crate::error::{Class, Error, Result, SqliteContext};
use crate::filesystem::{beside, folder_of, sync_folder};
use crate::open::ProgressHook;
use crate::schema::{self, Kind};
use crate::{in_use, mutant};

/// The statements of a connection that writes. They read the file, so they can find it damaged: sqlx would
/// then close the connection behind our back if they were among its own.
const SETTINGS: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; \
    PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384; \
    PRAGMA temp_store = MEMORY";
/// How much of the file the two connections keep in memory once batches are written, together 16 MiB. Batches come
/// all the time and all over the indexes, what else is written is little.
const BATCH_CACHE: &str = "PRAGMA cache_size = -12288";
const OTHER_CACHE: &str = "PRAGMA cache_size = -4096";
/// More than there are statements in a batch, in all their sizes.
const BATCH_STATEMENTS: usize = 96;

/// How often, and in what steps, it is looked whether another process lets go of a CoreScope database.
const IN_USE_LOOKS: u32 = 5;
const IN_USE_PAUSE: Duration = Duration::from_millis(20);

/// Looks at the bytes, syncs what the last life left, and connects. Nothing of the file was read by SQLite yet.
pub(crate) async fn connect(path: &Path, ours: bool) -> Result<SqliteConnection> {
    sync_leftover_wal(path)?;
    refuse_foreign_bytes(path, ours)?;
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(4096)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(160)
        .thread_name(|_| "sqlite-writer".to_owned())
        .disable_statement_logging()
        .connect()
        .await
        .during("open the database")
}

/// What the file was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Empty,
    /// Ours.
    Ours,
    /// CoreScope's, or one that CoreScope wrote to after us.
    Adopted(Adopted),
}

/// Checks what the file is, sets the connection up, and migrates or adopts.
pub(crate) async fn set_up(
    db: &mut SqliteConnection,
    path: &Path,
    progress: &ProgressHook,
) -> Result<Found> {
    check_sqlite_version(db).await?;
    sqlx::raw_sql(SETTINGS)
        .execute(&mut *db)
        .await
        .during("set the connection up")?;
    check_synchronous(db).await?;
    let kind = schema::inspect(db, path).await?;
    match kind {
        // Only for a new file: in another it would write to its first page, at each start.
        Kind::Empty => {
            sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL")
                .execute(&mut *db)
                .await
                .during("set auto_vacuum")?;
        }
        Kind::CoreScope => refuse_in_use(path).await?,
        Kind::Ours(_) => {}
    }
    // Only now, when the file is known to be ours or to become it: this writes to it.
    switch_to_wal(db, path).await?;
    match kind {
        Kind::Empty => {
            schema::migrate(db, 0).await?;
            Ok(Found::Empty)
        }
        // Boxed: few files need it, and its future is large.
        Kind::CoreScope => Box::pin(adopt::adopt(db, path, false, progress))
            .await
            .map(Found::Adopted),
        Kind::Ours(version) => {
            schema::migrate(db, version).await?;
            if adopt::is_due(db).await? {
                tracing::warn!(
                    "CoreScope wrote to this file after it was ours; what it added is counted"
                );
                return Box::pin(adopt::adopt(db, path, true, progress))
                    .await
                    .map(Found::Adopted);
            }
            Ok(Found::Ours)
        }
    }
}

/// Refuses a file of CoreScope's that its programs may still write to. Our own readers look at it for a
/// moment only, so a short wait is enough for them.
async fn refuse_in_use(path: &Path) -> Result<()> {
    let mut looks = 0;
    while let Some(holder) = in_use::other_user(path)? {
        looks += 1;
        if looks >= IN_USE_LOOKS {
            return Err(Error::InUse {
                path: path.to_owned(),
                holder,
            });
        }
        tokio::time::sleep(IN_USE_PAUSE).await;
    }
    Ok(())
}

pub(crate) async fn switch_to_wal(db: &mut SqliteConnection, path: &Path) -> Result<()> {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
        .fetch_one(db)
        .await
        .during("switch to WAL")?;
    if mode == "wal" {
        Ok(())
    } else {
        Err(Error::Foreign {
            path: path.to_owned(),
            reason: format!("its journal mode stays {mode}"),
        })
    }
}

/// The connection that batches are written by, on the thread of whoever writes; everything else goes on through
/// `other`, which has checked and migrated the file. The settings read the file, so it can be found damaged here.
pub(crate) async fn connect_for_batches(
    other: &mut SqliteConnection,
    path: &Path,
) -> Result<rusqlite::Connection> {
    let action = "open the database for batches";
    sqlx::raw_sql(OTHER_CACHE)
        .execute(other)
        .await
        .during(action)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = rusqlite::Connection::open_with_flags(path, flags).during(action)?;
    db.busy_timeout(BUSY_TIMEOUT).during(action)?;
    db.set_prepared_statement_cache_capacity(BATCH_STATEMENTS);
    db.execute_batch(SETTINGS).during(action)?;
    db.execute_batch(BATCH_CACHE).during(action)?;
    if mutant::is_active("synchronous-normal") {
        db.execute_batch("PRAGMA synchronous = NORMAL")
            .during(action)?;
        return Ok(db);
    }
    let level = db
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .during(action)?;
    synchronous_is_full(level)?;
    Ok(db)
}

/// Lets a connection go after `error`.
///
/// A damaged file is never closed: the last connection to close checkpoints the WAL, unchecked, over what is
/// good in the main file, and removes whatever file then has the WAL's name. Its thread sleeps until the
/// process ends.
pub(crate) async fn let_go(db: SqliteConnection, error: &Error) {
    if error.class() == Class::Corrupt {
        std::mem::forget(db);
    } else if let Err(error) = db.close().await {
        tracing::debug!(%error, "The database did not close");
    }
}

/// `synchronous` is the promise itself, so it is read back.
async fn check_synchronous(db: &mut SqliteConnection) -> Result<()> {
    let action = "set synchronous";
    if mutant::is_active("synchronous-normal") {
        sqlx::raw_sql("PRAGMA synchronous = NORMAL")
            .execute(db)
            .await
            .during(action)?;
        return Ok(());
    }
    let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(db)
        .await
        .during(action)?;
    synchronous_is_full(level)
}

fn synchronous_is_full(level: i64) -> Result<()> {
    if level == 2 {
        Ok(())
    } else {
        Err(Error::NotSynchronous { level })
    }
}

/// A WAL that an earlier life wrote but perhaps never synced: synced before anything is believed.
fn sync_leftover_wal(path: &Path) -> Result<()> {
    if mutant::is_active("no-barrier") {
        return Ok(());
    }
    let wal = beside(path, "-wal");
    match std::fs::File::open(&wal) {
        Ok(file) => file.sync_data().map_err(|e| Error::io("sync", &wal, e))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("open", &wal, e)),
    }
    sync_folder(folder_of(path))
}

/// A file that doesn't begin like SQLite's is refused, unless this is where we kept ours: then it is damaged.
fn refuse_foreign_bytes(path: &Path, ours: bool) -> Result<()> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("open", path, e)),
    };
    let mut head = Vec::new();
    file.by_ref()
        .take(16)
        .read_to_end(&mut head)
        .map_err(|e| Error::io("read", path, e))?;
    if head.is_empty() || head == b"SQLite format 3\0" || ours {
        return Ok(());
    }
    Err(Error::Foreign {
        path: path.to_owned(),
        reason: "it is no SQLite file".to_owned(),
    })
}

async fn check_sqlite_version(db: &mut SqliteConnection) -> Result<()> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(db)
        .await
        .during("read SQLite's version")?;
    if is_safe_sqlite(&version) {
        Ok(())
    } else {
        Err(Error::OldSqlite { found: version })
    }
}

/// 3.51.3 fixed the WAL-reset race; 3.52.0 was withdrawn and does not have the fix.
fn is_safe_sqlite(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0_u32);
    let version = (next(), next(), next());
    version >= (3, 51, 3) && version != (3, 52, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_with_the_wal_reset_fix_are_safe() {
        for (version, safe) in [
            ("3.51.2", false),
            ("3.51.3", true),
            ("3.52.0", false),
            ("3.53.1", true),
            ("3.40.1", false),
            ("4.0.0", true),
            ("rubbish", false),
        ] {
            assert_eq!(is_safe_sqlite(version), safe, "{version}");
        }
    }
}
