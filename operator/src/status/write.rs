//! Writes a status, if it says anything new.

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::ApiResource;
use meshcore_resource::{API_VERSION, KIND, MeshCoreDeployment, MeshCoreDeploymentStatus};
use serde_json::{Value, json};

use crate::api::{ApiError, Verb};
use crate::cache::{Key, Origin};
use crate::context::Context;
use crate::live::Live;
use crate::names;

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    Anew,
    /// It says what the last one said.
    Unchanged,
}

/// Applies a status to the resource with this UID, and keeps the answer; nothing is sent if it says what the last one
/// said.
///
/// # Errors
/// Whatever the API server answers.
pub async fn write(
    context: &Context,
    key: &Key,
    uid: &str,
    previous: Option<&MeshCoreDeploymentStatus>,
    status: &MeshCoreDeploymentStatus,
) -> Result<Written, ApiError> {
    if previous.is_some_and(|previous| says_the_same(previous, status)) {
        return Ok(Written::Unchanged);
    }
    let patch = object(key, uid, &json!({ "status": status }));
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    let answer = resources(context, key)
        .patch_status(&key.name, &params, &Patch::Apply(patch))
        .await;
    let live = answer.map_err(|source| error(key, source))?;
    context.cache.put_resource(&live, Origin::Update);
    Ok(Written::Anew)
}

/// Whether a status says what another one said. Somebody else may have put conditions of their own beside ours.
fn says_the_same(previous: &MeshCoreDeploymentStatus, status: &MeshCoreDeploymentStatus) -> bool {
    let of_type = |type_: &str| previous.conditions.iter().find(|one| one.type_ == type_);
    let ours = status
        .conditions
        .iter()
        .filter_map(|one| of_type(&one.type_));
    let previous = MeshCoreDeploymentStatus {
        conditions: ours.cloned().collect(),
        ..previous.clone()
    };
    previous == *status
}

/// Applies an annotation of the resource with this UID, and nothing else of it.
///
/// # Errors
/// Whatever the API server answers.
pub async fn annotate(
    context: &Context,
    key: &Key,
    uid: &str,
    name: &str,
    text: &str,
) -> Result<(), ApiError> {
    let mut patch = object(key, uid, &json!({}));
    patch["metadata"]["annotations"][name] = text.into();
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    let answer = resources(context, key)
        .patch(&key.name, &params, &Patch::Apply(patch))
        .await;
    let live = answer.map_err(|source| error(key, source))?;
    context.cache.put_resource(&live, Origin::Update);
    Ok(())
}

/// The resources of a namespace.
fn resources(context: &Context, key: &Key) -> Api<Live> {
    let resource = ApiResource::erase::<MeshCoreDeployment>(&());
    Api::namespaced_with(context.clients.write.clone(), &key.namespace, &resource)
}

/// An object to apply, to this resource only: another of the same name is refused.
fn object(key: &Key, uid: &str, more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": &*key.name, "namespace": &*key.namespace, "uid": uid},
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

fn error(key: &Key, source: kube::Error) -> ApiError {
    ApiError {
        verb: Verb::Patch,
        kind: KIND,
        plural: "meshcoredeployments",
        key: key.clone(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(types: &[&str]) -> MeshCoreDeploymentStatus {
        let condition = |type_: &&str| {
            json!({"type": type_, "status": "True", "reason": "R", "message": "",
            "lastTransitionTime": "2026-11-21T00:00:00Z"})
        };
        let conditions: Vec<_> = types.iter().map(condition).collect();
        serde_json::from_value(json!({"observedGeneration": 1, "conditions": conditions})).unwrap()
    }

    #[test]
    fn conditions_of_others_and_their_order_are_nothing_to_write_about() {
        let theirs = status(&["Theirs", "Stalled", "Ready"]);
        assert!(says_the_same(&theirs, &status(&["Ready", "Stalled"])));
    }

    #[test]
    fn a_condition_that_is_missing_is() {
        assert!(!says_the_same(
            &status(&["Ready"]),
            &status(&["Ready", "Stalled"])
        ));
        let newer = MeshCoreDeploymentStatus {
            observed_generation: Some(2),
            ..status(&["Ready"])
        };
        assert!(!says_the_same(&status(&["Ready"]), &newer));
    }
}
