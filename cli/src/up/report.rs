//! How a stop went, for people.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use meshcore_lifecycle::{PhaseOutcome, Report, report_path};

use super::ended::describe;
use super::supervisor::End;

/// The line of one program: how it ended, and what its own report says of it.
pub(super) fn line(end: End, report: Option<&Report>) -> String {
    let mut text = match end {
        End::NotRunning { code } => {
            return format!("was not running; it had ended with {}", describe(code));
        }
        End::Stopped {
            is_killed: true,
            took,
            ..
        } => format!("KILLED after {}, it did not end in its time", seconds(took)),
        End::Stopped { code: 0, took, .. } => format!("clean, {}", seconds(took)),
        End::Stopped { code, took, .. } => format!("{}, {}", describe(code), seconds(took)),
    };
    let Some(report) = report else {
        text.push_str("; it left no report");
        return text;
    };
    // Writing to a text can't fail.
    _ = write!(text, " of {} s", report.budget_seconds);
    for (at, phase) in report.phases.iter().enumerate() {
        let outcome = match phase.outcome {
            PhaseOutcome::Ok => "",
            PhaseOutcome::Failed => " FAILED",
            PhaseOutcome::TimedOut => " TIMED OUT",
            PhaseOutcome::Skipped => " skipped",
        };
        let before = if at == 0 { ":" } else { "," };
        _ = write!(
            text,
            "{before} {} {} ms{outcome}",
            phase.name, phase.milliseconds
        );
        if let Some(error) = &phase.error {
            _ = write!(text, " ({error})");
        }
    }
    if !report.left.is_empty() {
        _ = write!(text, "; left: {}", report.left.join(", "));
    }
    if let Some(count @ 1..) = report.messages_left {
        _ = write!(text, "; {count} messages left to the broker");
    }
    if let Some(wal) = wal(report) {
        _ = write!(text, "; {wal}");
    }
    text
}

/// What the last checkpoint did.
fn wal(report: &Report) -> Option<String> {
    let pages = |key| report.details.get(key).and_then(serde_json::Value::as_i64);
    let (all, done) = (pages("walPages")?, pages("checkpointedPages")?);
    let is_truncated = report.details.get("checkpointMode")? == "truncate";
    Some(if is_truncated {
        "WAL empty".to_owned()
    } else {
        format!("a reader kept the WAL: {done} of {all} pages are in the database")
    })
}

/// The report that a program left for this stop; an older one is none.
pub(super) fn read(db: &Path, program: &str, since: Timestamp) -> Option<Report> {
    let report = Report::read_previous(&report_path(db, program)).ok()?;
    report.filter(|report| report.at >= since)
}

/// `38 ms` or `1.2 s`.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stopped(code: u8, is_killed: bool) -> End {
        End::Stopped {
            code,
            took: Duration::from_millis(320),
            is_killed,
        }
    }

    fn report(more: &serde_json::Value) -> Report {
        let mut report = json!({
            "program": "ingestor", "cause": "SIGTERM", "clean": true, "exitCode": 0,
            "startedAt": "2026-11-21T00:00:00Z", "at": "2026-11-21T00:00:01Z",
            "budgetSeconds": 25, "tookMilliseconds": 300,
            "phases": [
                {"name": "drain_queue", "milliseconds": 5, "outcome": "ok"},
                {"name": "checkpoint", "milliseconds": 40, "outcome": "ok"},
            ],
        });
        for (key, value) in more.as_object().expect("an object") {
            report[key] = value.clone();
        }
        serde_json::from_value(report).expect("a report")
    }

    #[test]
    fn a_clean_stop_is_one_line() {
        let details = json!({"messagesLeft": 0, "details":
            {"checkpointMode": "truncate", "walPages": 0, "checkpointedPages": 0}});
        assert_eq!(
            line(stopped(0, false), Some(&report(&details))),
            "clean, 320 ms of 25 s: drain_queue 5 ms, checkpoint 40 ms; WAL empty"
        );
    }

    #[test]
    fn what_went_wrong_is_told() {
        let more = json!({
            "messagesLeft": 3, "left": ["checkpoint"],
            "phases": [{"name": "drain_queue", "milliseconds": 9, "outcome": "failed", "error": "no room"}],
            "details": {"checkpointMode": "passive", "walPages": 9, "checkpointedPages": 4},
        });
        assert_eq!(
            line(stopped(124, false), Some(&report(&more))),
            "exit code 124 (the deadline passed before everything was done), 320 ms of 25 s: drain_queue 9 ms FAILED \
             (no room); left: checkpoint; 3 messages left to the broker; a reader kept the WAL: 4 of 9 pages are in \
             the database"
        );
        assert_eq!(
            line(stopped(137, true), None),
            "KILLED after 320 ms, it did not end in its time; it left no report"
        );
        assert_eq!(stopped(137, true).code(), 124);
        assert_eq!(
            line(End::NotRunning { code: 74 }, None),
            "was not running; it had ended with exit code 74 (an I/O error of the database file)"
        );
    }

    #[test]
    fn the_report_of_an_earlier_stop_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("a.db");
        let text = serde_json::to_string(&report(&json!({}))).unwrap();
        std::fs::write(report_path(&db, "server"), text).unwrap();
        let at = |text: &str| read(&db, "server", text.parse().unwrap());
        assert!(at("2026-11-21T00:00:00Z").is_some());
        assert!(at("2026-11-21T00:00:02Z").is_none());
        assert!(read(&db, "ingestor", Timestamp::now()).is_none());
    }
}
