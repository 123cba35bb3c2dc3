//! Runs the clean-up steps of a program one after the other, under one deadline.

use std::any::Any;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::{Instrument, error, info, info_span, warn};

use crate::progress::{Ending, Progress, milliseconds};
use crate::step::Step;
use crate::{
    Cause, Deadline, Notes, Outlets, PhaseOutcome, Readiness, Report, Signals, StepError, StepNote,
    Watchdog, ending, events,
};

/// How much later than the deadline the watchdog fires, so that a runtime that is alive can end the
/// process itself. The budget's margin pays for it.
const WATCHDOG_SLACK: Duration = Duration::from_millis(500);

/// The least time that writing the report gets, even when the deadline has passed.
const REPORT_TIME: Duration = Duration::from_millis(400);

/// When the watchdog of a shutdown with this deadline fires.
pub(crate) fn watchdog_instant(deadline: Deadline) -> std::time::Instant {
    (deadline.instant() + WATCHDOG_SLACK).into_std()
}

/// The clean-up of a program: named steps in the order in which they were registered.
///
/// Make it right after the configuration is known, before anything slow: with
/// [`with_signals`](Self::with_signals) a program that hangs in its start-up is ended in time, too.
///
/// All steps share one deadline, counted from the signal. A step that fails or panics is logged and
/// counted, and the next one runs. A step that is still running at the deadline is cut, and it and
/// all steps after it are named as left; the process is to end with 124 then.
pub struct ShutdownManager {
    budget: Duration,
    progress: Arc<Progress>,
    steps: Vec<Step>,
    readiness: Option<Readiness>,
    signals: Option<Signals>,
    watchdog: Option<Watchdog>,
}

/// What a shutdown came to.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "the process ends with the outcome's exit code"]
pub struct Outcome {
    report: Report,
}

impl ShutdownManager {
    /// A manager without steps for `program` (`ingestor` or `server`, part of the report), which
    /// may take `budget` from the signal on.
    pub fn new(program: &'static str, budget: Duration) -> Self {
        Self {
            budget,
            progress: Arc::new(Progress::new(program, budget)),
            steps: Vec::new(),
            readiness: None,
            signals: None,
            watchdog: None,
        }
    }

    /// Puts the program's version into the report.
    #[must_use]
    pub fn with_version(self, version: impl Into<String>) -> Self {
        self.progress.set_version(version.into());
        self
    }

    /// Turns this readiness to `shutting_down` before the first step.
    #[must_use]
    pub fn with_readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = Some(readiness);
        self
    }

    /// Sends the report to these places instead of [`Outlets::new`].
    #[must_use]
    pub fn with_outlets(self, outlets: Outlets) -> Self {
        self.progress.set_outlets(outlets);
        self
    }

    /// Counts the deadline from the first signal, has a watchdog armed by it (or by
    /// [`run`](Self::run), whatever the cause), and lets a second one report what was left.
    ///
    /// [Detached](Signals::detached) signals come without a watchdog.
    ///
    /// # Errors
    /// When the watchdog's thread can't be started.
    pub fn with_signals(mut self, signals: &Signals) -> io::Result<Self> {
        if !signals.is_detached() {
            let progress = Arc::clone(&self.progress);
            let watchdog = Watchdog::spawn(move || ending::overrun(progress))?;
            signals.watch_over(Arc::clone(&self.progress), watchdog.clone());
            self.watchdog = Some(watchdog);
        }
        self.signals = Some(signals.clone());
        Ok(self)
    }

    /// Registers a step. It runs after all that were registered before it, as a task of its own, and
    /// gets the deadline of the whole shutdown. It gives back `()` or a [`StepNote`].
    ///
    /// `name` is part of the log, the report and a metric: a fixed word in `snake_case`, used once.
    pub fn step<F, Fut, T>(&mut self, name: &'static str, step: F)
    where
        F: FnOnce(Deadline) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, StepError>> + Send,
        T: Into<StepNote>,
    {
        self.progress.add_step(name);
        self.steps.push(Step::new(name, step));
    }

    /// A handle for remarks that are in the report even when a step is cut.
    pub fn notes(&self) -> Notes {
        Notes::new(Arc::clone(&self.progress))
    }

    /// Runs the steps, writes the report, and says how it went. The caller ends the process, by
    /// [`Outcome::exit`] or with [`Outcome::exit_code`].
    pub async fn run(mut self, cause: Cause) -> Outcome {
        let start = match (&cause, self.signals.as_ref().and_then(Signals::arrival)) {
            (Cause::Signal(_), Some(arrival)) if self.watchdog.is_some() => arrival.at.into(),
            _ => Instant::now(),
        };
        let deadline = self.progress.begin(&cause, start);
        self.progress.start_stepping();
        if let Some(watchdog) = &self.watchdog {
            watchdog.arm(watchdog_instant(deadline));
        }
        if let Some(readiness) = &self.readiness {
            readiness.shut_down();
        }
        info!(
            event = events::SHUTDOWN_STARTED,
            program = self.progress.program(),
            %cause,
            deadline_ms = milliseconds(self.budget),
            remaining_ms = milliseconds(deadline.remaining()),
            steps = self.steps.len(),
            "Shutdown started"
        );
        let ending = self.run_steps(deadline).await;
        let report = self.progress.report(ending);
        self.conclude(&report, ending);
        self.publish(&report, deadline).await;
        self.progress.finish();
        Outcome { report }
    }

    async fn run_steps(&mut self, deadline: Deadline) -> Ending {
        for step in std::mem::take(&mut self.steps) {
            if deadline.expired() || !self.run_step(step, deadline).await {
                return Ending::Overrun;
            }
        }
        Ending::Completed
    }

    /// Runs one step; false when the deadline cut it.
    async fn run_step(&self, step: Step, deadline: Deadline) -> bool {
        let name = step.name;
        self.progress.start_step(name);
        info!(
            event = events::SHUTDOWN_STEP_STARTED,
            step = name,
            remaining_ms = milliseconds(deadline.remaining()),
            "Shutdown step started"
        );
        let span = info_span!("shutdown_step", step = name);
        // A task of its own: its panics are caught, and one that blocks its thread can be left alone.
        let mut task = tokio::spawn(step.run(deadline).instrument(span));
        let Ok(joined) = deadline.limit(&mut task).await else {
            task.abort();
            return false;
        };
        let result = joined.unwrap_or_else(|error| Err(panic_message(error).into()));
        let phase = self.progress.end_step(result);
        if phase.outcome == PhaseOutcome::Ok {
            info!(
                event = events::SHUTDOWN_STEP_COMPLETED,
                step = name,
                elapsed_ms = phase.milliseconds,
                remaining_ms = milliseconds(deadline.remaining()),
                "Shutdown step completed"
            );
        } else {
            error!(
                event = events::SHUTDOWN_STEP_FAILED,
                step = name,
                elapsed_ms = phase.milliseconds,
                error = phase.error.unwrap_or_default(),
                "Shutdown step failed, the next one runs"
            );
        }
        true
    }

    fn conclude(&self, report: &Report, ending: Ending) {
        if ending == Ending::Overrun {
            error!(
                event = events::SHUTDOWN_DEADLINE_EXCEEDED,
                exit_code = report.exit_code,
                deadline_ms = milliseconds(self.budget),
                left = ?report.left,
                "The shutdown deadline passed before everything was done"
            );
        } else {
            info!(
                event = events::SHUTDOWN_COMPLETED,
                clean = report.clean,
                exit_code = report.exit_code,
                elapsed_ms = report.took_milliseconds,
                errors = report.errors,
                "Shutdown completed"
            );
        }
    }

    /// Writes the report on a blocking thread; a disk that hangs can't hold the exit up.
    async fn publish(&self, report: &Report, deadline: Deadline) {
        let (outlets, copy) = (self.progress.outlets(), report.clone());
        let least = outlets.patience(REPORT_TIME);
        let patience = deadline.remaining().max(least);
        let writing = tokio::task::spawn_blocking(move || outlets.publish(&copy));
        if tokio::time::timeout(patience, writing).await.is_err() {
            warn!(
                event = events::SHUTDOWN_REPORT_FAILED,
                patience_ms = milliseconds(patience),
                "The shutdown report was not written in time"
            );
        }
    }
}

impl Outcome {
    /// The code that the process is to end with; see [`exit_code`](crate::exit_code).
    pub fn exit_code(&self) -> u8 {
        self.report.exit_code
    }

    /// The report, which has been written to its outlets.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Ends the process. In `main` this is better than to return, which waits for every blocking
    /// task that the runtime still has.
    pub fn exit(self) -> ! {
        ending::exit(self.exit_code())
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.exit_code())
    }
}

fn panic_message(error: JoinError) -> String {
    let payload: Box<dyn Any + Send> = match error.try_into_panic() {
        Ok(payload) => payload,
        Err(error) => return error.to_string(),
    };
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", message.unwrap_or("no message"))
}

#[cfg(test)]
mod tests;
