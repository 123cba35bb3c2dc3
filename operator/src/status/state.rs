//! How a resource is, in one word, and what its `Ready`, `Reconciling` and `Stalled` say then.

use super::conditions::{Finding, Truth, Type};
use super::reason::Reason;
use crate::problem::Problem;

/// How a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// In one word.
    pub level: Level,
    /// Why.
    pub reason: Reason,
    /// What people are told.
    pub message: String,
}

/// How a resource is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it is asked for.
    Done,
    /// Left as it is, as it is asked for.
    Paused,
    /// On its way.
    Progressing,
    /// It waits for somebody to do something.
    Stalled,
}

impl State {
    /// A state of its parts.
    pub fn new(level: Level, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            level,
            reason,
            message: message.into(),
        }
    }

    /// The state that problems make; the gravest gives the reason, all are told.
    pub fn of_problems(problems: &[Problem]) -> Option<Self> {
        let mut problems: Vec<&Problem> = problems.iter().collect();
        // It costs one source; the others keep objects from being made.
        problems.sort_by_key(|problem| problem.reason == Reason::SecretMissing);
        let first = problems.first()?;
        let messages: Vec<_> = problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        Some(Self::new(Level::Stalled, first.reason, messages.join("; ")))
    }

    /// The three conditions that every tool reads. `Reconciling` and `Stalled` are there in either way, and true is
    /// what is unusual.
    pub fn findings(&self) -> [Finding; 3] {
        let ready = match self.level {
            Level::Done => Truth::True,
            Level::Paused => Truth::Unknown,
            Level::Progressing | Level::Stalled => Truth::False,
        };
        let finding = |type_, truth: Truth| {
            let message = match truth {
                Truth::False if type_ != Type::Ready => "",
                _ => self.message.as_str(),
            };
            Finding::new(type_, truth, self.reason, message)
        };
        [
            finding(Type::Ready, ready),
            finding(Type::Reconciling, (self.level == Level::Progressing).into()),
            finding(Type::Stalled, (self.level == Level::Stalled).into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truths(level: Level) -> [Truth; 3] {
        let findings = State::new(level, Reason::Available, "").findings();
        findings.map(|finding| finding.truth)
    }

    #[test]
    fn at_most_one_of_the_three_is_true() {
        use Truth::{False, True, Unknown};
        assert_eq!(truths(Level::Done), [True, False, False]);
        assert_eq!(truths(Level::Paused), [Unknown, False, False]);
        assert_eq!(truths(Level::Progressing), [False, True, False]);
        assert_eq!(truths(Level::Stalled), [False, False, True]);
    }

    #[test]
    fn all_problems_are_told_and_the_gravest_gives_the_reason() {
        let problems = [
            Problem::new(Reason::SecretMissing, "one"),
            Problem::new(Reason::NameConflict, "two"),
        ];
        let state = State::of_problems(&problems).unwrap();
        assert_eq!(
            (state.reason, state.message.as_str()),
            (Reason::NameConflict, "two; one")
        );
        assert_eq!(State::of_problems(&[]), None);
    }
}
