//! Resources as a user applies them.

use meshcore_testkit::kubernetes::ControlPlane;
use serde_json::{Value, json};

/// What a resource can't do without.
pub(crate) fn minimal() -> Value {
    json!({
        "mqttSources": [{"name": "local", "broker": "mqtt://mosquitto:1883"}],
        "storage": {"size": "1Gi"},
    })
}

/// A resource that has an object of each kind.
pub(crate) fn whole() -> Value {
    let mut spec = minimal();
    spec["ingress"] = json!({"host": "mesh.example.org"});
    spec["networkPolicy"] = json!({"enabled": true});
    spec["podDisruptionBudget"] = json!({"enabled": true});
    spec
}

/// Applies resources by their names.
pub(crate) async fn apply(plane: &ControlPlane, namespace: &str, specs: &[(&str, Value)]) {
    let items: Vec<Value> = specs
        .iter()
        .map(|(name, spec)| {
            json!({
                "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
                "metadata": {"name": name, "namespace": namespace}, "spec": spec,
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    plane.admin().apply_yaml(&list.to_string()).await.unwrap();
}

/// Waits until resources are ready in their present form.
pub(crate) async fn until_ready(plane: &ControlPlane, namespace: &str, names: &[&str]) {
    for name in names {
        let resource = format!("mcd/{name}");
        let wait = [
            "wait",
            "-n",
            namespace,
            "--for=condition=Ready",
            "--timeout=4m",
            &resource,
        ];
        plane.admin().kubectl(&wait).await.unwrap();
    }
}
