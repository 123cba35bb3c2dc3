//! `meshcore-ingestor`: parse, log, run, exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use meshcore_ingestor::config::{Args, Config, health_address};
use meshcore_ingestor::run;
use meshcore_lifecycle::{ShutdownBudget, Signals, exit_code};
use meshcore_telemetry::{LogFormat, health, init_logging};

/// Stores what MeshCore observers publish over MQTT, and acknowledges it when it is durable.
#[derive(Parser)]
#[command(
    name = "meshcore-ingestor",
    version,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    args: Args,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the ingestor that runs with the same settings whether it is ready, from a container without a shell
    ///
    /// Prints the answer. The exit code is 0 if it is, else 1.
    Health {
        #[command(flatten)]
        question: health::Question,
        #[command(flatten)]
        args: Args,
    },
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // First of all: process 1 of a container ignores signals that it has no handler for.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(&error.into(), exit_code::FAILED),
    };
    let Cli { command, args } = Cli::parse();
    if let Some(Command::Health { question, args }) = command {
        return match health_address(&args) {
            Ok(address) => health::report("meshcore-ingestor", address, question).await,
            Err(error) => fail(&error.into(), exit_code::FAILED),
        };
    }
    let loaded = match Config::load(args) {
        Ok(loaded) => loaded,
        Err(error) => return give_up(&error.into(), exit_code::CONFIG),
    };
    init_logging(&loaded.config.log_level, LogFormat::from_env());
    for warning in &loaded.warnings {
        tracing::warn!(key = warning.path, "{warning}");
    }
    let budget = match ShutdownBudget::from_env() {
        Ok(budget) => budget,
        Err(error) => return give_up(&error.into(), exit_code::CONFIG),
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %loaded.config.redacted(), "The ingestor starts");
    match Box::pin(run(loaded.config, budget, &signals)).await {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            let code = error.exit_code();
            give_up(&error.into(), code)
        }
    }
}

/// The last words of a program that can't start; the kubelet and the operator tell them.
fn give_up(error: &anyhow::Error, code: u8) -> ExitCode {
    meshcore_lifecycle::last_words(&format!("{error:#}"));
    fail(error, code)
}

#[expect(
    clippy::print_stderr,
    reason = "nothing else is heard of a program that can't start"
)]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("meshcore-ingestor: {error:#}");
    ExitCode::from(code)
}
