//! Looking at a database without touching it, and the few repairs that need the writer's lock.
//!
//! The look is safe beside a running ingestor and server: the connection is read-only, so it can neither write
//! nor checkpoint, also when it is the last one to close.

mod database;
mod repair;
mod surroundings;

use std::path::Path;

use serde::Serialize;

pub(crate) use self::database::connect_read_only;
pub use self::database::{DatabaseFacts, Depth, Kind, Recount};
pub use self::repair::{Vacuumed, checkpoint_file, recount_file, vacuum_file};
pub use self::surroundings::{LastLife, SetAside, Surroundings};

/// What a look at a database found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Examination {
    /// The files, the disk, the lock.
    pub surroundings: Surroundings,
    /// What is in the file; `None` if there is none or it can't be read.
    pub database: Option<DatabaseFacts>,
    /// What is wrong, each with its cure. Empty for a healthy database.
    pub problems: Vec<Finding>,
    /// What is worth knowing.
    pub notes: Vec<Finding>,
}

/// Something that was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// What to do.
    pub cure: String,
}

impl Finding {
    fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cure: cure.into(),
        }
    }
}

/// Looks at the database at `path`. Whatever is wrong with it is in the answer.
pub async fn examine(path: &Path, depth: Depth) -> Examination {
    let surroundings = Surroundings::of(path);
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    surroundings.judge(&mut problems, &mut notes);
    let database = if surroundings.exists {
        match DatabaseFacts::read(path, depth).await {
            Ok(facts) => {
                facts.judge(&surroundings, &mut problems, &mut notes);
                Some(facts)
            }
            Err(error) => {
                problems.push(unreadable(path, &error));
                None
            }
        }
    } else {
        None
    };
    Examination {
        surroundings,
        database,
        problems,
        notes,
    }
}

/// A file that SQLite doesn't read.
fn unreadable(path: &Path, error: &crate::Error) -> Finding {
    let mut what = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        what = format!("{what}: {cause}");
        source = cause.source();
    }
    let journal = crate::filesystem::beside(path, "-journal");
    let cure = if error.class() == crate::Class::Corrupt {
        "restore a copy, or start the ingestor: it sets a damaged database aside, whole, and begins a new one"
    } else if journal.exists() {
        "a program was killed in the middle of a transaction: the next one that opens the file for writing takes it back"
    } else {
        "the file and its folder must be readable and writable for you: a database in WAL mode has its index in a file beside it"
    };
    Finding::new(what, cure)
}
