//! How the last pod of a resource ended, for `status.lastShutdown`.
//!
//! A terminated container's message is the program's shutdown report, and the last events of a pod show it. So all
//! pods are watched, and every event is read, the one of the deletion as well. What was not seen (the operator was
//! away, the pod was deleted by force) is asked of the next pod, whose programs serve the reports that the ones before
//! them left beside the database. What neither tells is not known, and is said to be so.
//!
//! ```text
//! Pod ─▶ PodView ─▶ Memory ─▶ LastShutdown           pure
//!  ▲ watch             └─▶ Question ─▶ GET http://<pod>/shutdown-report
//! ```

mod ask;
mod cause;
mod memory;
mod pod;
mod summary;
mod watch;

pub use memory::{Memory, Question, ResourceKey, Told};
pub use pod::{PodView, Program};
pub use watch::{LastShutdowns, watch};
