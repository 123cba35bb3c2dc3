//! `meshcore doctor`: look at a database, and the repairs that take its lock.

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use meshcore_lifecycle::{Report, exit_code, report_path};
use meshcore_store::doctor::{
    Depth, Examination, Finding, checkpoint_file, examine, recount_file, vacuum_file,
};
use serde::Serialize;

use crate::terminal::tell;

/// Who asks, for the lock file.
const PROGRAM: &str = concat!("meshcore doctor ", env!("CARGO_PKG_VERSION"));
/// Whose shutdown reports stand beside a database.
const PROGRAMS: [&str; 2] = ["ingestor", "server"];

#[derive(Debug, Args)]
#[command(
    after_help = "Looking is safe beside a running ingestor and server. The three repairs take the \
writer's lock, so the ingestor must be stopped.\n\n\
Exit codes: 0 healthy, 1 problems found, 2 the command line cannot be used, 3 refused (the lock is held), 74 an I/O error.\n\n\
Examples:\n  \
meshcore doctor --db data/meshcore.db\n  \
meshcore doctor --db data/meshcore.db --full --json\n  \
meshcore doctor --db data/meshcore.db --vacuum"
)]
pub(crate) struct DoctorArgs {
    /// The database.
    #[arg(
        long,
        value_name = "FILE",
        env = "DB_PATH",
        default_value = "data/meshcore.db"
    )]
    db: PathBuf,

    /// Check indexes against rows and totals against what is there; slow on large files.
    #[arg(long)]
    full: bool,

    #[command(flatten)]
    repairs: Repairs,

    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What to repair before the look, in this order.
#[derive(Debug, Args)]
struct Repairs {
    /// Copy the WAL into the database and cut it to nothing.
    #[arg(long)]
    checkpoint: bool,

    /// Count packets and observations again, and write what was wrong.
    #[arg(long)]
    recount: bool,

    /// Write the file anew: packed, and able to shrink from then on. Needs room for a second file.
    #[arg(long)]
    vacuum: bool,
}

/// What is told: the look, and the reports of earlier ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    healthy: bool,
    #[serde(flatten)]
    examination: Examination,
    /// The last ends of the two programs, as they reported them.
    shutdown_reports: Vec<Report>,
}

pub(crate) fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    crate::runtime()?.block_on(doctor(args))
}

async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let DoctorArgs {
        db,
        full,
        repairs,
        json,
    } = args;
    repair(&db, repairs).await?;
    let depth = if full { Depth::Full } else { Depth::Quick };
    let findings = look(&db, depth).await;
    if json {
        let text = serde_json::to_string_pretty(&findings).context("cannot write JSON")?;
        text::print(&text);
    } else {
        text::print(&text::describe(&findings));
    }
    let code = if findings.healthy {
        exit_code::CLEAN
    } else {
        exit_code::FAILED
    };
    Ok(ExitCode::from(code))
}

async fn repair(db: &Path, repairs: Repairs) -> anyhow::Result<()> {
    let Repairs {
        checkpoint,
        recount,
        vacuum,
    } = repairs;
    if checkpoint {
        let done = checkpoint_file(db, PROGRAM).await?;
        tell(if done.is_complete() {
            "The WAL is in the database, and empty."
        } else {
            "Readers kept the WAL from being emptied; what they don't need of it is in the database."
        });
    }
    if recount {
        recount_file(db, PROGRAM).await?;
        tell("Packets and observations are counted.");
    }
    if vacuum {
        tell("Writing the database anew …");
        let done = vacuum_file(db, PROGRAM).await?;
        tell(&format!(
            "Done: {} became {}. Programs that read the old file see the new one when they open it again; the server does so by itself.",
            text::size(done.bytes_before),
            text::size(done.bytes_after)
        ));
    }
    Ok(())
}

async fn look(db: &Path, depth: Depth) -> Findings {
    let mut examination = examine(db, depth).await;
    let mut shutdown_reports = Vec::new();
    for program in PROGRAMS {
        match last_report(db, program) {
            Ok(report) => shutdown_reports.extend(report),
            Err(error) => examination.notes.push(Finding {
                what: format!("a shutdown report can't be read: {error:#}"),
                cure: "delete it if it is of no use".to_owned(),
            }),
        }
    }
    for report in shutdown_reports.iter().filter(|report| !report.clean) {
        examination.notes.push(Finding {
            what: format!(
                "the last {} did not stop cleanly: {}",
                report.program,
                text::end_of(report)
            ),
            cure: "look at its log from that time".to_owned(),
        });
    }
    Findings {
        healthy: examination.problems.is_empty(),
        examination,
        shutdown_reports,
    }
}

/// The newest report of `program`: its last end, or the one that its running life has taken away.
fn last_report(db: &Path, program: &str) -> anyhow::Result<Option<Report>> {
    let path = report_path(db, program);
    if let Some(report) = Report::read_previous(&path)? {
        return Ok(Some(report));
    }
    let mut taken = path.into_os_string();
    taken.push(".taken");
    Ok(Report::read_previous(Path::new(&taken))?)
}
