//! Which of several operators works: the one that holds a Lease of `coordination.k8s.io/v1`.
//!
//! The Lease is made when it is first needed, not by a chart: a manifest of it would be put back by whoever applies
//! manifests, and take the leader's entry away.
//!
//! ```text
//! Elector (requests, sleep) ◀─ steps ─ Election (decides; no I/O, no clock)
//!     └─▶ Leadership: valid until …  ─▶ the gate in front of every write
//! ```

mod election;
mod elector;
mod gate;
mod leadership;
mod record;

pub use election::{Answer, Election, Loss, Request, Step, Timing, TimingError};
pub use elector::{Elector, LeaseLost};
pub use gate::{NotTheLeader, WriteGate};
pub use leadership::Leadership;
pub use record::{holder, identity};
