//! The reference of all fields, made from the definition.

use std::fmt::Write as _;

use meshcore_resource::crd_yaml;
use meshcore_testkit::generated_file;
use serde_json::Value;

const HEADER: &str = "\
<!-- Made from crates/resource: make generate -->

# MeshCoreDeployment

Every field of `meshcore.dev/v1alpha1`. `kubectl explain mcd.spec` tells the same, and `meshcore validate FILE` checks
a file without a cluster. [Samples](../manifests/samples) show what a resource looks like.

`[]` stands for each item of a list. Fields in bold must be there, if what they are in is there. What is Kubernetes' own
has its fields: see `kubectl explain`. What a list item leaves out has no default in the definition; the text says what
holds then.
";

#[test]
fn the_reference_has_every_field() {
    let definition: Value = serde_yaml::from_str(&crd_yaml()).expect("YAML");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut text = HEADER.to_owned();
    for part in ["spec", "status"] {
        let title = if part == "spec" { "Fields" } else { "Status" };
        write!(
            text,
            "\n## {title}\n\n| Field | Meaning | Value |\n|---|---|---|\n"
        )
        .expect("a text");
        fields(&mut text, part, &schema[part]);
    }
    text.push_str(
        "\n## What is refused\n\nBeside values of a wrong type, out of range or too long.\n\n",
    );
    text.push_str("| Where | Sentence |\n|---|---|\n");
    let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut sentences = Vec::new();
    rules(&mut sentences, "", root);
    for (path, sentence) in sentences {
        writeln!(text, "| `{path}` | {} |", cell(&sentence)).expect("a text");
    }
    generated_file("docs/resource.md", &text);
}

/// The rows of what is below a field.
fn fields(text: &mut String, path: &str, schema: &Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = required.iter().any(|required| required == key);
        let path = format!("{path}.{key}");
        let name = if is_required {
            format!("**`{path}`**")
        } else {
            format!("`{path}`")
        };
        let meaning = schema["description"].as_str().unwrap_or_default();
        writeln!(text, "| {name} | {} | {} |", cell(meaning), value(schema)).expect("a text");
        if is_ours(schema) {
            let (path, schema) = match schema.get("items") {
                Some(items) => (format!("{path}[]"), items),
                None => (path, schema),
            };
            fields(text, &path, schema);
        }
    }
}

/// Fields of Kubernetes' own types have no descriptions in the definition.
fn is_ours(schema: &Value) -> bool {
    let object = schema.get("items").unwrap_or(schema);
    let fields = object["properties"].as_object();
    fields.is_some_and(|fields| {
        fields
            .values()
            .any(|field| field.get("description").is_some())
    })
}

/// What may stand in a field.
fn value(schema: &Value) -> String {
    let mut parts = vec![type_of(schema)];
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        parts = vec![format!("`{}`", words.join("`, `"))];
    }
    if let (Some(low), Some(high)) = (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
        parts.push(format!("{low} to {high}"));
    }
    for (key, unit) in [
        ("maxLength", "characters"),
        ("maxItems", "items"),
        ("maxProperties", "keys"),
    ] {
        if let Some(max) = schema[key].as_u64() {
            parts.push(format!("at most {max} {unit}"));
        }
    }
    if let Some(default) = schema.get("default") {
        parts.push(format!(
            "default `{}`",
            default.to_string().trim_matches('"')
        ));
    }
    parts.join("; ")
}

fn type_of(schema: &Value) -> String {
    let is_own = schema.get("properties").is_some() && !is_ours(schema);
    match schema["type"].as_str().unwrap_or_default() {
        "object" if schema.get("additionalProperties").is_some() => "texts by key".to_owned(),
        "object" if is_own => "Kubernetes' own".to_owned(),
        "object" => "fields".to_owned(),
        "array" => {
            let items = &schema["items"];
            let is_own = items.get("properties").is_some() && !is_ours(items);
            match items["type"].as_str() {
                _ if is_own => "list of Kubernetes' own".to_owned(),
                Some("string") => "list of texts".to_owned(),
                _ => "list".to_owned(),
            }
        }
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        other => other.to_owned(),
    }
}

/// All rules with their sentences, each with the field that it is about.
fn rules(found: &mut Vec<(String, String)>, path: &str, schema: &Value) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let field = rule["fieldPath"].as_str().unwrap_or_default();
        let path = format!("{path}{field}").trim_start_matches('.').to_owned();
        let sentence = rule["message"]
            .as_str()
            .unwrap_or("cannot shrink; write … or more");
        found.push((path, sentence.to_owned()));
    }
    for (key, step) in [("items", "[]"), ("additionalProperties", "[…]")] {
        if let Some(schema) = schema.get(key) {
            rules(found, &format!("{path}{step}"), schema);
        }
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        rules(found, &format!("{path}.{key}"), schema);
    }
}

/// A text as it may stand in a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
