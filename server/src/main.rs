//! `meshcore-server`: parse, log, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use meshcore_lifecycle::{Signals, exit_code};
use meshcore_server::{Args, run};
use meshcore_telemetry::{LogFormat, init_logging};

#[tokio::main]
async fn main() -> ExitCode {
    // First of all: process 1 of a container ignores signals that it has no handler for.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(&error.into()),
    };
    let args = Args::parse();
    init_logging(&args.log_level, LogFormat::from_env());
    match run(args, &signals).await {
        Ok(outcome) => outcome.into(),
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a program that can't start"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("meshcore-server: {error:#}");
    ExitCode::from(exit_code::CONFIG)
}
