//! Why a program stops.

use std::error::Error;
use std::fmt;

use crate::report::error_chain;
use crate::{Signal, StepError, exit_code};

/// Why a program stops.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The first signal.
    Signal(Signal),
    /// A task that should live as long as the program has ended.
    TaskFailed {
        /// The name of the task, a word such as `writer`.
        task: String,
        /// What went wrong, with the chain of its causes.
        error: String,
        /// The code that the process ends with; see [`exit_code`].
        exit_code: u8,
    },
    /// The program's own wish: its work is done, or a caller asked for it.
    Requested,
}

impl Cause {
    /// A task failed with `error`; the process will end with [`exit_code::FAILED`].
    pub fn task_failed(task: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        Self::task_failed_with(task, error, exit_code::FAILED)
    }

    /// A task failed with `error`, for which there is a more telling exit code.
    pub fn task_failed_with(
        task: impl Into<String>,
        error: &(dyn Error + 'static),
        exit_code: u8,
    ) -> Self {
        Self::TaskFailed {
            task: task.into(),
            error: error_chain(error),
            exit_code,
        }
    }

    /// A task that never ends has ended, with an error (of any kind, `anyhow` too) or without one.
    pub fn task_ended<T, E: Into<StepError>>(
        task: impl Into<String>,
        result: Result<T, E>,
    ) -> Self {
        match result {
            Err(error) => {
                let error: StepError = error.into();
                Self::task_failed(task, &*error)
            }
            Ok(_) => Self::TaskFailed {
                task: task.into(),
                error: "ended by itself".to_owned(),
                exit_code: exit_code::FAILED,
            },
        }
    }

    /// A word for statuses and metrics: `SIGTERM`, `SIGINT`, `ParentGone`, `TaskFailed` or `Requested`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Signal(signal) => signal.name(),
            Self::TaskFailed { .. } => "TaskFailed",
            Self::Requested => "Requested",
        }
    }

    /// The code that the process ends with if every step goes well; a failed task never gives 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::TaskFailed { exit_code, .. } => (*exit_code).max(exit_code::FAILED),
            Self::Signal(_) | Self::Requested => exit_code::CLEAN,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskFailed { task, error, .. } => write!(f, "task {task} failed: {error}"),
            other => f.write_str(other.label()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_task_that_ends_is_a_failure_even_without_an_error() {
        let ended = Cause::task_ended("writer", Ok::<_, io::Error>(()));
        assert_eq!(ended.to_string(), "task writer failed: ended by itself");
        assert_eq!(ended.exit_code(), exit_code::FAILED);
        let failed = Cause::task_failed_with(
            "writer",
            &io::Error::other("short write"),
            exit_code::IO_ERROR,
        );
        assert_eq!((failed.label(), failed.exit_code()), ("TaskFailed", 74));
        assert_eq!(failed.to_string(), "task writer failed: short write");
    }

    #[test]
    fn a_signal_is_a_clean_cause() {
        let cause = Cause::Signal(Signal::Terminate);
        assert_eq!(
            (cause.label(), cause.exit_code()),
            ("SIGTERM", exit_code::CLEAN)
        );
    }
}
