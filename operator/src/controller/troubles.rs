//! Watches that are refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::problem::Problem;
use crate::status::Reason;

/// Watches that are refused, and why. What they would show is not known then, and that is said in each resource.
#[derive(Debug, Default)]
pub struct WatchTroubles {
    refused: Mutex<BTreeMap<(&'static str, Option<String>), String>>,
}

impl WatchTroubles {
    /// What is refused that concerns a namespace.
    pub fn problems(&self, namespace: &str) -> Vec<Problem> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let concerns =
            |scope: &Option<String>| scope.as_deref().is_none_or(|scope| scope == namespace);
        let refused = refused.iter().filter(|((_, scope), _)| concerns(scope));
        refused
            .map(|((plural, scope), why)| problem(plural, scope.as_deref(), why))
            .collect()
    }

    /// Notes how a watch is; whether that is news.
    pub(super) fn set(
        &self,
        plural: &'static str,
        scope: Option<&str>,
        why: Option<String>,
    ) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (plural, scope.map(str::to_owned));
        match why {
            Some(why) => refused.insert(id, why).is_none(),
            None => refused.remove(&id).is_some(),
        }
    }
}

fn problem(plural: &str, scope: Option<&str>, why: &str) -> Problem {
    let place = scope.map_or_else(
        || "all namespaces".to_owned(),
        |scope| format!("namespace {scope}"),
    );
    let message = format!(
        "The operator may not watch {plural} in {place}; grant its service account the verbs get, list and watch on \
         them there, as its chart does ({why})"
    );
    Problem::new(Reason::Forbidden, message)
}
