//! `meshcore-cluster up` and `down`: the cluster that the tests use, for a person.
//!
//! Three processes: `up` starts `keep` and waits for it; `keep` stays, forwards a port of this machine to the API
//! server, and starts `run` apart; `run` is the cluster. When one of the last two ends, however it ends, the other
//! one does too, and nothing is left.
#![expect(clippy::print_stdout, reason = "it is for a person")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod down;
mod forward;
mod keep;
mod run;
mod up;

/// The images that a person may want to run.
const IMAGES: [&str; 5] = ["operator", "ingestor", "server", "meshcore", "mosquitto"];

/// A Kubernetes on this machine, in namespaces of its own
#[derive(Parser)]
#[command(name = "meshcore-cluster")]
struct Args {
    /// Where its kubeconfig, its log and its process id are
    #[arg(long, default_value = "/run/meshcore-cluster", global = true)]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start it, with our images loaded, and print how to reach it
    Up,
    /// Stop it, and remove everything that belongs to it
    Down,
    #[command(hide = true)]
    Keep,
    #[command(hide = true)]
    Run {
        #[arg(long)]
        port: u16,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Up => up::up(&args.folder),
        Command::Down => down::down(&args.folder),
        Command::Keep => keep::keep(&args.folder),
        Command::Run { port } => run::run(&args.folder, port),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The file with the process id of `keep`.
fn id_file(folder: &Path) -> PathBuf {
    folder.join("keep.pid")
}

/// The process that keeps the cluster, if there is one.
fn keeper(folder: &Path) -> Result<Option<rustix::process::Pid>> {
    let Ok(text) = std::fs::read_to_string(id_file(folder)) else {
        return Ok(None);
    };
    let id: i32 = text.trim().parse()?;
    let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let is_ours = command
        .split(|byte| *byte == 0)
        .any(|argument| argument == b"keep");
    Ok(rustix::process::Pid::from_raw(id).filter(|_| is_ours))
}
