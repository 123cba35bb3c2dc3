//! The rules that the types alone don't have. An API server checks the same ones by CEL.

mod checks;
mod sources;
mod workload;

use std::fmt;

use crate::MeshCoreDeployment;
use checks::Checks;

/// The longest name: names of children, such as `<name>-data`, and their pods are made from it.
const MAX_NAME: usize = 40;

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
    /// All rules that do not hold; none is what one wants to see.
    pub fn validate(&self) -> Vec<Violation> {
        let mut checks = Checks::default();
        let name = self.name();
        checks.that(
            "metadata.name",
            checks::is_dns_1035(name) && name.len() <= MAX_NAME,
            || {
                format!(
                    "must be 1 to {MAX_NAME} lower-case letters, digits and -, beginning with a \
                     letter and not ending with -, such as bay-area"
                )
            },
        );
        if let Some(namespace) = &self.metadata.namespace {
            checks.dns_label("metadata.namespace", namespace);
        }
        sources::check(&self.spec, &mut checks);
        workload::check(&self.spec, &mut checks);
        checks.violations
    }
}
