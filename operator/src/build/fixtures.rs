//! Resources for the tests of the builders.

use k8s_openapi::serde::Serialize;
use meshcore_resource::{MeshCoreDeployment, parse};
use serde_json::{Value, json};

use crate::settings::Settings;

/// A resource with `spec` added to what must be there.
pub(super) fn resource(spec: Value) -> MeshCoreDeployment {
    let mut whole = json!({
        "apiVersion": "meshcore.dev/v1alpha1",
        "kind": "MeshCoreDeployment",
        "metadata": {"name": "bay", "namespace": "mesh", "uid": "1-2-3"},
        "spec": {
            "mqttSources": [{"name": "local", "broker": "mqtt://mosquitto"}],
            "storage": {"size": "10Gi"},
        },
    });
    let Value::Object(added) = spec else {
        panic!("a spec is an object")
    };
    whole["spec"].as_object_mut().unwrap().extend(added);
    parse(&whole.to_string()).unwrap().resource
}

pub(super) fn settings() -> Settings {
    Settings {
        image_registry: "registry/mesh".to_owned(),
        image_tag: "0.1.0".to_owned(),
    }
}

/// What every child of [`resource`] has, but a claim that stays.
pub(super) fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "namespace": "mesh",
        "labels": labels(),
        "ownerReferences": [{
            "apiVersion": "meshcore.dev/v1alpha1",
            "kind": "MeshCoreDeployment",
            "name": "bay",
            "uid": "1-2-3",
            "controller": true,
        }],
    })
}

/// The selector is what the StatefulSet, the Services, the `NetworkPolicy` and the `PodDisruptionBudget` find the pod by.
pub(super) fn selector() -> Value {
    json!({
        "app.kubernetes.io/name": "meshcore",
        "app.kubernetes.io/instance": "bay",
        "app.kubernetes.io/component": "analyzer",
    })
}

/// The selector, and what the operator's watches find all children by.
pub(super) fn labels() -> Value {
    let mut labels = selector();
    labels["app.kubernetes.io/managed-by"] = "meshcore-operator".into();
    labels
}

/// An object as an API server gets it.
pub(super) fn json_of(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}
