//! `meshcore up` with the real ingestor, the real server, real brokers and real signals.

#![expect(
    clippy::unwrap_used,
    reason = "support code of tests counts as product code for this lint"
)]

mod broker;
mod errors;
mod file;
mod harness;
mod life;
mod together;
mod trouble;

/// The folder with `meshcore` and both programs.
fn programs() -> &'static std::path::Path {
    meshcore_testkit::programs_beside(env!("CARGO_BIN_EXE_meshcore"))
}
