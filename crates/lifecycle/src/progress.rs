//! How far a shutdown has come, for whoever has to report it: the manager, the watchdog, a signal.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Cause, Deadline, Outlets, Phase, PhaseOutcome, Report, Signal, StepError, StepFailure,
    StepNote, exit_code, lock, report::error_chain,
};

/// Stands in [`Report::left`] when the program's own work did not yield to the shutdown.
const NOT_BEGUN: &str = "run";
/// Stands in [`Report::left`] when all steps were done but the process did not exit.
const NOT_EXITED: &str = "exit";

/// How a shutdown came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All steps were run.
    Completed,
    /// The deadline passed.
    Overrun,
    /// A second signal came.
    Forced(Signal),
}

impl Ending {
    /// The code of an end that is not the ordinary one; 0 for the ordinary one.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Completed => exit_code::CLEAN,
            Self::Overrun => exit_code::DEADLINE,
            Self::Forced(signal) => exit_code::second_signal(signal),
        }
    }
}

/// The state that the manager writes and every ending reads.
#[derive(Debug)]
pub(crate) struct Progress {
    program: &'static str,
    budget: Duration,
    // Held for a few field accesses only, so that the watchdog never waits for it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outlets: Outlets,
    version: Option<String>,
    begun: Option<Begun>,
    /// The manager goes through the steps.
    stepping: bool,
    finished: bool,
    pending: VecDeque<&'static str>,
    running: Option<(&'static str, Instant)>,
    phases: Vec<Phase>,
    exit_code: u8,
    messages_left: Option<u64>,
    details: BTreeMap<String, Value>,
}

#[derive(Clone, Debug)]
struct Begun {
    cause: Cause,
    at: Timestamp,
    start: Instant,
}

impl Progress {
    pub(crate) fn new(program: &'static str, budget: Duration) -> Self {
        Self {
            program,
            budget,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    pub(crate) fn set_version(&self, version: String) {
        self.state().version = Some(version);
    }

    pub(crate) fn set_outlets(&self, outlets: Outlets) {
        self.state().outlets = outlets;
    }

    /// Where the report goes.
    pub(crate) fn outlets(&self) -> Outlets {
        self.state().outlets.clone()
    }

    pub(crate) fn add_step(&self, name: &'static str) {
        self.state().pending.push_back(name);
    }

    /// Notes why and when the shutdown began. The first call counts: a signal during the shutdown
    /// that a failed task caused changes neither cause nor deadline.
    pub(crate) fn begin(&self, cause: &Cause, start: Instant) -> Deadline {
        let mut state = self.state();
        let begun = state.begun.get_or_insert_with(|| Begun {
            cause: cause.clone(),
            at: Timestamp::now(),
            start,
        });
        let deadline = Deadline::at(begun.start, self.budget);
        state.exit_code = state.exit_code.max(cause.exit_code());
        deadline
    }

    pub(crate) fn start_stepping(&self) {
        self.state().stepping = true;
    }

    /// Begins the first of the steps that wait.
    pub(crate) fn start_step(&self, name: &'static str) {
        let mut state = self.state();
        state.pending.pop_front();
        state.running = Some((name, Instant::now()));
    }

    /// Ends the running step and gives its phase.
    pub(crate) fn end_step(&self, result: Result<StepNote, StepError>) -> Phase {
        let mut state = self.state();
        let (name, since) = state.running.take().unwrap_or(("", Instant::now()));
        let mut phase = Phase::new(name, since.elapsed(), PhaseOutcome::Ok);
        match result {
            Ok(note) => {
                state.messages_left = note.messages_left.or(state.messages_left);
                state.details.extend(note.details);
            }
            Err(error) => {
                state.exit_code = state.exit_code.max(StepFailure::exit_code_of(&*error));
                phase.outcome = PhaseOutcome::Failed;
                phase.error = Some(error_chain(&*error));
            }
        }
        state.phases.push(phase.clone());
        phase
    }

    pub(crate) fn finish(&self) {
        self.state().finished = true;
    }

    /// The report if the process ended at this moment, in this way.
    pub(crate) fn report(&self, ending: Ending) -> Report {
        let state = self.state();
        let now = Timestamp::now();
        let (cause, detail, started_at, took) = match &state.begun {
            Some(begun) => {
                let detail = match &begun.cause {
                    Cause::TaskFailed { .. } => Some(begun.cause.to_string()),
                    Cause::Signal(_) | Cause::Requested => None,
                };
                (begun.cause.label(), detail, begun.at, begun.start.elapsed())
            }
            None => (Cause::Requested.label(), None, now, Duration::ZERO),
        };
        let exit_code = match ending {
            Ending::Completed => state.exit_code,
            cut => cut.exit_code(),
        };
        let phases = state.phases_at(ending);
        Report {
            program: self.program.to_owned(),
            version: state.version.clone(),
            cause: cause.to_owned(),
            cause_detail: detail,
            clean: exit_code == exit_code::CLEAN,
            exit_code,
            started_at,
            at: now,
            budget_seconds: self.budget.as_secs(),
            took_milliseconds: milliseconds(took),
            errors: phases
                .iter()
                .filter(|phase| phase.outcome.is_error())
                .count() as u64,
            phases,
            left: state.left_at(ending),
            messages_left: state.messages_left,
            details: state.details.clone(),
        }
        .bounded()
    }
}

impl State {
    fn phases_at(&self, ending: Ending) -> Vec<Phase> {
        let mut phases = self.phases.clone();
        if let Some((name, since)) = self.running {
            let outcome = match ending {
                Ending::Forced(_) => PhaseOutcome::Failed,
                Ending::Completed | Ending::Overrun => PhaseOutcome::TimedOut,
            };
            let mut phase = Phase::new(name, since.elapsed(), outcome);
            if let Ending::Forced(signal) = ending {
                phase.error = Some(format!("cut short by a second signal, {signal}"));
            }
            phases.push(phase);
        }
        let skipped = self.pending.iter();
        phases.extend(skipped.map(|name| Phase::new(name, Duration::ZERO, PhaseOutcome::Skipped)));
        phases
    }

    /// What was not done, in the order in which it would have been.
    fn left_at(&self, ending: Ending) -> Vec<String> {
        let not_begun = (!self.stepping).then_some(NOT_BEGUN);
        let running = self.running.map(|(name, _)| name);
        let not_exited = (self.finished && ending != Ending::Completed).then_some(NOT_EXITED);
        let steps = self.pending.iter().copied();
        not_begun
            .into_iter()
            .chain(running)
            .chain(steps)
            .chain(not_exited)
            .map(str::to_owned)
            .collect()
    }
}

/// A duration in whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Remarks for the report that a component may make at any time, also from within a step.
///
/// What is noted here is in the report even if the step is cut; the note that a step gives back
/// is not.
#[derive(Clone, Debug)]
pub struct Notes {
    progress: Arc<Progress>,
}

impl Notes {
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        Self { progress }
    }

    /// Says how many messages are neither stored nor acknowledged at this moment.
    pub fn set_messages_left(&self, count: u64) {
        self.progress.state().messages_left = Some(count);
    }

    /// Sets a small value of the report's `details`.
    pub fn set_detail(&self, key: impl Into<String>, value: impl Into<Value>) {
        self.progress
            .state()
            .details
            .insert(key.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        let progress = Progress::new("ingestor", Duration::from_secs(25));
        progress.add_step("drain");
        progress.add_step("checkpoint");
        progress
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_never_yields_leaves_its_work_and_every_step() {
        let progress = progress();
        progress.begin(&Cause::Signal(Signal::Terminate), Instant::now());
        let report = progress.report(Ending::Overrun);
        assert_eq!(report.left, ["run", "drain", "checkpoint"]);
        assert_eq!(
            (report.exit_code, report.clean, report.errors),
            (124, false, 0)
        );
        assert!(
            report
                .phases
                .iter()
                .all(|phase| phase.outcome == PhaseOutcome::Skipped)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_names_the_step_that_it_cut() {
        let progress = progress();
        progress.begin(&Cause::Signal(Signal::Terminate), Instant::now());
        progress.start_stepping();
        progress.start_step("drain");
        tokio::time::advance(Duration::from_millis(1500)).await;
        let report = progress.report(Ending::Forced(Signal::Interrupt));
        assert_eq!(report.cause, "SIGTERM");
        assert_eq!(report.exit_code, 130);
        assert_eq!(report.left, ["drain", "checkpoint"]);
        assert_eq!(report.took_milliseconds, 1500);
        assert_eq!(report.phases[0].milliseconds, 1500);
        assert_eq!(
            report.phases[0].error.as_deref(),
            Some("cut short by a second signal, SIGINT")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_lingers_after_its_last_step_says_so() {
        let progress = Progress::new("server", Duration::from_secs(1));
        progress.begin(&Cause::Requested, Instant::now());
        progress.start_stepping();
        progress.finish();
        assert!(progress.report(Ending::Completed).left.is_empty());
        assert_eq!(progress.report(Ending::Overrun).left, ["exit"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_cause_and_its_instant_count() {
        let progress = progress();
        let error = std::io::Error::other("broken");
        let deadline = progress.begin(&Cause::task_failed("writer", &error), Instant::now());
        tokio::time::advance(Duration::from_secs(3)).await;
        let later = progress.begin(&Cause::Signal(Signal::Terminate), Instant::now());
        assert_eq!(deadline, later);
        let report = progress.report(Ending::Completed);
        assert_eq!(report.cause, "TaskFailed");
        assert_eq!(
            report.cause_detail.as_deref(),
            Some("task writer failed: broken")
        );
        assert_eq!(report.exit_code, exit_code::FAILED);
    }
}
