//! A named clean-up step: what it is given, and what it gives back.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::iter;
use std::pin::Pin;

use serde_json::Value;

use crate::{Deadline, exit_code};

/// Any error: `?` in a step turns whatever it meets into one.
pub type StepError = Box<dyn Error + Send + Sync>;

type StepFuture = Pin<Box<dyn Future<Output = Result<StepNote, StepError>> + Send>>;

/// A step that has been registered and waits for its turn.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    run: Box<dyn FnOnce(Deadline) -> StepFuture + Send>,
}

impl Step {
    pub(crate) fn new<F, Fut, T>(name: &'static str, step: F) -> Self
    where
        F: FnOnce(Deadline) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, StepError>> + Send,
        T: Into<StepNote>,
    {
        // The closure is called inside the future, so that its panics are caught with the rest.
        let run = move |deadline| -> StepFuture {
            Box::pin(async move { step(deadline).await.map(Into::into) })
        };
        Self {
            name,
            run: Box::new(run),
        }
    }

    pub(crate) async fn run(self, deadline: Deadline) -> Result<StepNote, StepError> {
        (self.run)(deadline).await
    }
}

/// What a step that went well has to say in the report. `()` is a note without a word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepNote {
    pub(crate) messages_left: Option<u64>,
    pub(crate) details: BTreeMap<String, Value>,
}

impl StepNote {
    /// A note without a word.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how many messages were neither stored nor acknowledged.
    #[must_use]
    pub fn messages_left(mut self, count: u64) -> Self {
        self.messages_left = Some(count);
        self
    }

    /// Adds a small value to the report's `details`.
    #[must_use]
    pub fn detail(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(key.into(), value.into());
        self
    }
}

impl From<()> for StepNote {
    fn from((): ()) -> Self {
        Self::default()
    }
}

/// A step's error with an exit code that tells more than [`FAILED`](crate::exit_code::FAILED) does.
///
/// The process ends with the highest code among its cause and its steps, so an
/// [`IO_ERROR`](crate::exit_code::IO_ERROR) is not hidden by a plain failure.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct StepFailure {
    /// The code that the process ends with.
    pub exit_code: u8,
    /// What went wrong.
    pub source: StepError,
}

impl StepFailure {
    /// Gives `error` an exit code.
    pub fn new(exit_code: u8, error: impl Into<StepError>) -> Self {
        Self {
            exit_code,
            source: error.into(),
        }
    }

    /// The exit code of a step's error: that of the first `StepFailure` in its chain of causes, and
    /// never 0.
    pub(crate) fn exit_code_of(error: &(dyn Error + 'static)) -> u8 {
        iter::successors(Some(error), |&error| error.source())
            .find_map(|error| error.downcast_ref::<Self>())
            .map_or(exit_code::FAILED, |failure| {
                failure.exit_code.max(exit_code::FAILED)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("closing the database")]
    struct Closing(#[source] StepFailure);

    #[test]
    fn an_exit_code_is_found_below_other_errors_and_is_never_clean() {
        let failure = StepFailure::new(exit_code::IO_ERROR, "short write");
        assert_eq!(
            StepFailure::exit_code_of(&Closing(failure)),
            exit_code::IO_ERROR
        );
        let failure = StepFailure::new(exit_code::CLEAN, "odd");
        assert_eq!(StepFailure::exit_code_of(&failure), exit_code::FAILED);
        assert_eq!(
            StepFailure::exit_code_of(&std::fmt::Error),
            exit_code::FAILED
        );
    }
}
