//! The `meshcore` command line: one module for each sub-command, and the MQTT publisher that some
//! of them share.
//!
//! Exit codes: 0 done, 1 something failed, 2 the command line cannot be used, 3 a database was refused (its
//! lock is held, its schema is newer), 74 an I/O error of a database. `up` has more.

pub mod broker;
mod compose;
mod decode;
mod doctor;
mod feed_line;
mod health;
mod import;
pub mod publisher;
mod replay;
mod resource_file;
mod session;
mod simulate;
mod stop;
mod terminal;
mod up;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use meshcore_lifecycle::exit_code;
use meshcore_store::Class;

/// A MeshCore analyzer on one machine, and the tools for its meshes and databases.
#[derive(Debug, Parser)]
#[command(name = "meshcore", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a compose file that runs a resource in containers, without a cluster.
    Compose(compose::ComposeArgs),
    /// Show what is in a frame, byte by byte or as JSON.
    Decode(decode::DecodeArgs),
    /// Look at a database: integrity, schema, WAL, disk, lock; and repair it.
    Doctor(doctor::DoctorArgs),
    /// Merge a CoreScope database, or one of ours, into one of ours.
    Import(import::ImportArgs),
    /// Ask the programs of `meshcore up` whether they are ready.
    Health(health::HealthArgs),
    /// Publish a simulated mesh to a broker, or write it to a file.
    Simulate(simulate::SimulateArgs),
    /// Publish a recorded feed to a broker.
    Replay(replay::ReplayArgs),
    /// Run the ingestor and the server, without a cluster.
    Up(up::UpArgs),
    /// Check a resource: what the API server would say of it.
    Validate(validate::ValidateArgs),
}

/// Reads the command line, does what it says, and gives the exit code of the process.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Compose(args) => compose::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Import(args) => import::run(args),
        Command::Health(args) => health::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Up(args) => up::run(args),
        Command::Validate(args) => validate::run(args),
    };
    result.unwrap_or_else(|err| {
        terminal::complain(&err);
        ExitCode::from(exit_code(&err))
    })
}

/// 2 for what the user must write differently, 3 where the store refuses, 74 for its I/O errors, else 1.
fn exit_code(err: &anyhow::Error) -> u8 {
    if err.is::<terminal::Usage>() {
        return exit_code::CONFIG;
    }
    match err.downcast_ref().map(meshcore_store::Error::class) {
        Some(Class::Refused) => exit_code::STORE_REFUSED,
        Some(Class::Io) => exit_code::IO_ERROR,
        _ => exit_code::FAILED,
    }
}

/// The runtime of the sub-commands that talk to a broker: one thread for the source of messages
/// and one for the connection.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
