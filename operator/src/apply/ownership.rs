//! Whose an object is that has the name of one of ours.

use meshcore_resource::KIND;
use serde_json::Value;

use crate::names::{FIELD_MANAGER, INSTANCE, MANAGED_BY};

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The resource is its controller.
    Ours,
    /// It has our labels and no controller, as a retained claim has, or what was left by a deletion that orphans.
    Left,
    /// A resource of the same name that is no more was its controller: the garbage collector is about to delete it.
    OfAnEarlier,
    /// Somebody else's, for this reason.
    Foreign(String),
}

/// Whose an object is, seen from the resource with this name and UID.
pub fn ownership(object: &Value, name: &str, uid: &str) -> Ownership {
    let metadata = &object["metadata"];
    let owners = metadata["ownerReferences"].as_array();
    let controller = owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true);
    let Some(controller) = controller else {
        return if is_labelled(metadata, name) {
            Ownership::Left
        } else {
            Ownership::Foreign("it lacks the labels of the operator".to_owned())
        };
    };
    let (kind, owner) = (&controller["kind"], &controller["name"]);
    if controller["uid"] == uid {
        Ownership::Ours
    } else if kind == KIND && owner == name {
        Ownership::OfAnEarlier
    } else {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ownership::Foreign(format!("it belongs to {} {}", text(kind), text(owner)))
    }
}

fn is_labelled(metadata: &Value, name: &str) -> bool {
    let labels = &metadata["labels"];
    labels[MANAGED_BY] == FIELD_MANAGER && labels[INSTANCE] == name
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::needless_pass_by_value,
        reason = "a test reads better without & before each json!"
    )]

    use serde_json::json;

    use super::*;

    fn object(owner: Value, labels: Value) -> Value {
        json!({"metadata": {"ownerReferences": owner, "labels": labels}})
    }

    fn controller(kind: &str, name: &str, uid: &str) -> Value {
        json!([{"kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    fn ours() -> Value {
        json!({MANAGED_BY: FIELD_MANAGER, INSTANCE: "mesh"})
    }

    #[test]
    fn the_controller_decides_whatever_the_labels_are() {
        let labels = json!({});
        let owned = object(controller(KIND, "mesh", "1"), labels.clone());
        assert_eq!(ownership(&owned, "mesh", "1"), Ownership::Ours);
        assert_eq!(ownership(&owned, "mesh", "2"), Ownership::OfAnEarlier);
        let foreign = object(controller("Deployment", "mesh", "1"), ours());
        assert_eq!(
            ownership(&foreign, "mesh", "2"),
            Ownership::Foreign("it belongs to Deployment mesh".to_owned())
        );
    }

    #[test]
    fn without_a_controller_the_labels_decide() {
        assert_eq!(
            ownership(&object(json!([]), ours()), "mesh", "1"),
            Ownership::Left
        );
        for labels in [json!({}), json!({MANAGED_BY: "helm", INSTANCE: "mesh"})] {
            let found = ownership(&object(json!([]), labels), "mesh", "1");
            assert!(matches!(found, Ownership::Foreign(_)));
        }
        let other = ownership(&object(json!([]), ours()), "other", "1");
        assert!(matches!(other, Ownership::Foreign(_)));
    }

    #[test]
    fn an_owner_that_is_no_controller_means_nothing() {
        let owner = json!([{"kind": "Node", "name": "a", "uid": "9"}]);
        assert_eq!(
            ownership(&object(owner, ours()), "mesh", "1"),
            Ownership::Left
        );
    }
}
