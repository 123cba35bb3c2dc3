//! Nothing acknowledged is lost, whatever happens. The oracle is a proxy between broker and ingestor that
//! sees each PUBACK pass; no log line of ours counts.
//!
//! `TORTURE_KILLS` and `TORTURE_CUTS` set how many kills and power cuts there are (50 each), `TORTURE_SEED`
//! when they come.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod kills;
mod oracle;
mod power_cuts;
