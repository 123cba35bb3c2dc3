//! Specs, and what a resource says.
#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which read better without & before each json!"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use meshcore_resource::MeshCoreDeployment;
use serde_json::{Value, json};

/// The least that a resource has.
pub(crate) fn minimal() -> Value {
    json!({
        "mqttSources": [{"name": "local", "broker": "mqtt://mosquitto:1883"}],
        "storage": {"size": "1Gi"},
    })
}

/// [`minimal`] with more fields of the spec.
pub(crate) fn with(more: Value) -> Value {
    let mut spec = minimal();
    let more = more.as_object().expect("fields").clone();
    spec.as_object_mut().unwrap().extend(more);
    spec
}

/// A condition of a resource.
pub(crate) fn find_condition<'a>(
    resource: &'a MeshCoreDeployment,
    type_: &str,
) -> Option<&'a Condition> {
    let mut conditions = resource.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|condition| condition.type_ == type_)
}

/// The status and the reason of a condition; empty where there is none.
pub(crate) fn condition(resource: &MeshCoreDeployment, type_: &str) -> (String, String) {
    let found = find_condition(resource, type_);
    found
        .map(|found| (found.status.clone(), found.reason.clone()))
        .unwrap_or_default()
}

/// The message of a condition.
pub(crate) fn message(resource: &MeshCoreDeployment, type_: &str) -> String {
    let found = find_condition(resource, type_);
    found.map(|found| found.message.clone()).unwrap_or_default()
}

/// The generation that the status is about.
pub(crate) fn observed(resource: &MeshCoreDeployment) -> Option<i64> {
    resource
        .status
        .as_ref()
        .and_then(|status| status.observed_generation)
}
