//! Conditions as Kubernetes wants them: one of each type, and a time that moves only when the status does.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::reason::Reason;

/// The longest message: what an API server accepts is 32 KiB, what people read is far less.
const MAX_MESSAGE: usize = 2048;

/// The types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// All that is asked for is so.
    Ready,
    /// It is on the way there.
    Reconciling,
    /// It won't get there by itself.
    Stalled,
    /// The claim is bound.
    StorageReady,
    /// The volume is growing.
    StorageResizing,
    /// The volume is full.
    StoragePressure,
    /// A stop may take longer than it is given.
    ShutdownBudgetAtRisk,
    /// Changes wait for consent.
    RolloutPending,
}

impl Type {
    /// The type as it stands in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::StorageReady => "StorageReady",
            Self::StorageResizing => "StorageResizing",
            Self::StoragePressure => "StoragePressure",
            Self::ShutdownBudgetAtRisk => "ShutdownBudgetAtRisk",
            Self::RolloutPending => "RolloutPending",
        }
    }
}

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not.
    False,
    /// Nobody knows.
    Unknown,
}

impl From<bool> for Truth {
    fn from(is_so: bool) -> Self {
        if is_so { Self::True } else { Self::False }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        })
    }
}

/// A condition, without what follows from the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub type_: Type,
    /// Whether it is so.
    pub truth: Truth,
    /// Why.
    pub reason: Reason,
    /// What people are told: what it is about, and the cure.
    pub message: String,
}

impl Finding {
    /// A finding of its parts.
    pub fn new(
        type_: Type,
        truth: impl Into<Truth>,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            truth: truth.into(),
            reason,
            message: message.into(),
        }
    }
}

/// The conditions of these findings at a generation. Where the status is that of `previous`, so is the time.
pub fn conditions(
    findings: Vec<Finding>,
    previous: &[Condition],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    let condition = |finding: Finding| {
        let type_ = finding.type_.as_str();
        let status = finding.truth.to_string();
        let last = previous.iter().find(|last| last.type_ == type_);
        let unchanged = last.filter(|last| last.status == status);
        Condition {
            last_transition_time: unchanged
                .map_or(now, |last| &last.last_transition_time)
                .clone(),
            message: bounded(finding.message),
            observed_generation: generation,
            reason: finding.reason.as_str().to_owned(),
            status,
            type_: type_.to_owned(),
        }
    };
    findings.into_iter().map(condition).collect()
}

fn bounded(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE - 4));
        message.push_str(" …");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    fn ready(truth: bool, reason: Reason, message: &str) -> Vec<Finding> {
        vec![Finding::new(Type::Ready, truth, reason, message)]
    }

    #[test]
    fn the_time_moves_only_when_the_status_does() {
        let first = conditions(ready(false, Reason::Starting, "a"), &[], Some(1), &time(10));
        let second = conditions(
            ready(false, Reason::CrashLoop, "b"),
            &first,
            Some(2),
            &time(20),
        );
        assert_eq!(second[0].last_transition_time, time(10));
        assert_eq!(second[0].observed_generation, Some(2));
        let third = conditions(
            ready(true, Reason::Available, ""),
            &second,
            Some(2),
            &time(30),
        );
        assert_eq!(third[0].last_transition_time, time(30));
    }

    #[test]
    fn equal_findings_give_equal_conditions() {
        let first = conditions(ready(true, Reason::Available, "a"), &[], Some(1), &time(10));
        let again = conditions(
            ready(true, Reason::Available, "a"),
            &first,
            Some(1),
            &time(20),
        );
        assert_eq!(first, again);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "ä".repeat(MAX_MESSAGE);
        let cut = conditions(ready(false, Reason::Refused, &long), &[], None, &time(0));
        assert!(cut[0].message.len() <= MAX_MESSAGE && cut[0].message.ends_with('…'));
    }
}
