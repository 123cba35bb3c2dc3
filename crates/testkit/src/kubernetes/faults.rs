//! A proxy between a program and the API server that spoils what a plan tells it to.

mod plan;
mod proxy;
mod request;
mod seeded;
mod status;
mod watch;

pub use plan::{Fate, Moment, Plan};
pub use proxy::{FaultProxy, Seen};
pub use request::RequestInfo;
pub use seeded::{SeededFaults, fault_seed};
