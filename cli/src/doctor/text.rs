//! The findings for people: aligned lines, then what is wrong and what to do, then the verdict.

use std::fmt::Write;

use meshcore_lifecycle::Report;
use meshcore_store::doctor::{DatabaseFacts, Finding, Kind, Surroundings};

use super::Findings;
use crate::terminal::counted;

/// Columns that names of facts take.
const NAMES: usize = 16;

/// All of it as text, without the last line end.
pub(super) fn describe(findings: &Findings) -> String {
    let mut lines = Lines::default();
    let around = &findings.examination.surroundings;
    lines.fact("database", &around.path.display().to_string());
    if around.exists {
        lines.fact("size", &size(around.bytes));
    }
    if let Some(database) = &findings.examination.database {
        describe_database(&mut lines, database, around);
    }
    describe_surroundings(&mut lines, around);
    for report in &findings.shutdown_reports {
        lines.fact(&format!("last {} end", report.program), &end_of(report));
    }
    let problems = &findings.examination.problems;
    lines.findings("Problems", problems);
    lines.findings("Notes", &findings.examination.notes);
    let verdict = match problems.len() as u64 {
        0 => "Healthy.".to_owned(),
        n => format!("{} found.", counted(n, "problem")),
    };
    lines.0.push('\n');
    lines.0.push_str(&verdict);
    lines.0
}

fn describe_database(lines: &mut Lines, database: &DatabaseFacts, around: &Surroundings) {
    let kind = match database.kind {
        Kind::Empty => "empty".to_owned(),
        Kind::Ours => format!(
            "ours, schema version {} (newest known: {})",
            database.schema_version, database.known_schema_version
        ),
        Kind::CoreScope => "CoreScope's".to_owned(),
        Kind::BeingAdopted => "CoreScope's, half adopted".to_owned(),
        Kind::Foreign => format!(
            "another program's (application_id {}, user_version {})",
            database.application_id, database.schema_version
        ),
    };
    lines.fact("kind", &kind);
    let integrity = match database.damage.first() {
        None => "ok".to_owned(),
        Some(first) => format!("DAMAGED: {first}"),
    };
    lines.fact("integrity", &integrity);
    lines.fact("journal mode", &database.journal_mode);
    lines.fact(
        "WAL",
        &format!(
            "{}, {}",
            size(around.wal_bytes),
            counted(database.wal_frames, "frame")
        ),
    );
    lines.fact(
        "pages",
        &format!(
            "{} of {}, {} free",
            database.pages,
            size(database.page_bytes),
            database.free_pages
        ),
    );
    lines.fact("auto_vacuum", database.auto_vacuum);
    if let (Some(transmissions), Some(observations)) =
        (database.transmissions, database.observations)
    {
        lines.fact(
            "totals",
            &format!("{transmissions} packets, {observations} observations"),
        );
    }
    if let Some(recount) = &database.recount {
        lines.fact(
            "recount",
            &format!(
                "{} packets, {} observations",
                recount.transmissions, recount.observations
            ),
        );
    }
    if let Some(session) = &database.last_session {
        lines.fact("last session", session);
    }
    lines.fact("SQLite here", &database.sqlite_version);
}

fn describe_surroundings(lines: &mut Lines, around: &Surroundings) {
    if let (Some(free), Some(all)) = (around.disk_free_bytes, around.disk_bytes) {
        lines.fact(
            "disk",
            &format!(
                "{} free of {}, {}",
                size(free),
                size(all),
                around.file_system
            ),
        );
    }
    let holder = around.lock_holder.as_deref().unwrap_or("nobody");
    lines.fact("lock holder", holder);
    if let Some(user) = &around.open_in {
        lines.fact("open in", user);
    }
    lines.fact("last writer", around.last_life.as_str());
}

/// How a program ended, in a few words.
pub(super) fn end_of(report: &Report) -> String {
    let cause = match &report.cause_detail {
        Some(detail) => format!("{} ({detail})", report.cause),
        None => report.cause.clone(),
    };
    let how = if report.clean { "clean" } else { "not clean" };
    format!(
        "{how}, exit code {}, {cause}, took {} ms, at {}",
        report.exit_code, report.took_milliseconds, report.at
    )
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn fact(&mut self, name: &str, value: &str) {
        // Writing to a text can't fail.
        writeln!(self.0, "{name:<NAMES$}  {value}").ok();
    }

    fn findings(&mut self, title: &str, findings: &[Finding]) {
        if findings.is_empty() {
            return;
        }
        writeln!(self.0, "\n{title}:").ok();
        for Finding { what, cure } in findings {
            writeln!(self.0, "  {what}\n    → {cure}").ok();
        }
    }
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// The result of the command.
#[expect(clippy::print_stdout, reason = "results go to standard output")]
pub(super) fn print(text: &str) {
    println!("{text}");
}
