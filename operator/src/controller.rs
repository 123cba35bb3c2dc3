//! From events to reconciles: the watches fill the cache and name who is concerned, the queue says when, and at most
//! so many reconciles run at once.

mod memory;
mod queue;
mod reconcile;
mod run;
mod troubles;
mod watches;

pub use memory::{Look, Memory, Overruled, Repair, SecretsSeen};
pub use run::{Options, run};
pub use troubles::WatchTroubles;
