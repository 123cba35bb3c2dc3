//! The operator as a process, and the parts of it that talk to an API server of their own accord.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod discovery;
mod election;
mod last_shutdown;
#[path = "../common/operator.rs"]
mod operator;
mod process;
mod secrets;
