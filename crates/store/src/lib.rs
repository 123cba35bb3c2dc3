//! The one SQLite file: schema, the one writer, the readers.
//!
//! Place in the flow: the ingestor hands [`Record`]s to the [`Writer`], which groups them into transactions
//! and tells when a group is durable; the server reads through [`Reader`]. Only this crate writes SQL.
//!
//! The file is in WAL mode with `synchronous=FULL`. There is one writer (a lock, and a fencing token checked
//! in every transaction), and only the writer checkpoints.

mod batch;
mod checkpoint;
mod error;
mod filesystem;
mod known;
mod lock;
mod maintenance;
mod mutant;
mod open;
mod quarantine;
mod reader;
mod rows;
mod schema;
mod sql;
mod statements;
mod time;
mod writer;

pub use checkpoint::{Checkpoint, CheckpointMode};
pub use error::{Class, Error, Result};
pub use filesystem::free_and_total_bytes;
pub use lock::WriterLock;
pub use maintenance::{Maintenance, Retention};
pub use mutant::is_active as mutant_is_active;
pub use open::{Opened, PreviousEnd, Store, StoreOptions};
pub use reader::{Reader, Stats};
pub use rows::{
    ClientReception, Describe, Description, Dropped, MAX_DROPPED_RAW, Neighbors, NodeAdvert,
    Observer, Outcome, Reception, Record, Status, TimeSource,
};
pub use schema::SCHEMA_VERSION;
pub use writer::{BATCH_ROWS, Commit, Condition, Writer, WriterEvents};
