//! Steps under one deadline, in paused time.

use std::future::pending;
use std::sync::Mutex;

use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::{Phase, Signal, Status, StepFailure, exit_code, lock};

const SECOND: Duration = Duration::from_secs(1);
const SIGTERM: Cause = Cause::Signal(Signal::Terminate);

/// A manager whose report goes to a folder that lives as long as the test.
fn manager(budget: Duration) -> (ShutdownManager, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let outlets = Outlets::new()
        .with_termination_log(folder.path().join("termination-log"))
        .with_file(folder.path().join("report.json"));
    (
        ShutdownManager::new("ingestor", budget).with_outlets(outlets),
        folder,
    )
}

fn outcomes(report: &Report) -> Vec<(&str, PhaseOutcome)> {
    report
        .phases
        .iter()
        .map(|phase| (phase.name.as_str(), phase.outcome))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn steps_run_in_order_and_each_gets_what_is_left() {
    let (mut manager, folder) = manager(10 * SECOND);
    let seen = Arc::new(Mutex::new(Vec::new()));
    for (name, duration) in [("drain", 4), ("disconnect", 1), ("checkpoint", 2)] {
        let seen = Arc::clone(&seen);
        manager.step(name, move |deadline| async move {
            lock(&seen).push((name, deadline.remaining().as_secs()));
            sleep(duration * SECOND).await;
            Ok(())
        });
    }
    let outcome = manager.run(SIGTERM).await;
    assert_eq!(
        *lock(&seen),
        [("drain", 10), ("disconnect", 6), ("checkpoint", 5)]
    );
    assert_eq!(outcome.exit_code(), exit_code::CLEAN);
    let report = outcome.report();
    assert!(report.clean && report.left.is_empty());
    assert_eq!(
        (report.took_milliseconds, report.budget_seconds),
        (7000, 10)
    );
    let times: Vec<_> = report
        .phases
        .iter()
        .map(|phase| phase.milliseconds)
        .collect();
    assert_eq!(times, [4000, 1000, 2000]);
    let written = Report::read_previous(&folder.path().join("report.json")).unwrap();
    assert_eq!(written.as_ref(), Some(report));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_or_panics_is_counted_and_the_next_one_runs() {
    let (mut manager, _folder) = manager(10 * SECOND);
    manager.step("drain", |_| async {
        Err::<(), _>(std::io::Error::other("broker is gone").into())
    });
    manager.step("disconnect", |_| async {
        assert!(pending_is_empty(), "queue is {}", "broken");
        Ok(())
    });
    manager.step("close", |deadline| {
        assert!(deadline.expired(), "before the future");
        async { Ok(()) }
    });
    manager.step("checkpoint", |_| async { Ok(()) });
    let outcome = manager.run(SIGTERM).await;
    let report = outcome.report();
    assert_eq!(
        outcomes(report),
        [
            ("drain", PhaseOutcome::Failed),
            ("disconnect", PhaseOutcome::Failed),
            ("close", PhaseOutcome::Failed),
            ("checkpoint", PhaseOutcome::Ok),
        ]
    );
    let error = |phase: &Phase| phase.error.clone().unwrap_or_default();
    assert_eq!(error(&report.phases[0]), "broker is gone");
    assert_eq!(error(&report.phases[1]), "panicked: queue is broken");
    assert_eq!(error(&report.phases[2]), "panicked: before the future");
    assert_eq!((report.errors, outcome.exit_code()), (3, exit_code::FAILED));
    assert!(
        !report.clean && report.left.is_empty(),
        "all was tried, nothing is left"
    );
}

fn pending_is_empty() -> bool {
    false
}

#[tokio::test(start_paused = true)]
async fn a_step_over_the_deadline_is_cut_and_the_rest_is_named() {
    let (mut manager, _folder) = manager(10 * SECOND);
    manager.step("stop_intake", |_| async {
        sleep(3 * SECOND).await;
        Ok(())
    });
    manager.step("drain", |_| pending::<Result<(), StepError>>());
    manager.step("checkpoint", |_| async { Ok(()) });
    let start = Instant::now();
    let outcome = manager.run(SIGTERM).await;
    assert_eq!(
        start.elapsed(),
        10 * SECOND,
        "cut at the deadline and not later"
    );
    assert_eq!(outcome.exit_code(), exit_code::DEADLINE);
    let report = outcome.report();
    assert_eq!(report.left, ["drain", "checkpoint"]);
    assert_eq!(
        outcomes(report),
        [
            ("stop_intake", PhaseOutcome::Ok),
            ("drain", PhaseOutcome::TimedOut),
            ("checkpoint", PhaseOutcome::Skipped),
        ]
    );
    assert_eq!((report.errors, report.phases[1].milliseconds), (1, 7000));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_between_steps_leaves_the_next_one() {
    let (mut manager, _folder) = manager(2 * SECOND);
    manager.step("drain", |deadline| async move {
        sleep(deadline.remaining()).await;
        Ok(())
    });
    manager.step("checkpoint", |_| async { Ok(()) });
    let outcome = manager.run(SIGTERM).await;
    assert_eq!(outcome.exit_code(), exit_code::DEADLINE);
    assert_eq!(
        outcome.report().left.last().map(String::as_str),
        Some("checkpoint")
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_may_leave_time_to_those_after_it() {
    let (mut manager, _folder) = manager(10 * SECOND);
    manager.step("drain", |deadline| async move {
        deadline.keeping(4 * SECOND).limit(pending::<()>()).await?;
        Ok(())
    });
    manager.step("checkpoint", |deadline| async move {
        Ok(StepNote::new().detail("secondsLeft", deadline.remaining().as_secs()))
    });
    let outcome = manager.run(SIGTERM).await;
    assert_eq!(outcome.exit_code(), exit_code::FAILED);
    assert_eq!(outcome.report().details["secondsLeft"], 4);
    let error = outcome.report().phases[0].error.as_deref();
    assert_eq!(error, Some("the shutdown deadline passed"));
}

#[tokio::test(start_paused = true)]
async fn remarks_reach_the_report_even_from_a_step_that_is_cut() {
    let (mut manager, _folder) = manager(SECOND);
    let notes = manager.notes();
    manager.step("close", |_| async {
        Ok(StepNote::new().messages_left(9).detail("wal", 0))
    });
    manager.step("drain", |_| async move {
        notes.set_messages_left(3);
        notes.set_detail("queue", "full");
        pending::<Result<(), StepError>>().await
    });
    let outcome = manager.run(SIGTERM).await;
    let report = outcome.report();
    assert_eq!(report.messages_left, Some(3));
    assert_eq!(
        (&report.details["wal"], &report.details["queue"]),
        (&0.into(), &"full".into())
    );
}

#[tokio::test(start_paused = true)]
async fn the_most_telling_exit_code_wins() {
    let error = std::io::Error::other("I/O error");
    let failed = Cause::task_failed("http", &error);
    let (mut io_step, _folder) = manager(SECOND);
    io_step.step("checkpoint", |_| async {
        Err::<(), _>(StepFailure::new(exit_code::IO_ERROR, "short write").into())
    });
    io_step.step("close", |_| async { Err::<(), _>("busy".into()) });
    let outcome = io_step.run(failed).await;
    assert_eq!(outcome.exit_code(), exit_code::IO_ERROR);
    assert_eq!(
        outcome.report().phases[0].error.as_deref(),
        Some("short write")
    );

    let (manager, _folder) = manager(SECOND);
    let outcome = manager
        .run(Cause::task_failed_with(
            "store",
            &error,
            exit_code::STORE_REFUSED,
        ))
        .await;
    assert_eq!(outcome.exit_code(), exit_code::STORE_REFUSED);
    assert_eq!(outcome.report().cause, "TaskFailed");
}

#[tokio::test(start_paused = true)]
async fn readiness_turns_before_the_first_step() {
    let readiness = Readiness::starting("opening");
    readiness.started();
    let (manager, _folder) = manager(SECOND);
    let mut manager = manager
        .with_readiness(readiness.clone())
        .with_version("1.2.3");
    manager.step("look", move |_| async move {
        assert_eq!(readiness.snapshot().status, Status::ShuttingDown);
        Ok(())
    });
    let outcome = manager.run(Cause::Requested).await;
    assert_eq!(outcome.exit_code(), exit_code::CLEAN);
    let report = outcome.report();
    assert_eq!(
        (report.cause.as_str(), report.version.as_deref()),
        ("Requested", Some("1.2.3"))
    );
}

#[tokio::test(start_paused = true)]
async fn detached_signals_end_the_work_and_not_the_process() {
    let signals = Signals::detached();
    let (manager, _folder) = manager(SECOND);
    let manager = manager.with_signals(&signals).unwrap();
    assert_eq!(signals.received(), None);
    let waiting = tokio::spawn({
        let signals = signals.clone();
        async move { signals.first().await }
    });
    signals.raise(Signal::Interrupt);
    signals.raise(Signal::Terminate);
    let first = waiting.await.unwrap();
    assert_eq!(
        (first, signals.first().await),
        (Signal::Interrupt, Signal::Interrupt)
    );
    let outcome = manager.run(Cause::Signal(first)).await;
    assert_eq!(
        (outcome.exit_code(), outcome.report().cause.as_str()),
        (0, "SIGINT")
    );
}
