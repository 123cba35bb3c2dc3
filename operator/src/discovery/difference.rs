//! Where two schemas differ.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The most places that are told; the first ones tell which version it is.
const MAX_PLACES: usize = 8;

/// Where what an API server `served` differs from `ours`, as paths of fields, such as
/// `spec.storage.size (missing)`. Descriptions don't count, nor what an API server adds to every schema.
pub(super) fn between(ours: &Value, served: &Value) -> Vec<String> {
    let mut places = Vec::new();
    compare(ours, served, "", &mut places);
    places.truncate(MAX_PLACES);
    places
}

fn compare(ours: &Value, served: &Value, path: &str, places: &mut Vec<String>) {
    let (Value::Object(ours), Value::Object(served)) = (ours, served) else {
        if ours != served {
            places.push(named(path, "changed"));
        }
        return;
    };
    compare_properties(ours, served, path, places);
    for key in ["items", "additionalProperties"] {
        match (ours.get(key), served.get(key)) {
            (Some(ours), Some(served)) => compare(ours, served, &format!("{path}[]"), places),
            (None, None) => {}
            _ => places.push(named(path, "changed")),
        }
    }
    if rules(ours) != rules(served) {
        places.push(named(path, "changed"));
    }
}

fn compare_properties(
    ours: &Map<String, Value>,
    served: &Map<String, Value>,
    path: &str,
    places: &mut Vec<String>,
) {
    let none = Map::new();
    let properties = |schema: &Map<String, Value>| {
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.unwrap_or(&none).clone()
    };
    let (ours, served) = (properties(ours), properties(served));
    let names: BTreeSet<_> = ours.keys().chain(served.keys()).collect();
    for name in names {
        // Every object has these, and the API server describes them itself.
        if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        match (ours.get(name), served.get(name)) {
            (Some(ours), Some(served)) => compare(ours, served, &path, places),
            (Some(_), None) => places.push(named(&path, "missing")),
            _ => places.push(named(&path, "unknown to this operator")),
        }
    }
}

/// What a schema asks of a value itself.
fn rules(schema: &Map<String, Value>) -> Map<String, Value> {
    let is_either = schema.contains_key("x-kubernetes-int-or-string");
    let is_rule = |key: &str| match key {
        "properties"
        | "items"
        | "additionalProperties"
        | "description"
        | "x-kubernetes-group-version-kind" => false,
        // An API server says the same twice.
        "anyOf" => !is_either,
        _ => true,
    };
    schema
        .iter()
        .filter(|(key, _)| is_rule(key))
        .map(|(key, value)| (key.clone(), canonical(value)))
        .collect()
}

/// Numbers as numbers, sets in an order, nothing where it means nothing.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(list) => {
            let mut list: Vec<_> = list.iter().map(canonical).collect();
            list.sort_by_key(Value::to_string);
            Value::Array(list)
        }
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), canonical(value)))
            .collect(),
        other => other.clone(),
    }
}

fn named(path: &str, what: &str) -> String {
    let path = if path.is_empty() {
        "the resource"
    } else {
        path
    };
    format!("{path} ({what})")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "description": "ours",
            "required": ["spec", "kind"],
            "properties": {
                "metadata": {"type": "object"},
                "spec": {
                    "type": "object",
                    "properties": {
                        "size": {"type": "string", "maxLength": 20},
                        "limit": {"x-kubernetes-int-or-string": true},
                        "sources": {
                            "type": "array",
                            "maxItems": 8.0,
                            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                        },
                    },
                    "x-kubernetes-validations": [{"rule": "self.size != ''", "message": "say a size"}],
                },
            },
        })
    }

    #[test]
    fn what_an_api_server_makes_of_a_schema_is_the_same() {
        let mut served = schema();
        served["description"] = json!("theirs");
        served["required"] = json!(["kind", "spec"]);
        served["x-kubernetes-group-version-kind"] = json!([{"kind": "MeshCoreDeployment"}]);
        served["properties"]["metadata"] = json!({"allOf": [{"$ref": "#/x"}]});
        served["properties"]["apiVersion"] = json!({"type": "string"});
        served["properties"]["spec"]["properties"]["sources"]["maxItems"] = json!(8);
        let either = json!([{"type": "integer"}, {"type": "string"}]);
        served["properties"]["spec"]["properties"]["limit"]["anyOf"] = either;
        assert_eq!(between(&schema(), &served), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_named_by_its_field() {
        let spec = "/properties/spec/properties";
        for (path, value, told) in [
            (
                format!("{spec}/size/maxLength"),
                json!(30),
                "spec.size (changed)",
            ),
            (
                format!("{spec}/sources/items/type"),
                json!("string"),
                "spec.sources[] (changed)",
            ),
            (
                format!("{spec}/sources/items/properties"),
                json!({}),
                "spec.sources[].name (missing)",
            ),
            (
                "/properties/spec/x-kubernetes-validations".to_owned(),
                json!([]),
                "spec (changed)",
            ),
            (
                spec.to_owned(),
                json!({
                    "sources": schema().pointer(&format!("{spec}/sources")).unwrap(),
                    "limit": {"x-kubernetes-int-or-string": true},
                }),
                "spec.size (missing)",
            ),
        ] {
            let mut served = schema();
            *served.pointer_mut(&path).unwrap() = value;
            assert_eq!(between(&schema(), &served), [told], "{path}");
        }
        let mut newer = schema();
        newer["properties"]["spec"]["properties"]["colour"] = json!({"type": "string"});
        let told = between(&schema(), &newer);
        assert_eq!(told, ["spec.colour (unknown to this operator)"]);
    }
}
