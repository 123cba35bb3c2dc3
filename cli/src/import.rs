//! `meshcore import`: merge a CoreScope database, or one of ours, into one of ours.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use meshcore_lifecycle::exit_code;
use meshcore_store::{Imported, StoreOptions, import};

use crate::stop::Stop;
use crate::terminal::tell;

/// Who imports, for the lock file.
const PROGRAM: &str = concat!("meshcore import ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Args)]
#[command(
    after_help = "The source is only read. The target is made if it isn't there; the ingestor must not \
run on it meanwhile. After Ctrl-C or a kill, run the same command again: it goes on. A finished import that is \
run again adds nothing.\n\n\
Exit codes: 0 done, 1 failed or stopped, 2 the command line cannot be used, 3 refused (the source can't be \
read, or the target's lock is held), 74 an I/O error.\n\n\
Example:\n  \
meshcore import /var/lib/corescope/meshcore.db --db data/meshcore.db"
)]
pub(crate) struct ImportArgs {
    /// The database to take from: CoreScope's, in any state, or one of ours.
    #[arg(value_name = "FILE")]
    source: PathBuf,

    /// The database to merge into.
    #[arg(
        long,
        value_name = "TARGET",
        env = "DB_PATH",
        default_value = "data/meshcore.db"
    )]
    db: PathBuf,
}

pub(crate) fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    crate::runtime()?.block_on(merge(args))
}

async fn merge(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let ImportArgs { source, db } = args;
    let stop = Stop::on_signals()?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template(
            "{bar:30} {percent:>3} %  {human_pos} of {human_len} rows  {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let told = bar.clone();
    let target = StoreOptions {
        // Room for a full disk is the ingestor's business.
        ballast_bytes: 0,
        ..StoreOptions::new(&db, PROGRAM)
    };
    let imported = import(&source, target, move |progress| {
        told.set_length(progress.total);
        told.set_position(progress.done);
        if stop.is_asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .await;
    bar.finish_and_clear();
    let imported = imported?;
    tell(&summary(&imported));
    let code = if imported.finished {
        exit_code::CLEAN
    } else {
        tell("Stopped. What is done is kept: run the same command again to go on.");
        exit_code::FAILED
    };
    Ok(ExitCode::from(code))
}

/// A line for each table, aligned.
fn summary(imported: &Imported) -> String {
    let mut text = format!(
        "{:<18} {:>12} {:>12} {:>14} {:>12}",
        "table", "rows read", "added", "already there", "left out"
    );
    for (table, tally) in &imported.tables {
        // Writing to a text can't fail.
        write!(
            text,
            "\n{table:<18} {:>12} {:>12} {:>14} {:>12}",
            tally.read,
            tally.added,
            tally.known(),
            tally.left_out
        )
        .ok();
    }
    if imported.tables.values().any(|tally| tally.left_out > 0) {
        text.push_str(
            "\nLeft out: packets without a hash, and observations whose packet isn't there.",
        );
    }
    if imported.resumed {
        text.push_str("\nThese are the rows of all runs of this import.");
    }
    text
}
