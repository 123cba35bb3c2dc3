//! The shape, the bound and the life of the report file.

use serde_json::json;

use super::*;

/// A report of a clean stop.
pub(crate) fn sample() -> Report {
    Report {
        program: "ingestor".to_owned(),
        version: Some("0.1.0".to_owned()),
        cause: "SIGTERM".to_owned(),
        cause_detail: None,
        clean: true,
        exit_code: 0,
        started_at: "2026-11-21T00:00:00Z".parse().unwrap(),
        at: "2026-11-21T00:00:01.25Z".parse().unwrap(),
        budget_seconds: 25,
        took_milliseconds: 1250,
        phases: vec![
            Phase::new("drain", Duration::from_millis(1200), PhaseOutcome::Ok),
            Phase::new("checkpoint", Duration::from_millis(40), PhaseOutcome::Ok),
        ],
        left: vec![],
        errors: 0,
        messages_left: Some(0),
        details: BTreeMap::from([("checkpoint".to_owned(), json!("truncate"))]),
    }
}

#[test]
fn json_is_what_the_operator_reads() {
    assert_eq!(
        serde_json::from_str::<Value>(&sample().to_json()).unwrap(),
        json!({
            "program": "ingestor",
            "version": "0.1.0",
            "cause": "SIGTERM",
            "clean": true,
            "exitCode": 0,
            "startedAt": "2026-11-21T00:00:00Z",
            "at": "2026-11-21T00:00:01.25Z",
            "budgetSeconds": 25,
            "tookMilliseconds": 1250,
            "phases": [
                {"name": "drain", "milliseconds": 1200, "outcome": "ok"},
                {"name": "checkpoint", "milliseconds": 40, "outcome": "ok"},
            ],
            "errors": 0,
            "messagesLeft": 0,
            "details": {"checkpoint": "truncate"},
        })
    );
}

#[test]
fn outcomes_are_snake_case() {
    let names = [
        PhaseOutcome::Ok,
        PhaseOutcome::Failed,
        PhaseOutcome::TimedOut,
        PhaseOutcome::Skipped,
    ]
    .map(|outcome| serde_json::to_value(outcome).unwrap());
    assert_eq!(
        names,
        ["ok", "failed", "timed_out", "skipped"].map(Value::from)
    );
}

#[test]
fn a_report_that_fits_is_not_touched() {
    assert_eq!(sample().bounded(), sample());
}

#[test]
fn one_long_error_is_shortened_and_the_rest_stays() {
    let mut report = sample();
    report.phases[0].error = Some("é".repeat(5000));
    let bounded = report.clone().bounded();
    assert!(bounded.phases[0].error.as_deref().unwrap().ends_with("é…"));
    report.phases[0].error.clone_from(&bounded.phases[0].error);
    assert_eq!(bounded, report);
}

#[test]
fn no_report_exceeds_its_bound() {
    // A control character is six bytes of JSON, the worst that a byte can become.
    let worst = "\u{1}".repeat(6000);
    let mut report = sample();
    report.program.clone_from(&worst);
    report.version = Some(worst.clone());
    report.cause.clone_from(&worst);
    report.cause_detail = Some(worst.clone());
    let mut phase = Phase::new(&worst, Duration::MAX, PhaseOutcome::TimedOut);
    phase.error = Some(worst.clone());
    report.phases = vec![phase; 300];
    report.left = vec![worst.clone(); 300];
    report.took_milliseconds = u64::MAX;
    report.details = (0..300)
        .flat_map(|number| {
            let key = "\u{1}".repeat(60);
            [
                (format!("{number}"), json!([worst])),
                (format!("{key}{number}"), json!(worst)),
            ]
        })
        .collect();
    let json = report.to_json();
    assert!(json.len() <= MAX_REPORT_BYTES, "{} bytes", json.len());
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(read.took_milliseconds, u64::MAX);
    assert!(!read.phases.is_empty() && !read.left.is_empty());
}

#[test]
fn many_steps_keep_their_names() {
    let mut report = sample();
    let phase = Phase::new(
        "a_step_with_a_name",
        Duration::from_secs(1),
        PhaseOutcome::Ok,
    );
    report.phases = vec![phase; 30];
    assert_eq!(report.clone().bounded(), report);
}

#[test]
fn a_report_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.db.shutdown-server.json");
    assert!(Report::take_previous(&path).unwrap().is_none());
    fs::write(&path, sample().to_json()).unwrap();
    assert_eq!(
        Report::read_previous(&path).unwrap(),
        Some(sample()),
        "reading takes nothing"
    );
    assert_eq!(Report::take_previous(&path).unwrap(), Some(sample()));
    assert_eq!(
        Report::take_previous(&path).unwrap(),
        None,
        "a crash later has no report"
    );
    assert_eq!(
        Report::read_previous(&taken_path(&path)).unwrap(),
        Some(sample())
    );
}

#[test]
fn an_unreadable_report_counts_as_none_and_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    for text in ["", "{", "[]", "{\"program\": 7}", "\u{feff}\0"] {
        fs::write(&path, text).unwrap();
        assert!(Report::take_previous(&path).unwrap().is_none(), "{text:?}");
        assert!(!path.exists());
    }
}

#[test]
fn a_report_of_a_newer_version_is_read() {
    let mut value = serde_json::to_value(sample()).unwrap();
    value["somethingNew"] = json!({"a": 1});
    let read: Report = serde_json::from_value(value).unwrap();
    assert_eq!(read, sample());
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let error = Report::read_previous(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("reading the shutdown report /"),
        "{error}"
    );
}

#[test]
fn an_error_chain_names_each_cause_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("closing the database")]
    struct Outer(#[source] io::Error);
    assert_eq!(
        error_chain(&Outer(io::Error::other("disk full"))),
        "closing the database: disk full"
    );
    assert_eq!(error_chain(&io::Error::other("disk full")), "disk full");
}
