//! `meshcore-server`: parse, log, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use meshcore_lifecycle::{ShutdownBudget, Signals, exit_code};
use meshcore_server::{Args, Config, run};
use meshcore_telemetry::{LogFormat, init_logging};

#[tokio::main]
async fn main() -> ExitCode {
    // First of all: process 1 of a container ignores signals that it has no handler for.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(&error.into(), exit_code::FAILED),
    };
    let config = match Config::resolve(Args::parse()) {
        Ok(config) => config,
        Err(error) => return fail(&error.into(), exit_code::CONFIG),
    };
    init_logging(&config.log_level, LogFormat::from_env());
    let budget = match ShutdownBudget::from_env() {
        Ok(budget) => budget,
        Err(error) => return fail(&error.into(), exit_code::CONFIG),
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?config, %budget, "The server starts");
    match Box::pin(run(config, budget, &signals)).await {
        Ok(outcome) => outcome.exit(),
        Err(error) => fail(&error, exit_code::CONFIG),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a program that can't start"
)]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("meshcore-server: {error:#}");
    ExitCode::from(code)
}
