//! `meshcore-operator`: parse, log, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use meshcore_lifecycle::{Signals, exit_code};
use meshcore_operator::args::{Args, Command, Config, RunArgs};
use meshcore_operator::{probe, program};
use meshcore_telemetry::{LogFormat, health, init_logging};

#[tokio::main]
async fn main() -> ExitCode {
    // First of all: process 1 of a container ignores signals that it has no handler for.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(&error.into(), exit_code::FAILED),
    };
    match Args::parse().command {
        Command::Health { question, run } => match Config::resolve(*run) {
            Ok(config) => health::report("meshcore-operator", config.address, question).await,
            Err(error) => fail(&error.into(), exit_code::FAILED),
        },
        Command::Crd => print(&meshcore_resource::crd_yaml()),
        Command::Probe { url } => match probe::probe(&url).await {
            Ok(answer) => print(&(answer + "\n")),
            Err(error) => fail(&error, exit_code::FAILED),
        },
        Command::Run(args) => run(*args, &signals).await,
    }
}

async fn run(args: RunArgs, signals: &Signals) -> ExitCode {
    let config = match Config::resolve(args) {
        Ok(config) => config,
        Err(error) => return fail(&error.into(), exit_code::CONFIG),
    };
    init_logging(&config.log_level, LogFormat::from_env());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ?config,
        "The operator starts"
    );
    match Box::pin(program::run(config, signals)).await {
        Ok(outcome) => outcome.exit(),
        Err(error) => fail(&error, exit_code::CONFIG),
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into(), exit_code::FAILED),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a program that can't start"
)]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("meshcore-operator: {error:#}");
    ExitCode::from(code)
}
