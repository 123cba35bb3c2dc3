//! The definition: its file, its size, its bounds, and what an API server would not keep.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use meshcore_resource::{crd, crd_yaml};
use meshcore_testkit::generated_file;
use serde_json::Value;

fn schema() -> Value {
    let definition: Value = serde_yaml::from_str(&crd_yaml()).expect("YAML");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// All schemas within one, each with its path.
fn all(path: &str, schema: &Value) -> Vec<(String, Value)> {
    let mut found = vec![(path.to_owned(), schema.clone())];
    for (key, step) in [("items", "[]"), ("additionalProperties", "[*]")] {
        if let Some(schema) = schema.get(key) {
            found.extend(all(&format!("{path}{step}"), schema));
        }
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        found.extend(all(&format!("{path}.{key}"), schema));
    }
    found
}

#[test]
fn the_definition_stands_in_its_file() {
    generated_file("crds/meshcoredeployments.meshcore.dev.yaml", &crd_yaml());
}

#[test]
fn the_file_is_the_definition() {
    let read: CustomResourceDefinition = serde_yaml::from_str(&crd_yaml()).expect("YAML");
    assert_eq!(read, crd());
}

#[test]
fn the_definition_is_small_enough_for_every_client() {
    // A client-side `kubectl apply` keeps a copy in an annotation, of which there may be 256 KiB.
    let size = crd_yaml().len();
    assert!(size < 200_000, "{size} bytes");
}

#[test]
fn everything_has_a_bound() {
    let unbounded = all("", &schema()).into_iter().filter(|(_, schema)| {
        let has = |key: &str| schema.get(key).is_some();
        match schema["type"].as_str() {
            Some("string") => !has("maxLength") && !has("enum") && !has("format"),
            Some("array") => !has("maxItems"),
            Some("object") => has("additionalProperties") && !has("maxProperties"),
            Some("integer" | "boolean") => false,
            Some(other) => panic!("a {other}"),
            None => !(schema["x-kubernetes-int-or-string"] == true && has("maxLength")),
        }
    });
    let unbounded: Vec<_> = unbounded.map(|(path, _)| path).collect();
    assert_eq!(unbounded, Vec::<String>::new());
}

#[test]
fn an_api_server_keeps_the_schema_as_it_is() {
    for (path, schema) in all("", &schema()) {
        let Value::Object(keys) = &schema else {
            panic!("{path}: {schema}");
        };
        for key in keys.keys() {
            // Not structural, dropped, or without a meaning.
            let is_good = !matches!(
                key.as_str(),
                "nullable"
                    | "title"
                    | "$ref"
                    | "anyOf"
                    | "oneOf"
                    | "allOf"
                    | "not"
                    | "const"
                    | "x-text"
            );
            assert!(is_good, "{path} has {key}");
        }
        let format = schema["format"].as_str();
        assert!(
            matches!(format, None | Some("date-time")),
            "{path}: {format:?}"
        );
        let is_nested_default = path.contains("[]") && schema.get("default").is_some();
        assert!(!is_nested_default, "{path} has a default inside a list");
        for key in ["required", "enum", "x-kubernetes-validations"] {
            assert_ne!(
                schema.get(key),
                Some(&Value::Array(Vec::new())),
                "{path} {key}"
            );
        }
    }
    let yaml = crd_yaml();
    let fractions = yaml.lines().filter(|line| line.ends_with(".0"));
    assert_eq!(fractions.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn what_is_not_said_of_the_retention_has_no_default() {
    let retention = &schema()["properties"]["spec"]["properties"]["retention"]["properties"];
    for key in ["packetDays", "nodeDays", "observerDays", "metricsDays"] {
        assert!(
            retention[key].is_object() && retention[key].get("default").is_none(),
            "{key}"
        );
    }
}

#[test]
fn every_rule_says_what_to_do() {
    let mut count = 0;
    for (path, schema) in all("", &schema()) {
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let message = rule["message"]
                .as_str()
                .or(rule["messageExpression"].as_str());
            assert!(
                message.is_some_and(|message| message.len() > 20),
                "{path}: {rule}"
            );
            count += 1;
        }
    }
    assert!(count > 80, "{count} rules");
}
