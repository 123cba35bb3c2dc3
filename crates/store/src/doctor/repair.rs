//! Repairs. Each takes the writer's lock, or is refused by the name of its holder.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::barrier;
use crate::checkpoint::{Checkpoint, CheckpointMode, checkpoint};
use crate::connect::{connect, let_go, switch_to_wal};
use crate::error::{Error, Result, SqliteContext};
use crate::filesystem::{beside, folder_of, free_and_total_bytes, sync_folder, without_links};
use crate::lock::WriterLock;
use crate::schema::{self, Kind};
use crate::transaction;

/// How long the checkpoint waits for readers.
const READERS_WAIT: Duration = Duration::from_secs(5);
/// Room that a new file gets on top of what is in use: indexes are packed a little differently.
const SPARE_BYTES: u64 = 16 << 20;

/// What writing the file anew brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vacuumed {
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes after.
    pub bytes_after: u64,
}

/// Copies the WAL into the main file and cuts it to nothing.
///
/// # Errors
/// [`Error::Locked`] while a writer runs; what SQLite says.
pub async fn checkpoint_file(path: &Path, program: &str) -> Result<Checkpoint> {
    let mut work = Work::begin(path, program).await?;
    let done = checkpoint(&mut work.db, CheckpointMode::Truncate, READERS_WAIT).await;
    work.end(done).await
}

/// Counts packets and observations again, and writes what was wrong.
///
/// # Errors
/// As [`checkpoint_file`].
pub async fn recount_file(path: &Path, program: &str) -> Result<()> {
    let mut work = Work::begin(path, program).await?;
    let done = work.recount().await;
    work.end(done).await
}

/// Writes the file anew, packed, so that its free pages can be given back from then on. The new file takes the
/// place of the old one when it is complete, checked and synced; until then the old one is as it was. Programs
/// that read the old one go on reading it until they open the file again.
///
/// # Errors
/// [`Error::Locked`] while a writer runs, [`Error::NoRoomFor`] where the disk can't hold both, [`Error::Unsettled`]
/// if readers keep the WAL from being emptied; what SQLite and the system say.
pub async fn vacuum_file(path: &Path, program: &str) -> Result<Vacuumed> {
    let mut work = Work::begin(path, program).await?;
    // A link stays a link.
    let path = work.path.clone();
    let new = beside(&path, ".vacuum");
    let done = work.write_anew(&new).await;
    let done = work.end_with_lock(done).await;
    let result = match done {
        Ok(lock) => put_in_place(&path, &new, &lock),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // What is left of it is of no use; the old file is whole.
        std::fs::remove_file(&new).ok();
    }
    result
}

/// The file under the writer's lock.
struct Work {
    /// Without links.
    path: PathBuf,
    db: SqliteConnection,
    lock: WriterLock,
}

impl Work {
    async fn begin(path: &Path, program: &str) -> Result<Self> {
        let path = &without_links(path)?;
        let lock = WriterLock::acquire(path, program)?;
        if !path.is_file() {
            let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::io("open", path, cause));
        }
        let mut db = connect(path, false).await?;
        match check_ours(&mut db, path).await {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                db,
                lock,
            }),
            Err(error) => {
                let_go(db, &error).await;
                Err(error)
            }
        }
    }

    async fn end<T>(self, done: Result<T>) -> Result<T> {
        let done = done.map_err(|error| error.or_no_room(&self.path));
        match done {
            Ok(done) => {
                self.db.close().await.during("close the database")?;
                Ok(done)
            }
            Err(error) => {
                let_go(self.db, &error).await;
                Err(error)
            }
        }
    }

    /// As [`Self::end`], keeping the lock.
    async fn end_with_lock(self, done: Result<()>) -> Result<WriterLock> {
        let Self { path, db, lock } = self;
        match done.map_err(|error| error.or_no_room(&path)) {
            Ok(()) => {
                db.close().await.during("close the database")?;
                Ok(lock)
            }
            Err(error) => {
                let_go(db, &error).await;
                Err(error)
            }
        }
    }

    async fn recount(&mut self) -> Result<()> {
        transaction::begin(&mut self.db).await?;
        let done = sqlx::raw_sql(
            "UPDATE transmissions SET observation_count = c.n FROM \
             (SELECT t.id, (SELECT count(*) FROM observations o WHERE o.transmission_id = t.id) AS n FROM transmissions t) c \
             WHERE transmissions.id = c.id AND observation_count <> c.n; \
             UPDATE store_state SET transmissions = (SELECT count(*) FROM transmissions), \
             observations = (SELECT count(*) FROM observations)",
        )
        .execute(&mut self.db)
        .await
        .during("count again")
        .map(|_| ());
        transaction::finish(&mut self.db, done).await
    }

    async fn write_anew(&mut self, new: &Path) -> Result<()> {
        match std::fs::remove_file(new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove what is left in", new, e));
            }
            _ => {}
        }
        self.check_room().await?;
        // A writer that the lock doesn't stop (on another kernel, or its lock file was removed) must not go on in
        // the old file: nobody would find what it adds.
        barrier::revoke(&mut self.db).await?;
        // Whoever reads the old file by its name must find everything in it.
        let done = checkpoint(&mut self.db, CheckpointMode::Truncate, READERS_WAIT).await?;
        if !done.is_complete() {
            return Err(Error::Unsettled {
                path: self.path.clone(),
            });
        }
        let action = "write the database anew";
        let before = fingerprint(&mut self.db).await?;
        let target = new.to_str().ok_or_else(|| {
            let cause = std::io::Error::other("its name is no UTF-8");
            Error::io("write", new, cause)
        })?;
        sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL")
            .execute(&mut self.db)
            .await
            .during(action)?;
        sqlx::query("VACUUM INTO ?")
            .bind(target)
            .execute(&mut self.db)
            .await
            .during(action)?;
        let mut copy = connect(new, true).await?;
        let after = finish_copy(&mut copy, new).await;
        copy.close().await.during(action)?;
        if after? == before {
            Ok(())
        } else {
            let cause = std::io::Error::other("the new file does not have what the old one has");
            Err(Error::io("check", new, cause))
        }
    }

    async fn check_room(&mut self) -> Result<()> {
        let used: i64 = sqlx::query_scalar(
            "SELECT (page_count - freelist_count) * page_size \
             FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )
        .fetch_one(&mut self.db)
        .await
        .during("measure the database")?;
        let needed = u64::try_from(used).unwrap_or(0).saturating_add(SPARE_BYTES);
        let folder = folder_of(&self.path);
        let (free, _) = free_and_total_bytes(folder)
            .map_err(|e| Error::io("look at the disk of", folder, e))?;
        if free < needed {
            return Err(Error::NoRoomFor {
                path: self.path.clone(),
                needed,
                free,
            });
        }
        Ok(())
    }
}

async fn check_ours(db: &mut SqliteConnection, path: &Path) -> Result<()> {
    sqlx::raw_sql("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")
        .execute(&mut *db)
        .await
        .during("set the connection up")?;
    let reason = match schema::inspect(db, path).await? {
        Kind::Ours(_) => return Ok(()),
        Kind::Empty => "it is empty",
        Kind::CoreScope => {
            "it is CoreScope's: start the ingestor on it first, which adopts it, or `meshcore import` it"
        }
    };
    Err(Error::Foreign {
        path: path.to_owned(),
        reason: reason.to_owned(),
    })
}

/// Makes the copy a WAL database as the old one is, and reads what it has.
async fn finish_copy(db: &mut SqliteConnection, new: &Path) -> Result<(String, i64, i64, String)> {
    check_ours(db, new).await?;
    switch_to_wal(db, new).await?;
    fingerprint(db).await
}

/// What must be the same in both files: the pages' check, counts, and the rowids that `observer_idx` points at.
async fn fingerprint(db: &mut SqliteConnection) -> Result<(String, i64, i64, String)> {
    let action = "compare the old file with the new one";
    let check: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *db)
        .await
        .during(action)?;
    let (transmissions, observations, observers): (i64, i64, Option<String>) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM transmissions), (SELECT count(*) FROM observations), \
         (SELECT group_concat(rowid || ' ' || id, char(10) ORDER BY rowid) FROM observers)",
    )
    .fetch_one(db)
    .await
    .during(action)?;
    Ok((
        check,
        transmissions,
        observations,
        observers.unwrap_or_default(),
    ))
}

/// Puts the new file in the place of the old one, which has no WAL any more.
fn put_in_place(path: &Path, new: &Path, _lock: &WriterLock) -> Result<Vacuumed> {
    let old = std::fs::metadata(path).map_err(|e| Error::io("look at", path, e))?;
    let file = File::open(new).map_err(|e| Error::io("open", new, e))?;
    file.set_permissions(old.permissions())
        .map_err(|e| Error::io("set the permissions of", new, e))?;
    let made = file.metadata().map_err(|e| Error::io("look at", new, e))?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        chown(new, Some(old.uid()), Some(old.gid()))
            .map_err(|e| Error::io("give its owner to", new, e))?;
    }
    file.sync_all().map_err(|e| Error::io("sync", new, e))?;
    // The old file's WAL is empty, and its readers keep theirs: the new file must not find it.
    for part in ["-wal", "-shm"] {
        match std::fs::remove_file(beside(path, part)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", beside(path, part), e));
            }
            _ => {}
        }
    }
    std::fs::rename(new, path).map_err(|e| Error::io("put in place", new, e))?;
    sync_folder(folder_of(path))?;
    Ok(Vacuumed {
        bytes_before: old.len(),
        bytes_after: made.len(),
    })
}
