//! What keeps a resource from becoming what is asked for, in the words that its conditions have.

use std::fmt;

use crate::status::Reason;

/// Something that somebody has to do something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What sort of problem.
    pub reason: Reason,
    /// The object that it is about, and the cure.
    pub message: String,
}

impl Problem {
    /// A problem of its parts.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
