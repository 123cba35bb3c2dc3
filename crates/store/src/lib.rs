//! The one SQLite file: schema, the one writer, the readers.
//!
//! Place in the flow: the ingestor hands [`Record`]s to the [`Writer`], which groups them into transactions
//! and tells when a group is durable; the server reads through [`Reader`]. Only this crate writes SQL.
//!
//! The file is in WAL mode with `synchronous=FULL`. There is one writer (a lock, and a fencing token checked
//! in every transaction), and only the writer checkpoints.

mod adopt;
mod barrier;
mod batch;
mod checkpoint;
mod connect;
pub mod doctor;
mod error;
mod fence;
mod filesystem;
mod import;
mod in_use;
mod job;
mod known;
mod life;
mod lock;
mod maintenance;
mod mutant;
mod observed_frame;
mod open;
mod quarantine;
mod reader;
mod retention;
mod rows;
mod schema;
mod sql;
mod statements;
mod store;
mod time;
mod transaction;
mod writer;

pub use adopt::{Adopted, AdoptionProgress, AdoptionStep};
pub use checkpoint::{Checkpoint, CheckpointMode};
pub use error::{Class, Error, Result};
pub use filesystem::free_and_total_bytes;
pub use import::{ImportProgress, Imported, Tally, import};
pub use life::PreviousEnd;
pub use lock::WriterLock;
pub use maintenance::Maintenance;
pub use mutant::is_active as mutant_is_active;
pub use open::{Opened, ProgressHook, StoreOptions};
pub use reader::{
    NodeCounts, NodeFilter, NodeRow, ObservationRow, ObserverRow, Reader, RoleCounts, Stats,
};
pub use retention::Retention;
pub use rows::{
    ClientReception, Describe, Description, Dropped, MAX_DROPPED_RAW, Neighbors, NodeAdvert,
    Observer, Outcome, Reception, Record, Status, TimeSource,
};
pub use schema::SCHEMA_VERSION;
pub use store::Store;
pub use writer::{BATCH_ROWS, Commit, Condition, Writer, WriterEvents};
