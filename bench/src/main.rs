//! `meshcore-bench`: what the data path does, each figure beside what the same machine could do in the same
//! run. `make bench` runs it in release. A target that is missed is said in the table, not by the exit code.

mod backlog;
mod bare;
mod checkpoints;
mod drain;
mod ingestor;
mod latency;
mod live;
mod machine;
mod measure;
mod operator;
mod packet;
mod queries;
mod restart;
mod serve;
mod server;
mod storing;
mod table;
mod traffic;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tempfile::TempDir;

use crate::table::Table;

/// Measures the data path beside the limits of this machine.
#[derive(Parser)]
#[command(name = "meshcore-bench", version)]
pub(crate) struct Options {
    /// Which sections to run [default: all]
    #[arg(value_enum)]
    sections: Vec<Section>,

    /// A small version that shows that everything works, in less than a minute
    #[arg(long)]
    pub(crate) quick: bool,

    /// How many rounds each contender gets [default: 3, 1 with --quick]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// Folder for databases, on the disk to be measured [default: the folder of this program]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// The ingestor's binary [default: meshcore-ingestor beside this program]
    #[arg(long = "ingestor", value_name = "FILE")]
    ingestor: Option<PathBuf>,

    /// The server's binary [default: meshcore-server beside this program]
    #[arg(long = "server", value_name = "FILE")]
    server: Option<PathBuf>,

    /// The operator's binary [default: meshcore-operator beside this program]
    #[arg(long = "operator", value_name = "FILE")]
    operator: Option<PathBuf>,
}

/// A part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Decoding, signatures, decryption
    Packet,
    /// The store alone
    Store,
    /// The ingestor on a broker's backlog
    Drain,
    /// The ingestor after a SIGKILL
    Restart,
    /// Single commits
    Latency,
    /// What the server asks of the database
    Queries,
    /// The server on a long history
    Serve,
    /// The live feed
    Live,
    /// The operator on a control plane
    Operator,
}

impl Options {
    /// How many rounds each contender gets.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    /// A folder that goes away with its value.
    pub(crate) fn temp_dir(&self) -> Result<TempDir> {
        let parent = match &self.dir {
            Some(dir) => dir.clone(),
            None => this_folder()?,
        };
        tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&parent)
            .with_context(|| format!("make a folder in {}", parent.display()))
    }

    /// The operator's binary.
    pub(crate) fn operator(&self) -> Result<PathBuf> {
        match &self.operator {
            Some(file) => Ok(file.clone()),
            None => Ok(this_folder()?.join("meshcore-operator")),
        }
    }

    /// The server's binary.
    pub(crate) fn server(&self) -> Result<PathBuf> {
        match &self.server {
            Some(file) => Ok(file.clone()),
            None => Ok(this_folder()?.join("meshcore-server")),
        }
    }

    /// The ingestor's binary.
    pub(crate) fn ingestor(&self) -> Result<PathBuf> {
        match &self.ingestor {
            Some(file) => Ok(file.clone()),
            None => Ok(this_folder()?.join("meshcore-ingestor")),
        }
    }
}

/// A runtime like the ingestor's.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// Says what goes on.
#[expect(clippy::print_stderr, reason = "for the person who waits")]
pub(crate) fn say(what: &str) {
    eprintln!("… {what}");
}

fn this_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("the folder of this program")?;
    Ok(folder.to_owned())
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() -> Result<()> {
    let options = Options::parse();
    let sections: &[Section] = if options.sections.is_empty() {
        Section::value_variants()
    } else {
        &options.sections
    };
    let facts = machine::facts();
    let mut figures = Vec::new();
    for section in sections {
        say(&format!("{section:?}").to_lowercase());
        figures.extend(match section {
            Section::Packet => packet::run(&options),
            Section::Store => storing::run(&options),
            Section::Drain => drain::run(&options),
            Section::Restart => restart::run(&options),
            Section::Latency => latency::run(&options),
            Section::Queries => queries::run(&options),
            Section::Serve => serve::run(&options),
            Section::Live => live::run(&options),
            Section::Operator => operator::run(&options),
        }?);
    }
    for fact in facts {
        println!("{fact}");
    }
    println!(
        "Medians of {} rounds, contenders alternating{}\n\n{}",
        options.rounds(),
        if options.quick {
            "; --quick: too small to judge by"
        } else {
            ""
        },
        Table(figures)
    );
    Ok(())
}
