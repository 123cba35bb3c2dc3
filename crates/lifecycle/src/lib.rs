//! How a program of this project starts to stop, stops in time, and says how it went.
//!
//! One [`ShutdownBudget`] is read by the resource, the pod template and the programs. A program
//! installs [`Signals`] before anything else, tells the world how it is through [`Readiness`], and
//! registers named clean-up steps with a [`ShutdownManager`]. The first signal starts one
//! [`Deadline`] for all of the steps; what happened is a [`Report`], and the [`exit_code`] says the
//! same in one number.
//!
//! Three things end a process that would not stop by itself, each with a report of what was left:
//! - the manager, when the deadline passes during a step (124),
//! - the [`Watchdog`], a thread, when the runtime itself is blocked (124),
//! - a second signal (128 + its number).
//!
//! ```no_run
//! use meshcore_lifecycle::{
//!     Cause, Outlets, Readiness, ShutdownBudget, ShutdownManager, Signals, report_path,
//! };
//!
//! # async fn open_store() {}
//! # async fn serve() -> std::io::Result<()> { Ok(()) }
//! # async fn drain() -> std::io::Result<()> { Ok(()) }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let signals = Signals::install()?;
//!     let budget = ShutdownBudget::from_env()?;
//!     let readiness = Readiness::starting("opening the database");
//!     let mut manager = ShutdownManager::new("server", budget.server_deadline())
//!         .with_readiness(readiness.clone())
//!         .with_outlets(Outlets::new().with_file(report_path("mesh.db".as_ref(), "server")))
//!         .with_signals(&signals)?;
//!
//!     let cause = tokio::select! {
//!         signal = signals.first() => Cause::Signal(signal),
//!         () = open_store() => {
//!             manager.step("drain_http", |deadline| async move { Ok(deadline.limit(drain()).await??) });
//!             readiness.started();
//!             tokio::select! {
//!                 signal = signals.first() => Cause::Signal(signal),
//!                 ended = serve() => Cause::task_ended("http", ended),
//!             }
//!         }
//!     };
//!     manager.run(cause).await.exit()
//! }
//! ```

mod budget;
mod cause;
mod deadline;
mod ending;
pub mod events;
pub mod exit_code;
mod manager;
mod outlets;
mod progress;
mod readiness;
mod report;
mod signals;
mod step;
mod watchdog;

pub use budget::{BudgetError, ShutdownBudget};
pub use cause::Cause;
pub use deadline::{Deadline, DeadlineExceeded};
pub use manager::{Outcome, ShutdownManager};
pub use outlets::{Outlets, TERMINATION_LOG, last_words, report_path};
pub use progress::Notes;
pub use readiness::{DISK, Readiness, ReadinessSnapshot, Status};
pub use report::{MAX_REPORT_BYTES, Phase, PhaseOutcome, Report, ReportError};
pub use signals::{STOP_WITH_PARENT, Signal, Signals};
pub use step::{StepError, StepFailure, StepNote};
pub use watchdog::Watchdog;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whatever a panicking holder left behind: a shutdown goes on with what it knows.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
