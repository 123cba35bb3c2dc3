//! What can go wrong in the store, and what each failure means for the caller.

use std::io;
use std::path::{Path, PathBuf};

use crate::filesystem::{folder_of, free_and_total_bytes};

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the store. [`Error::class`] says what the caller must do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process holds the writer lock.
    #[error(
        "the database {path} is being written by another process ({holder}); stop it, or wait until it ends"
    )]
    Locked {
        /// The database file.
        path: PathBuf,
        /// What the holder wrote into the lock file about itself.
        holder: String,
    },
    /// The file was written by a newer version of this program.
    #[error(
        "the database {path} has schema version {found}, this program knows versions up to {known}: install a newer version, or restore a copy made by this one"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The file was written by an older version, and its writer has not migrated it yet.
    #[error(
        "the database {path} has schema version {found}; waiting for the ingestor, which makes version {known} of it at its start"
    )]
    Older {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The version that this program reads.
        known: i64,
    },
    /// The file is there, and is no database of ours.
    #[error(
        "{path} is not a MeshCore database ({reason}): name another file with dbPath or DB_PATH, or move this one away"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The file will be ours, and isn't yet.
    #[error("{path} is not ready: {reason}")]
    NotReady {
        /// The file.
        path: PathBuf,
        /// What is waited for.
        reason: &'static str,
    },
    /// The file is CoreScope's, and its shape can't be adopted.
    #[error("{path} is a CoreScope database that can't be adopted: {reason}")]
    Unadoptable {
        /// The file.
        path: PathBuf,
        /// What is in the way, and the cure.
        reason: String,
    },
    /// The file is CoreScope's, and another process has it open.
    #[error(
        "the CoreScope database {path} is open in another process ({holder}): stop CoreScope's programs and other tools that use it, then it is adopted"
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who has it open.
        holder: String,
    },
    /// The database to import can't be.
    #[error("{path} can't be imported: {reason}")]
    Source {
        /// The file.
        path: PathBuf,
        /// Why not, and the cure.
        reason: String,
    },
    /// The linked SQLite is older than the one that fixed the WAL-reset race.
    #[error(
        "SQLite {found} can corrupt a WAL that two processes use; 3.51.3 or newer is needed: rebuild with libsqlite3-sys 0.37.0"
    )]
    OldSqlite {
        /// The version that is linked.
        found: String,
    },
    /// SQLite does not sync each commit, although it was told to.
    #[error("SQLite does not take synchronous = FULL (it says {level}): nothing would be durable")]
    NotSynchronous {
        /// What it says instead of 2.
        level: i64,
    },
    /// The file system can't keep SQLite's promises.
    #[error(
        "{path} is on {kind}, which can't keep a WAL safe: use a local file system (ext4, xfs), or allow it with allowUnsupportedFilesystem"
    )]
    FileSystem {
        /// The folder of the database.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// After a life that ended in an I/O error, the first checkpoint could not be completed.
    #[error(
        "the last run ended in an I/O error and the first checkpoint does not complete (a reader holds the WAL): stop the readers of {path}"
    )]
    Unsettled {
        /// The database file.
        path: PathBuf,
    },
    /// Another writer has taken the file over, or gives out ids beside this one.
    #[error(
        "another program writes to {path}, so this one must not any more: let only one write to it (is a CoreScope still running?)"
    )]
    Fenced {
        /// The database file.
        path: PathBuf,
    },
    /// What failed would have needed room, and there is hardly any on the disk.
    #[error("there is no room on the disk of {path}")]
    NoRoom {
        /// The database file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Box<Error>,
    },
    /// There is not enough room for a second file.
    #[error(
        "{path} can't be written anew: that needs {needed} bytes on its disk, and {free} are free"
    )]
    NoRoomFor {
        /// The database file.
        path: PathBuf,
        /// How much is needed.
        needed: u64,
        /// How much there is.
        free: u64,
    },
    /// A file could not be read or written.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// SQLite refused or failed.
    #[error("{action}")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The extended result code, where SQLite itself failed.
        code: Option<i32>,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a failure means for the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// No room on the disk: stop acknowledging, keep the process, try again.
    Full,
    /// The page cache can't be believed any more: end the process.
    Io,
    /// The file is damaged: set it aside and go on in a new one.
    Corrupt,
    /// Another connection holds a lock: try again.
    Busy,
    /// The row itself is refused: dead letter.
    Row,
    /// The store refuses to work with this file or machine.
    Refused,
    /// Anything else.
    Other,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    /// SQLite's extended result code, where there is one.
    pub fn sqlite_code(&self) -> Option<i32> {
        match self {
            Self::Sqlite { code, .. } => *code,
            _ => None,
        }
    }

    /// Whether a reader ended the query because it took too long.
    pub fn took_too_long(&self) -> bool {
        self.sqlite_code() == Some(libsqlite3_sys::SQLITE_INTERRUPT)
    }

    /// This failure, or [`Error::NoRoom`] if it is one of those that SQLite calls something else and the disk
    /// of the database at `db` has hardly any room left.
    pub(crate) fn or_no_room(self, db: &Path) -> Self {
        let is_disguised = self
            .sqlite_code()
            .is_some_and(|code| DISGUISED_FULL.contains(&code));
        let is_full =
            || free_and_total_bytes(folder_of(db)).is_ok_and(|(free, _)| free < HARDLY_ANY_ROOM);
        if is_disguised && is_full() {
            Self::NoRoom {
                path: db.to_owned(),
                source: Box::new(self),
            }
        } else {
            self
        }
    }

    /// What this failure means for the writer.
    pub fn class(&self) -> Class {
        match self {
            Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Foreign { .. }
            | Self::NotReady { .. }
            | Self::Unadoptable { .. }
            | Self::InUse { .. }
            | Self::Source { .. }
            | Self::OldSqlite { .. }
            | Self::NotSynchronous { .. }
            | Self::FileSystem { .. }
            | Self::Unsettled { .. } => Class::Refused,
            Self::Fenced { .. } => Class::Other,
            Self::NoRoom { .. } | Self::NoRoomFor { .. } => Class::Full,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::Full,
                _ => Class::Io,
            },
            Self::Sqlite { .. } => self.sqlite_code().map_or(Class::Other, classify),
        }
    }
}

/// What SQLite says when it can't create or extend the WAL's index or another file of its own. Failed syncs
/// are not among them: after those nothing in the page cache can be believed.
const DISGUISED_FULL: [i32; 6] = [
    libsqlite3_sys::SQLITE_IOERR_SHMOPEN,
    libsqlite3_sys::SQLITE_IOERR_SHMSIZE,
    libsqlite3_sys::SQLITE_IOERR_SHMMAP,
    libsqlite3_sys::SQLITE_IOERR_WRITE,
    libsqlite3_sys::SQLITE_IOERR_TRUNCATE,
    libsqlite3_sys::SQLITE_CANTOPEN,
];
/// Free bytes below which such a failure is put down to the full disk.
const HARDLY_ANY_ROOM: u64 = 1 << 20;

/// Sorts an extended result code of SQLite (<https://sqlite.org/rescode.html>).
fn classify(code: i32) -> Class {
    match code & 0xff {
        libsqlite3_sys::SQLITE_FULL => Class::Full,
        libsqlite3_sys::SQLITE_IOERR => Class::Io,
        libsqlite3_sys::SQLITE_CORRUPT | libsqlite3_sys::SQLITE_NOTADB => Class::Corrupt,
        libsqlite3_sys::SQLITE_BUSY
        | libsqlite3_sys::SQLITE_LOCKED
        | libsqlite3_sys::SQLITE_PROTOCOL => Class::Busy,
        libsqlite3_sys::SQLITE_CONSTRAINT
        | libsqlite3_sys::SQLITE_TOOBIG
        | libsqlite3_sys::SQLITE_MISMATCH
        | libsqlite3_sys::SQLITE_RANGE => Class::Row,
        _ => Class::Other,
    }
}

/// Names the operation that a SQLite call belonged to.
pub(crate) trait SqliteContext<T> {
    fn during(self, action: &'static str) -> Result<T>;
}

impl<T> SqliteContext<T> for std::result::Result<T, sqlx::Error> {
    fn during(self, action: &'static str) -> Result<T> {
        self.map_err(|source| Error::Sqlite {
            action,
            code: source
                .as_database_error()
                .and_then(|error| error.code()?.parse().ok()),
            source: source.into(),
        })
    }
}

impl<T> SqliteContext<T> for rusqlite::Result<T> {
    fn during(self, action: &'static str) -> Result<T> {
        self.map_err(|source| Error::Sqlite {
            action,
            code: source.sqlite_error().map(|error| error.extended_code),
            source: source.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_are_sorted_by_their_primary_code() {
        for (code, class) in [
            (13, Class::Full),
            (778, Class::Io),
            (267, Class::Corrupt),
            (26, Class::Corrupt),
            (517, Class::Busy),
            (2067, Class::Row),
            (1, Class::Other),
        ] {
            assert_eq!(classify(code), class, "code {code}");
        }
    }

    #[test]
    fn a_full_disk_is_full_whoever_reports_it() {
        let error = Error::io("write", "/x", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.class(), Class::Full);
    }
}
