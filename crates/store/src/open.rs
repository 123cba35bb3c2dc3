//! Opening the file for writing: lock, checks, migration, and the start-up barrier.
//!
//! The barrier closes the *ghost commit*: a commit that SIGKILL cut off from its fsync is recovered from the
//! page cache, the redelivered message looks like a duplicate, and would be acknowledged without any sync.
//! So before the first acknowledgement of each process life the WAL is synced, checkpointed, and one real row
//! is committed with `synchronous=FULL`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use crate::batch::BatchState;
use crate::checkpoint::{BUSY_TIMEOUT, Checkpoint, CheckpointMode, checkpoint};
use crate::error::{Class, Error, Result, SqliteContext};
use crate::filesystem::{Ballast, beside, check_kind, prepare_folder, sync_folder};
use crate::known::{KnownObservers, KnownTransmissions};
use crate::lock::WriterLock;
use crate::rows::{Describe, Dropped, Outcome, Record};
use crate::schema::{self, Kind};
use crate::statements::Statements;
use crate::{mutant, quarantine, time};

/// How long the first checkpoint may wait for readers.
const BARRIER_WAIT: Duration = Duration::from_millis(250);
/// How long it is tried again when the last life ended in an I/O error, and it must complete.
const SETTLE_WAIT: Duration = Duration::from_secs(10);

/// How to open the file.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The database file.
    pub path: PathBuf,
    /// Who opens it, for the lock file: program and version.
    pub program: String,
    /// Go on on a file system that can't keep a WAL safe.
    pub allow_unsupported_filesystem: bool,
    /// Room set aside so that a full disk can be checkpointed, bytes; 0 sets none aside.
    pub ballast_bytes: u64,
    /// More observers than this are not accepted: their packets become dead letters.
    pub max_observers: usize,
}

impl StoreOptions {
    /// The defaults for the file at `path`.
    pub fn new(path: impl Into<PathBuf>, program: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            program: program.into(),
            allow_unsupported_filesystem: false,
            ballast_bytes: 64 << 20,
            max_observers: 10_000,
        }
    }
}

/// How the last process life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousEnd {
    /// There was none: the file is new.
    New,
    /// It closed the file.
    Clean,
    /// It was killed, or the power failed.
    Unclean,
    /// It ended because of an I/O error.
    IoError,
}

impl PreviousEnd {
    /// The word in `ingest_sessions.previous_end`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Clean => "clean",
            Self::Unclean => "unclean",
            Self::IoError => "io_error",
        }
    }
}

/// What opening found and did.
#[derive(Debug, Clone)]
pub struct Opened {
    /// How the last life ended.
    pub previous_end: PreviousEnd,
    /// Where a damaged file was set aside to, if one was.
    pub set_aside: Option<PathBuf>,
    /// The barrier's checkpoint.
    pub checkpoint: Checkpoint,
    /// The file's identity.
    pub db_uuid: String,
}

/// The open file, with the right to write it.
#[derive(Debug)]
pub struct Store {
    pub(crate) options: StoreOptions,
    pub(crate) db: SqliteConnection,
    pub(crate) state: BatchState,
    pub(crate) ballast: Ballast,
    lock: WriterLock,
    instance: String,
}

impl Store {
    /// Opens the file for writing, creating it if it isn't there, and passes the start-up barrier.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process writes it, [`Error::Newer`], [`Error::Foreign`],
    /// [`Error::OldSqlite`], [`Error::FileSystem`] if it must not be opened; else what SQLite or the system
    /// say.
    pub async fn open(options: StoreOptions) -> Result<(Self, Opened)> {
        let folder = folder_of(&options.path);
        prepare_folder(folder)?;
        if !options.allow_unsupported_filesystem {
            check_kind(folder)?;
        }
        let lock = WriterLock::acquire(&options.path, &options.program)?;
        let known_instance = read_instance(&options.path);
        let instance = match &known_instance {
            Some(instance) => instance.clone(),
            None => write_instance(&options.path)?,
        };
        let previous = Life::read(&options.path);

        let mut set_aside = None;
        let connected = match connect_checked(&options.path, known_instance.is_some()).await {
            Err(error) if error.class() == Class::Corrupt => {
                set_aside = Some(quarantine::set_aside(&options.path)?);
                connect_checked(&options.path, true).await?
            }
            other => other?,
        };
        let (mut db, was_empty) = connected;
        let previous_end = if was_empty {
            PreviousEnd::New
        } else {
            previous
        };
        let (fencing_token, barrier) = pass_barrier(&mut db, &options.path, previous_end).await?;
        let state = load_state(&mut db, fencing_token, options.max_observers).await?;
        let db_uuid = sqlx::query_scalar("SELECT db_uuid FROM store_state")
            .fetch_one(&mut db)
            .await
            .during("read the identity")?;
        Life::begin(&options.path)?;
        let ballast = Ballast::new(&options.path, options.ballast_bytes);
        if let Err(error) = ballast.fill() {
            tracing::warn!(error = %error, "No room for the ballast file: the disk is almost full");
        }
        let opened = Opened {
            previous_end,
            set_aside,
            checkpoint: barrier,
            db_uuid,
        };
        Ok((
            Self {
                options,
                db,
                state,
                ballast,
                lock,
                instance,
            },
            opened,
        ))
    }

    /// A random name of this installation, kept beside the file; 12 hex digits.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Each observer's id and the last known skew of its clock in seconds.
    pub async fn observer_skews(&mut self) -> Result<Vec<(String, i64)>> {
        sqlx::query_as(
            "SELECT id, clock_skew_seconds FROM observers WHERE clock_skew_seconds IS NOT NULL",
        )
        .fetch_all(&mut self.db)
        .await
        .during("read the observers' clocks")
    }

    /// Writes `records` durably, all in one transaction unless a row is refused: then the others are written
    /// and the refused one becomes a dead letter with reason `store:<code>`.
    ///
    /// # Errors
    /// Anything but a refused row; nothing of the failing group was written then, though groups before it may
    /// have been. Writing the same records again is harmless.
    pub async fn write(&mut self, records: &[Record], describe: &dyn Describe) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        // Groups still to write, the next one last.
        let mut groups = vec![records.to_vec()];
        while let Some(mut group) = groups.pop() {
            match self.state.write(&mut self.db, &group, describe).await {
                Ok(done) => outcome.merge(done),
                Err(error) if error.class() == Class::Row => {
                    if group.len() > 1 {
                        let second = group.split_off(group.len() / 2);
                        groups.push(second);
                        groups.push(group);
                    } else if let Some(letter) =
                        group.first().and_then(|record| dead_letter(record, &error))
                    {
                        groups.push(vec![letter]);
                    } else {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    /// Checkpoints the WAL.
    pub async fn checkpoint(&mut self, mode: CheckpointMode, wait: Duration) -> Result<Checkpoint> {
        checkpoint(&mut self.db, mode, wait).await
    }

    /// Takes the room that was set aside, checkpoints, and sets room aside again. What to do on a full disk.
    ///
    /// # Errors
    /// When there is still no room.
    pub async fn make_room(&mut self) -> Result<()> {
        self.ballast.release();
        let checkpoint = self
            .checkpoint(CheckpointMode::Truncate, BARRIER_WAIT)
            .await?;
        if checkpoint.busy {
            self.checkpoint(CheckpointMode::Passive, BARRIER_WAIT)
                .await?;
        }
        self.ballast.fill()
    }

    /// Sets the damaged file aside and goes on in a new one. Gives back where the old one is.
    pub async fn start_over(self) -> Result<(Self, Opened, PathBuf)> {
        let Self {
            options, db, lock, ..
        } = self;
        if let Err(error) = db.close_hard().await {
            tracing::warn!(%error, "The damaged file did not close");
        }
        let aside = quarantine::set_aside(&options.path)?;
        // The lock file stays the same: taken again at once, and nobody else waits for this process's life.
        drop(lock);
        let (store, opened) = Self::open(options).await?;
        Ok((store, opened, aside))
    }

    /// Closes the file and notes that this life ended well.
    ///
    /// # Errors
    /// When SQLite can't close it.
    pub async fn close(self) -> Result<()> {
        let Self { options, db, .. } = self;
        db.close().await.during("close the database")?;
        Life::end(&options.path);
        Ok(())
    }

    /// Notes that this life ends in an I/O error, so that the next one completes its first checkpoint.
    pub fn note_io_error(&self) {
        Life::note_io_error(&self.options.path);
    }
}

/// The record that stands for one the store refuses.
fn dead_letter(record: &Record, error: &Error) -> Option<Record> {
    let reason = format!("store:{}", error.sqlite_code().unwrap_or(0)).into();
    let (hash, raw, observer) = match record {
        Record::Reception(r) => (Some(r.hash), r.raw.clone(), Some(&r.observer)),
        Record::Status(s) => (None, Vec::new(), Some(&s.observer)),
        Record::Neighbors(n) => (None, Vec::new(), Some(&n.observer)),
        Record::SignOfLife(observer) => (None, Vec::new(), Some(observer.as_ref())),
        Record::ClientReception(_) => (None, Vec::new(), None),
        // A dead letter that is refused, or nothing: there is no other way to keep it.
        Record::Dropped(_) | Record::Nothing => return None,
    };
    Some(Record::Dropped(Box::new(Dropped {
        reason,
        hash,
        raw,
        observer_id: observer.map(|o| o.id.clone()),
        observer_name: observer.and_then(|o| o.name.clone()),
    })))
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Syncs what the last life left, connects, checks and migrates. Also says whether the file was empty.
async fn connect_checked(path: &Path, ours: bool) -> Result<(SqliteConnection, bool)> {
    sync_leftover_wal(path)?;
    refuse_foreign_bytes(path, ours)?;
    let mut db = connect(path).await?;
    check_sqlite_version(&mut db).await?;
    let kind = schema::inspect(&mut db, path).await?;
    let version = match kind {
        Kind::Empty => 0,
        Kind::Ours(version) => version,
    };
    // Only now, when the file is known to be ours: this writes to it.
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
        .fetch_one(&mut db)
        .await
        .during("switch to WAL")?;
    if mode != "wal" {
        return Err(Error::Foreign {
            path: path.to_owned(),
            reason: format!("its journal mode stays {mode}"),
        });
    }
    schema::migrate(&mut db, version).await?;
    Ok((db, kind == Kind::Empty))
}

async fn connect(path: &Path) -> Result<SqliteConnection> {
    let synchronous = if mutant::is_active("synchronous-normal") {
        SqliteSynchronous::Normal
    } else {
        SqliteSynchronous::Full
    };
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(4096)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .synchronous(synchronous)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", (64 << 20).to_string())
        .pragma("cache_size", "-16384")
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(160)
        .thread_name(|_| "sqlite-writer".to_owned())
        .disable_statement_logging()
        .connect()
        .await
        .during("open the database")
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
    use std::io::Read;
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

/// The start-up barrier. Gives back this life's fencing token.
async fn pass_barrier(
    db: &mut SqliteConnection,
    path: &Path,
    previous: PreviousEnd,
) -> Result<(String, Checkpoint)> {
    let started = tokio::time::Instant::now();
    let skip = mutant::is_active("no-barrier");
    let mut done = if skip {
        checkpoint(db, CheckpointMode::Noop, BARRIER_WAIT).await?
    } else {
        checkpoint(db, CheckpointMode::Truncate, BARRIER_WAIT).await?
    };
    while previous == PreviousEnd::IoError && !skip && !done.is_complete() {
        if started.elapsed() > SETTLE_WAIT {
            return Err(Error::Unsettled {
                path: path.to_owned(),
            });
        }
        done = checkpoint(db, CheckpointMode::Truncate, BARRIER_WAIT).await?;
    }
    if skip
        && let Some(token) = sqlx::query_scalar("SELECT fencing_token FROM store_state")
            .fetch_optional(&mut *db)
            .await
            .during("read the fencing token")?
    {
        return Ok((token, done));
    }
    let token = random_hex::<16>();
    let mut session = db
        .begin_with("BEGIN IMMEDIATE")
        .await
        .during("begin the session")?;
    sqlx::query(
        "INSERT INTO store_state(id, db_uuid, fencing_token) VALUES (1, ?, ?) \
         ON CONFLICT DO UPDATE SET fencing_token = excluded.fencing_token",
    )
    .bind(random_hex::<16>())
    .bind(&token)
    .execute(&mut *session)
    .await
    .during("take the file over")?;
    sqlx::query("INSERT INTO ingest_sessions(started_at, version, previous_end) VALUES (?, ?, ?)")
        .bind(time::now_text())
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(previous.as_str())
        .execute(&mut *session)
        .await
        .during("begin the session")?;
    session.commit().await.during("begin the session")?;
    Ok((token, done))
}

async fn load_state(
    db: &mut SqliteConnection,
    fencing_token: String,
    max_observers: usize,
) -> Result<BatchState> {
    let action = "read what the file holds";
    let mut observers = KnownObservers::default();
    let rows: Vec<(i64, String)> = sqlx::query_as("SELECT rowid, id FROM observers ORDER BY rowid")
        .fetch_all(&mut *db)
        .await
        .during(action)?;
    for (idx, id) in rows {
        observers.insert(&id, idx);
    }
    // The sequence, not max(id): an id that was given out and deleted must not come again.
    let mut next = async |table: &'static str| -> Result<i64> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = ?")
                .bind(table)
                .fetch_optional(&mut *db)
                .await
                .during(action)?;
        Ok(last.unwrap_or(0) + 1)
    };
    Ok(BatchState {
        statements: Statements::new(),
        observers,
        transmissions: KnownTransmissions::default(),
        next_transmission: next("transmissions").await?,
        next_observation: next("observations").await?,
        max_observers,
        fencing_token,
    })
}

fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    hex::encode(bytes)
}

fn read_instance(db: &Path) -> Option<String> {
    let text = std::fs::read_to_string(beside(db, ".instance")).ok()?;
    let text = text.trim();
    (text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned())
}

fn write_instance(db: &Path) -> Result<String> {
    let instance = random_hex::<6>();
    let path = beside(db, ".instance");
    std::fs::write(&path, format!("{instance}\n")).map_err(|e| Error::io("write", &path, e))?;
    Ok(instance)
}

/// The marker beside the file that says how the last life ended: there while a writer lives, gone after a
/// clean end, with a word in it after an I/O error.
struct Life;

impl Life {
    fn marker(db: &Path) -> PathBuf {
        beside(db, ".running")
    }

    fn read(db: &Path) -> PreviousEnd {
        match std::fs::read_to_string(Self::marker(db)) {
            Ok(text) if text.trim() == PreviousEnd::IoError.as_str() => PreviousEnd::IoError,
            Ok(_) => PreviousEnd::Unclean,
            Err(_) => PreviousEnd::Clean,
        }
    }

    fn begin(db: &Path) -> Result<()> {
        let path = Self::marker(db);
        std::fs::write(&path, "running\n").map_err(|e| Error::io("write", path, e))
    }

    fn note_io_error(db: &Path) {
        let path = Self::marker(db);
        let noted = std::fs::File::create(&path).and_then(|mut file| {
            std::io::Write::write_all(&mut file, PreviousEnd::IoError.as_str().as_bytes())?;
            file.sync_all()
        });
        if let Err(error) = noted {
            tracing::error!(path = %path.display(), %error, "The I/O error could not be noted for the next start");
        }
    }

    fn end(db: &Path) {
        if let Err(error) = std::fs::remove_file(Self::marker(db)) {
            tracing::warn!(%error, "The marker of this life could not be removed");
        }
    }
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
