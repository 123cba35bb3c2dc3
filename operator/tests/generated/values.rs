//! What may be in the values of the operator's chart.

use meshcore_testkit::generated_file;
use serde_json::{Value, json};

#[test]
fn the_chart_has_the_schema_of_its_values() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    generated_file("charts/meshcore-operator/values.schema.json", &text);
}

fn schema() -> Value {
    let name = json!({"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"});
    object(&json!({
        "image": object(&json!({
            "registry": text("^([^/:@]+(:[0-9]+)?(/[^/:@]+)*)?$"),
            "repository": text("^[a-z0-9]+([._/-][a-z0-9]+)*$"),
            "tag": text("^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"),
            "digest": text("^(sha256:[0-9a-f]{64})?$"),
            "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
        })),
        "imagePullSecrets": list(&object(&json!({"name": {"type": "string"}}))),
        "programs": object(&json!({
            "imageRegistry": text("^([^/:@]+(:[0-9]+)?(/[^/:@]+)*)?$"),
            "imageTag": text("^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"),
        })),
        "rbac": object(&json!({
            "profile": {"enum": ["cluster", "namespaced"]},
            "aggregate": {"type": "boolean"},
        })),
        "namespaces": list(&text("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")),
        "replicas": {"type": "integer", "minimum": 0, "maximum": 5},
        "leaderElection": {"type": "boolean"},
        "concurrency": {"type": "integer", "minimum": 1, "maximum": 1000},
        "logLevel": {"type": "string", "minLength": 1},
        "logFormat": {"enum": ["json", "text"]},
        "serviceAccount": object(&json!({
            "create": {"type": "boolean"},
            "name": {"type": "string"},
            "annotations": strings(),
        })),
        "service": object(&json!({
            "enabled": {"type": "boolean"},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "annotations": strings(),
        })),
        // Kubernetes' own types: the API server says what is wrong with them.
        "resources": {"type": "object"},
        "pod": object(&json!({
            "labels": strings(),
            "annotations": strings(),
            "nodeSelector": strings(),
            "tolerations": list(&json!({"type": "object"})),
            "affinity": {"type": "object"},
            "priorityClassName": {"type": "string"},
        })),
        "deployments": {
            "type": "object",
            "propertyNames": name,
            "additionalProperties": spec(),
        },
        // What a chart that has this one as a dependency may say.
        "global": {"type": "object"},
    }))
    .with("$schema", json!("http://json-schema.org/draft-07/schema#"))
    .with("title", json!("Values of the chart meshcore-operator. Made from operator/tests/generated/values.rs: make generate"))
}

/// The spec of a resource, without what only an API server understands.
fn spec() -> Value {
    let mut definition =
        serde_json::to_value(meshcore_resource::crd()).expect("a definition is JSON");
    let mut spec =
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].take();
    assert!(spec["properties"]["mqttSources"].is_object());
    plain(&mut spec);
    spec
}

/// Takes away extensions, and refuses unknown fields as the API server does when it is asked to be strict.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_open = fields.contains_key("x-kubernetes-preserve-unknown-fields");
            if fields.remove("x-kubernetes-int-or-string").is_some() {
                fields.insert("type".to_owned(), json!(["integer", "string"]));
                fields.remove("anyOf");
            }
            fields.retain(|key, _| !key.starts_with("x-kubernetes-"));
            let has_fields = fields.get("properties").is_some_and(Value::is_object);
            if has_fields && !is_open && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            if fields.remove("nullable").is_some()
                && let Some(kind) = fields.get_mut("type")
            {
                *kind = json!([kind.take(), "null"]);
            }
            fields.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

/// An object with these fields and no others.
fn object(properties: &Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn strings() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

trait With {
    fn with(self, key: &str, value: Value) -> Self;
}

impl With for Value {
    fn with(mut self, key: &str, value: Value) -> Self {
        self[key] = value;
        self
    }
}
