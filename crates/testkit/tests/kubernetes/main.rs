//! The control plane that the operator's tests stand on is a real one, and the faults put into it are those of the plan.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;
mod control_plane;
mod faults;
