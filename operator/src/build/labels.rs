//! The labels of the children, and who relies on each.
//!
//! | Label | Who relies on it |
//! |---|---|
//! | `app.kubernetes.io/managed-by` | the operator's watches, and the clean-up of what is no longer asked for |
//! | `app.kubernetes.io/name`, `instance`, `component` | the selector of the StatefulSet, which can't change; of the Services, the `NetworkPolicy`, the `PodDisruptionBudget`; and people's monitors |
//! | `app.kubernetes.io/component: server` on one of the two Services | monitors, which would else find the server's port in both |
//! | `app.kubernetes.io/version` | people; on the StatefulSet itself only |

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use meshcore_resource::MeshCoreDeployment;

use super::metadata::name;
use crate::names::{APPLICATION, COMPONENT, FIELD_MANAGER, INSTANCE, MANAGED_BY, NAME};

/// The value of [`COMPONENT`] for all of what runs. It stands in the selector, so that pods of another kind, such as
/// those of a job, can carry the other labels without being taken for the analyzer.
const ANALYZER: &str = "analyzer";

type Labels = BTreeMap<String, String>;

/// The labels that the pod is found by. They can't change: a StatefulSet's selector is immutable.
pub fn selector(name: &str) -> Labels {
    [(NAME, APPLICATION), (INSTANCE, name), (COMPONENT, ANALYZER)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// [`selector`] as it stands in objects.
pub(super) fn label_selector(resource: &MeshCoreDeployment) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selector(name(resource))),
        match_expressions: None,
    }
}

/// The labels of every child.
pub(super) fn of_children(resource: &MeshCoreDeployment) -> Labels {
    let mut labels = selector(name(resource));
    labels.insert(MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned());
    labels
}

/// The labels of the pod: the resource's own wishes, which can't replace ours.
pub(super) fn of_pod(resource: &MeshCoreDeployment) -> Labels {
    let mut labels = resource.spec.pod.labels.clone();
    labels.extend(of_children(resource));
    labels
}

/// Whether `text` may be the value of a label.
pub(super) fn is_value(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_end = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.chars().all(is_inner)
        && text.starts_with(is_end)
        && text.ends_with(is_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_a_label_is_known() {
        for good in ["1", "v1.2.3", "a_b-c.d", &"a".repeat(63)] {
            assert!(is_value(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a+b", "ä", &"a".repeat(64)] {
            assert!(!is_value(bad), "{bad}");
        }
    }
}
