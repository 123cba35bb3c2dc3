//! What an API server checks, without one: the schema, the rules of one object, and the rules of a change.

mod fields;
mod update;

use std::fmt;

use crate::rules::{self, ObjectRule};
use crate::{MeshCoreDeployment, ShutdownBudget, schema};

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: `spec.mqttSources[1].broker`.
    pub path: String,
    /// What is wrong, and what to write instead. It never repeats what may be a secret.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl MeshCoreDeployment {
    /// Everything that does not hold for this object by itself; nothing is what one wants to see.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Violations::default();
        violations.unless(
            rules::matches(rules::NAME_PATTERN, self.name()),
            "",
            &rules::NAME,
        );
        if let Some(namespace) = &self.metadata.namespace {
            for complaint in rules::LABEL.complaints(namespace) {
                violations.add("metadata.namespace", complaint);
            }
        }
        for problem in schema::check_spec(&self.spec) {
            violations.add(problem.path, problem.message);
        }
        fields::check(&self.spec, &mut violations);
        violations.0
    }

    /// What is allowed, but not likely to work out.
    pub fn warnings(&self) -> Vec<Violation> {
        let mut warnings = Violations::default();
        let budget = self.spec.shutdown;
        let (sum, safe) = (
            budget.termination_grace_period_seconds(),
            ShutdownBudget::SAFE_TOTAL_SECONDS,
        );
        if sum > safe {
            let message = format!(
                "{sum} s are more than {safe} s, after which cluster autoscalers and managed machines end a pod anyway; \
                 lower one of its parts"
            );
            warnings.add("spec.shutdown", message);
        }
        warnings.0
    }

    /// Everything that does not hold for this object, and for the change from `old` to it.
    ///
    /// The status of `old` counts: a size that the storage could not reach may be lowered to what the claim has.
    pub fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut violations = Violations(self.validate());
        update::check(self, old, &mut violations);
        violations.0
    }
}

/// What does not hold.
#[derive(Debug, Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation {
            path: path.into(),
            message: message.into(),
        });
    }

    /// The sentence of a rule of the object at `path`, unless it holds.
    fn unless(&mut self, holds: bool, path: &str, rule: &ObjectRule) {
        if !holds {
            self.add(at(path, rule), rule.message());
        }
    }
}

/// The path of the field that a rule of the object at `path` is about.
fn at(path: &str, rule: &ObjectRule) -> String {
    format!("{path}{}", rule.field)
        .trim_start_matches('.')
        .to_owned()
}
