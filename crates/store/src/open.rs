//! Opening the file for writing: lock, checks, migration, barrier, and what the writer must know of the file.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;

use crate::adopt::{self, Adopted, AdoptionProgress};
use crate::barrier;
use crate::batch::BatchState;
use crate::checkpoint::Checkpoint;
use crate::connect::{Found, connect, connect_for_batches, let_go, set_up};
use crate::error::{Class, Result, SqliteContext};
use crate::fence::Fence;
use crate::filesystem::{Ballast, check_kind, folder_of, prepare_folder, without_links};
use crate::known::{KnownObservers, KnownTransmissions};
use crate::life::{Life, PreviousEnd, read_instance, write_instance};
use crate::lock::WriterLock;
use crate::quarantine;
use crate::statements::Statements;
use crate::store::Store;

/// How to open the file.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The database file.
    pub path: PathBuf,
    /// Who opens it, for the lock file: program and version.
    pub program: String,
    /// Go on on a file system that can't keep a WAL safe.
    pub allow_unsupported_filesystem: bool,
    /// Room set aside so that a full disk can be checkpointed, bytes; 0 sets none aside. It is never more than
    /// a sixteenth of the disk.
    pub ballast_bytes: u64,
    /// More observers than this are not accepted: their packets become dead letters.
    pub max_observers: usize,
    /// How long the first checkpoint is tried when the last life ended in an I/O error, and it must complete.
    pub settle_wait: Duration,
    /// Who is told how far the adoption of a CoreScope database is.
    pub progress: ProgressHook,
}

/// Somebody to tell how far an adoption is. It is called between transactions and must not block.
#[derive(Clone, Default)]
pub struct ProgressHook(Option<Arc<Listener>>);

type Listener = dyn Fn(&AdoptionProgress) + Send + Sync;

impl ProgressHook {
    /// Tells `listener`.
    pub fn new(listener: impl Fn(&AdoptionProgress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(crate) fn tell(&self, progress: &AdoptionProgress) {
        if let Some(listener) = &self.0 {
            listener(progress);
        }
    }
}

impl fmt::Debug for ProgressHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgressHook")
            .field(&self.0.is_some())
            .finish()
    }
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
            settle_wait: Duration::from_secs(10),
            progress: ProgressHook::default(),
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
    /// What was adopted, if the file was CoreScope's or CoreScope wrote to it since.
    pub adopted: Option<Adopted>,
    /// Whether the file was CoreScope's once, at this start or before.
    pub is_adopted: bool,
    /// Whether pages can be given back to the file system. A file that was not made by us usually can't; its
    /// free pages are used again all the same.
    pub gives_pages_back: bool,
}

impl Store {
    /// Opens the file for writing, creating it if it isn't there, and passes the start-up barrier. Of a path with
    /// links in it, what they lead to is opened, and everything that belongs to the file is put beside that.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) if another process writes it, and the other errors of
    /// [`Class::Refused`] if it must not be opened; else what SQLite or the system say.
    pub async fn open(mut options: StoreOptions) -> Result<(Self, Opened)> {
        prepare_folder(folder_of(&options.path))?;
        options.path = without_links(&options.path)?;
        let folder = folder_of(&options.path);
        if !options.allow_unsupported_filesystem {
            check_kind(folder)?;
        }
        let lock = WriterLock::acquire(&options.path, &options.program)?;
        Self::open_locked(options, lock).await
    }

    /// Opens the file under a lock that this process holds already.
    pub(crate) async fn open_locked(
        options: StoreOptions,
        lock: WriterLock,
    ) -> Result<(Self, Opened)> {
        let mut ballast = Ballast::new(&options.path, options.ballast_bytes);
        let prepared = match Prepared::new(&options).await {
            // Opening needs some room itself: a WAL, its index, the row of this life.
            Err(error) if error.class() == Class::Full => {
                tracing::warn!(error = %error, "The disk is full; the room set aside is used to open the database");
                ballast.release();
                Prepared::new(&options).await?
            }
            other => other?,
        };
        let Prepared {
            mut db,
            state,
            instance,
            opened,
        } = prepared;
        if let Err(error) = ballast.fill() {
            tracing::warn!(error = %error, "No room for the ballast file: the disk is almost full");
        }
        let batches = match connect_for_batches(&mut db, &options.path).await {
            Ok(batches) => batches,
            Err(error) => {
                let_go(db, &error).await;
                return Err(error);
            }
        };
        let store = Self {
            batches,
            options,
            db,
            state,
            ballast,
            lock,
            instance,
            is_damaged: false,
        };
        Ok((store, opened))
    }
}

/// An open file behind its barrier.
struct Prepared {
    db: SqliteConnection,
    state: BatchState,
    instance: String,
    opened: Opened,
}

impl Prepared {
    async fn new(options: &StoreOptions) -> Result<Self> {
        let path = &options.path;
        let known_instance = read_instance(path);
        let ours = known_instance.is_some();
        let mut set_aside = quarantine::set_orphan_aside(path)?;
        let (db, ready) = match Box::pin(open_checked(options, ours)).await {
            Err(error) if error.class() == Class::Corrupt => {
                tracing::error!(error = %error, path = %path.display(), "The database is damaged");
                set_aside = Some(quarantine::set_aside(path)?);
                Box::pin(open_checked(options, true)).await?
            }
            other => other?,
        };
        // Only where a file is ours: its being there means that bytes that are no database are a damaged one.
        let instance = match known_instance {
            Some(instance) => instance,
            None => write_instance(path)?,
        };
        Life::begin(path)?;
        let Ready {
            previous_end,
            checkpoint,
            state,
            db_uuid,
            adopted,
            is_adopted,
            gives_pages_back,
        } = ready;
        let opened = Opened {
            previous_end,
            set_aside,
            checkpoint,
            db_uuid,
            adopted,
            is_adopted,
            gives_pages_back,
        };
        Ok(Self {
            db,
            state,
            instance,
            opened,
        })
    }
}

/// What came of making a connection ready.
struct Ready {
    previous_end: PreviousEnd,
    checkpoint: Checkpoint,
    state: BatchState,
    db_uuid: String,
    adopted: Option<Adopted>,
    is_adopted: bool,
    gives_pages_back: bool,
}

/// What `PRAGMA auto_vacuum` says of a file whose free pages can be given back.
const INCREMENTAL: i64 = 2;

async fn open_checked(options: &StoreOptions, ours: bool) -> Result<(SqliteConnection, Ready)> {
    let mut db = connect(&options.path, ours).await?;
    match make_ready(&mut db, options).await {
        Ok(ready) => Ok((db, ready)),
        Err(error) => {
            let error = error.or_no_room(&options.path);
            let_go(db, &error).await;
            Err(error)
        }
    }
}

async fn make_ready(db: &mut SqliteConnection, options: &StoreOptions) -> Result<Ready> {
    let path = &options.path;
    let marked_end = Life::read(path);
    let found = set_up(db, path, &options.progress).await?;
    let previous_end = match found {
        Found::Empty => PreviousEnd::New,
        _ => marked_end,
    };
    let adopted = match found {
        Found::Adopted(adopted) => Some(adopted),
        Found::Empty | Found::Ours => None,
    };
    let auto_vacuum: i64 = sqlx::query_scalar("PRAGMA auto_vacuum")
        .fetch_one(&mut *db)
        .await
        .during("read auto_vacuum")?;
    let (fence, checkpoint) = barrier::pass(db, path, previous_end, options.settle_wait).await?;
    let state = load_state(db, fence, options.max_observers).await?;
    let db_uuid = sqlx::query_scalar("SELECT db_uuid FROM store_state")
        .fetch_one(&mut *db)
        .await
        .during("read the identity")?;
    Ok(Ready {
        previous_end,
        checkpoint,
        state,
        db_uuid,
        adopted,
        is_adopted: adopt::was_adopted(db).await?,
        gives_pages_back: auto_vacuum == INCREMENTAL,
    })
}

async fn load_state(
    db: &mut SqliteConnection,
    fence: Fence,
    max_observers: usize,
) -> Result<BatchState> {
    let action = "read what the file holds";
    let mut observers = KnownObservers::default();
    // An id can be missing in adopted files: then no message matches the row, and no new one gets its number.
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT rowid, CAST(coalesce(id, '') AS TEXT) FROM observers ORDER BY rowid",
    )
    .fetch_all(&mut *db)
    .await
    .during(action)?;
    for (idx, id) in rows {
        // Of rows whose ids differ in case only, which older files have, the first one goes on.
        if observers.get(&id).is_none() {
            observers.insert(&id, idx);
        }
        observers.reserve(idx);
    }
    // Not max(id) alone: an id that was given out and deleted must not come again.
    let (last_transmission, last_observation): (i64, i64) = sqlx::query_as(
        "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'transmissions'), 0), \
                    coalesce((SELECT max(id) FROM transmissions), 0)), \
                max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'observations'), 0), \
                    coalesce((SELECT max(id) FROM observations), 0))",
    )
    .fetch_one(db)
    .await
    .during(action)?;
    Ok(BatchState {
        statements: Statements::new(),
        observers,
        transmissions: KnownTransmissions::default(),
        next_transmission: last_transmission + 1,
        next_observation: last_observation + 1,
        max_observers,
        fence,
    })
}
