//! Real processes that get real signals: this test binary runs itself again as the program under
//! test, one scenario a process, and reads its output, its exit code and its report.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "support code of tests counts as product code for these lints"
)]

mod process {
    pub(crate) mod child;
    pub(crate) mod parent;
}

use std::time::{Duration, Instant};

use meshcore_lifecycle::{PhaseOutcome, Report, Signal, exit_code};
use process::child::SHORT;
use process::parent::{Child, Ended};

const TERM: Signal = Signal::Terminate;
const INT: Signal = Signal::Interrupt;

/// The program under test. As a test of its own it does nothing.
#[test]
fn child_main() {
    process::child::main();
}

fn names(report: &Report) -> Vec<(&str, PhaseOutcome)> {
    report
        .phases
        .iter()
        .map(|phase| (phase.name.as_str(), phase.outcome))
        .collect()
}

/// The whole life of a child that is asked to stop once when it is ready.
fn stop_once(scenario: &str, signal: Signal) -> Ended {
    let mut child = Child::start(scenario);
    child.expect_line("ready");
    child.kill(signal);
    child.wait()
}

#[test]
fn a_clean_stop_runs_the_steps_in_order_and_exits_0() {
    for signal in [TERM, INT] {
        let ended = stop_once("clean", signal);
        assert_eq!(ended.code, i32::from(exit_code::CLEAN), "{}", ended.log);
        assert_eq!(ended.lines, ["step drain", "step checkpoint"]);
        let report = ended.report();
        assert_eq!((report.cause.as_str(), report.clean), (signal.name(), true));
        assert_eq!(
            names(&report),
            [
                ("drain", PhaseOutcome::Ok),
                ("checkpoint", PhaseOutcome::Ok)
            ]
        );
        assert_eq!(report.messages_left, Some(0));
        assert_eq!(ended.termination_message(), report.to_json());
        assert_eq!(
            ended.events(),
            [
                "readiness_changed",
                "readiness_changed",
                "shutdown_started",
                "shutdown_step_started",
                "shutdown_step_completed",
                "shutdown_step_started",
                "shutdown_step_completed",
                "shutdown_completed",
                "shutdown_report",
            ]
        );
    }
}

#[test]
fn a_failing_and_a_panicking_step_do_not_stop_the_next_one() {
    let ended = stop_once("failing", TERM);
    assert_eq!(ended.code, i32::from(exit_code::FAILED), "{}", ended.log);
    assert_eq!(ended.lines, ["step checkpoint"]);
    let report = ended.report();
    assert_eq!((report.errors, report.clean), (2, false));
    assert_eq!(
        report.phases[0].error.as_deref(),
        Some("the broker is gone")
    );
    assert_eq!(
        report.phases[1].error.as_deref(),
        Some("panicked: the queue is broken")
    );
    assert_eq!(report.phases[2].outcome, PhaseOutcome::Ok);
    assert!(ended.events().contains(&"shutdown_step_failed".to_owned()));
}

#[test]
fn a_failed_task_stops_the_program_without_a_signal() {
    let ended = Child::start("task-failed").wait();
    assert_eq!(ended.code, i32::from(exit_code::IO_ERROR), "{}", ended.log);
    let report = ended.report();
    assert_eq!(report.cause, "TaskFailed");
    assert_eq!(
        report.cause_detail.as_deref(),
        Some("task writer failed: short write")
    );
}

#[test]
fn a_step_that_hangs_ends_with_124_at_the_deadline() {
    let start = Instant::now();
    let ended = stop_once("hanging", TERM);
    assert_eq!(ended.code, i32::from(exit_code::DEADLINE), "{}", ended.log);
    assert!(start.elapsed() >= SHORT);
    let report = ended.report();
    assert_eq!(report.left, ["drain", "checkpoint"]);
    // The step itself would go on for ever.
    assert!(
        u128::from(report.took_milliseconds) >= SHORT.as_millis(),
        "{report:?}"
    );
}

#[test]
fn a_step_that_blocks_a_worker_thread_is_cut_as_well() {
    // Whether the manager or the watchdog does it depends on which worker has the timer.
    let ended = stop_once("blocking-step", TERM);
    assert_eq!(ended.code, i32::from(exit_code::DEADLINE), "{}", ended.log);
    assert_eq!(ended.report().left, ["drain", "checkpoint"]);
}

#[test]
fn the_watchdog_ends_a_runtime_that_a_step_blocks() {
    let ended = stop_once("blocked-runtime-in-step", TERM);
    assert_eq!(ended.code, i32::from(exit_code::DEADLINE), "{}", ended.log);
    assert_eq!(ended.report().left, ["drain", "checkpoint"]);
    assert!(
        ended
            .events()
            .contains(&"shutdown_watchdog_fired".to_owned())
    );
}

#[test]
fn the_watchdog_ends_a_runtime_that_never_sees_the_signal() {
    let ended = stop_once("blocked-runtime", TERM);
    assert_eq!(ended.code, i32::from(exit_code::DEADLINE), "{}", ended.log);
    let report = ended.report();
    assert_eq!(report.cause, "SIGTERM");
    assert_eq!(report.left, ["run", "drain", "checkpoint"]);
    assert_eq!(ended.termination_message(), report.to_json());
    assert!(
        ended
            .log
            .contains("runtime blocked: exit 124, left: run, drain, checkpoint")
    );
}

#[test]
fn the_watchdog_ends_a_process_that_lingers_after_its_last_step() {
    let ended = stop_once("lingering", TERM);
    assert_eq!(ended.code, i32::from(exit_code::DEADLINE), "{}", ended.log);
    assert_eq!(ended.report().left, ["exit"]);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (second, code) in [(TERM, 143), (INT, 130)] {
        for scenario in ["patient", "patient-blocked"] {
            let mut child = Child::start(scenario);
            child.expect_line("ready");
            child.kill(TERM);
            child.expect_line("draining");
            child.kill(second);
            let ended = child.wait();
            assert_eq!(ended.code, code, "{scenario}: {}", ended.log);
            let report = ended.report();
            assert_eq!(
                (report.cause.as_str(), report.left.as_slice()),
                (
                    "SIGTERM",
                    &["drain".to_owned(), "checkpoint".to_owned()][..]
                )
            );
            assert!(report.took_milliseconds < 600_000, "of an hour: {report:?}");
            assert!(ended.events().contains(&"shutdown_forced".to_owned()));
        }
    }
}

#[test]
fn a_second_signal_ends_a_process_whose_output_nobody_reads() {
    let mut child = Child::start("full-pipe");
    child.expect_line("ready");
    child.kill(TERM);
    child.wait_until_stdout_is_stuck();
    child.kill(TERM);
    assert_eq!(child.wait_for_exit(), 143);
}

#[test]
fn a_signal_during_start_up_is_honoured() {
    let mut child = Child::start("starting");
    child.expect_line("starting");
    child.kill(TERM);
    let ended = child.wait();
    assert_eq!(ended.code, i32::from(exit_code::CLEAN), "{}", ended.log);
    assert!(ended.report().phases.is_empty());
}

#[test]
fn a_signal_before_the_manager_exists_is_kept_and_arms_its_watchdog() {
    let mut child = Child::start("early");
    child.expect_line("installed");
    child.kill(TERM);
    let ended = child.wait();
    assert_eq!(ended.lines, ["received"]);
    assert_eq!(ended.code, i32::from(exit_code::DEADLINE), "{}", ended.log);
    assert_eq!(ended.report().left, ["run"]);
}

#[test]
fn the_end_of_the_parent_stops_a_program_cleanly() {
    let mut child = Child::start_with_parent("clean");
    child.expect_line("ready");
    child.close_input();
    let ended = child.wait();
    assert_eq!(ended.code, i32::from(exit_code::CLEAN), "{}", ended.log);
    assert_eq!(ended.lines, ["step drain", "step checkpoint"]);
    let report = ended.report();
    assert_eq!((report.cause.as_str(), report.clean), ("ParentGone", true));
}

#[test]
fn the_end_of_the_parent_does_not_cut_a_stop_that_has_begun() {
    let mut child = Child::start_with_parent("patient");
    child.expect_line("ready");
    child.kill(TERM);
    child.expect_line("draining");
    child.close_input();
    // What is not to happen can't be waited for; a child that took this for a second signal has ended by now.
    std::thread::sleep(Duration::from_millis(300));
    child.kill(INT);
    let ended = child.wait();
    assert_eq!(ended.code, 130, "{}", ended.log);
    assert_eq!(ended.report().cause, "SIGTERM");
}

#[test]
fn standard_input_means_nothing_unless_asked_for() {
    // Its input is at its end from the beginning.
    let ended = stop_once("clean", TERM);
    assert_eq!(ended.report().cause, "SIGTERM");
}
