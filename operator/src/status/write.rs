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
    if previous == Some(status) {
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
