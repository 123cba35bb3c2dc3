//! `meshcore-server`: parse, log, run, exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use meshcore_lifecycle::{ShutdownBudget, Signals, exit_code};
use meshcore_server::{Args, Config, run};
use meshcore_telemetry::{LogFormat, health, init_logging};

/// Shows a MeshCore database over HTTP and WebSocket.
#[derive(Parser)]
#[command(
    name = "meshcore-server",
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
    /// Ask the server that runs with the same settings whether it is ready, from a container without a shell
    ///
    /// Prints the answer. The exit code is 0 if it is, else 1.
    Health {
        #[command(flatten)]
        question: health::Question,
        #[command(flatten)]
        args: Args,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    // First of all: process 1 of a container ignores signals that it has no handler for.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(&error.into(), exit_code::FAILED),
    };
    let Cli { command, args } = Cli::parse();
    if let Some(Command::Health { question, args }) = command {
        return match Config::resolve(args) {
            Ok(config) => health::report("meshcore-server", config.listen, question).await,
            Err(error) => fail(&error.into(), exit_code::FAILED),
        };
    }
    let config = match Config::resolve(args) {
        Ok(config) => config,
        Err(error) => return give_up(&error.into(), exit_code::CONFIG),
    };
    init_logging(&config.log_level, LogFormat::from_env());
    let budget = match ShutdownBudget::from_env() {
        Ok(budget) => budget,
        Err(error) => return give_up(&error.into(), exit_code::CONFIG),
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?config, %budget, "The server starts");
    match Box::pin(run(config, budget, &signals)).await {
        Ok(outcome) => outcome.exit(),
        Err(error) => give_up(&error, exit_code::CONFIG),
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
    eprintln!("meshcore-server: {error:#}");
    ExitCode::from(code)
}
