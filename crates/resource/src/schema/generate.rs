//! From types to a schema that an API server keeps as it is.

use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use serde_json::{Map, Value, json};

use crate::MeshCoreDeployment;

/// Fields that have Kubernetes' own types. Their schemas are whole, so that a typing error is refused; the
/// descriptions inside them, which every pod has too, would make the definition larger than a client-side
/// `kubectl apply` can keep.
const EMBEDDED: [&str; 12] = [
    "spec.ingestor.resources",
    "spec.ingestor.env.valueFrom",
    "spec.server.resources",
    "spec.server.env.valueFrom",
    "spec.networkPolicy.ingressFrom",
    "spec.networkPolicy.extraEgress",
    "spec.pod.affinity",
    "spec.pod.tolerations",
    "spec.pod.topologySpreadConstraints",
    "spec.pod.securityContext",
    "spec.pod.volumes",
    "spec.pod.volumeMounts",
];

/// Parts of them that a pod's template can't have: claims of devices are declared elsewhere in a pod, and a claim
/// template takes nothing but labels and annotations.
const WITHOUT: [&str; 2] = [
    "spec.ingestor.resources.claims",
    "spec.server.resources.claims",
];
const CLAIM_TEMPLATE: &str = "spec.pod.volumes.ephemeral.volumeClaimTemplate";

/// What bounds texts, lists and maps of embedded types that have no bound of their own.
const MAX_TEXT: u64 = 4096;
const MAX_COUNT: u64 = 64;
/// The longest quantity, here as for the size of the storage.
const MAX_QUANTITY: u64 = 20;

/// The whole schema: the one of the definition, with the key [`crate::rules::KEY`] on top.
pub(crate) fn generate() -> Value {
    // As the derive of `CustomResource` does it.
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    let mut schema = generator
        .into_root_schema_for::<MeshCoreDeployment>()
        .to_value();
    // The rest of it is Kubernetes' own; without this, no rule could name the field.
    schema["properties"]["metadata"] = json!({
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 40}},
    });
    for path in WITHOUT {
        remove(&mut schema, path);
    }
    let template = field(&mut schema, CLAIM_TEMPLATE);
    template["properties"]["metadata"] = json!({
        "type": "object",
        "properties": {"annotations": texts(), "labels": texts()},
    });
    for path in EMBEDDED {
        let field = field(&mut schema, path);
        let description = field["description"].take();
        without_descriptions(field);
        field["description"] = description;
    }
    tidy(&mut schema);
    schema
}

fn texts() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

/// The schema of a field, through lists.
fn field<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    let found = path.split('.').try_fold(schema, |schema, key| {
        let is_list = schema.get("items").is_some();
        let schema = if is_list {
            schema.get_mut("items")?
        } else {
            schema
        };
        schema.get_mut("properties")?.get_mut(key)
    });
    found.unwrap_or_else(|| panic!("{path} is a field, as a test shows"))
}

fn remove(schema: &mut Value, path: &str) {
    let (parent, key) = path.rsplit_once('.').expect("a path below the spec");
    let parent = field(schema, parent);
    let properties = parent["properties"].as_object_mut();
    properties.expect("an object has properties").remove(key);
}

fn without_descriptions(schema: &mut Value) {
    if let Value::Object(keys) = schema {
        keys.remove("description");
    }
    children(schema).for_each(without_descriptions);
}

/// The schemas right below one.
fn children(schema: &mut Value) -> impl Iterator<Item = &mut Value> {
    let keys = schema.as_object_mut().into_iter().flatten();
    keys.flat_map(|(key, value)| match key.as_str() {
        "items" | "additionalProperties" => vec![value],
        "properties" => value
            .as_object_mut()
            .map_or_else(Vec::new, |properties| properties.values_mut().collect()),
        _ => Vec::new(),
    })
}

/// Leaves out what an API server would not keep, what has no meaning, and what would grow the file; bounds what has
/// no bound.
fn tidy(schema: &mut Value) {
    if let Value::Object(keys) = schema {
        // A field that is null is one that is not there.
        keys.remove("nullable");
        keys.remove("title");
        if keys.get("default").is_some_and(is_empty) {
            keys.remove("default");
        }
        bound(keys);
    }
    children(schema).for_each(tidy);
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn bound(keys: &mut Map<String, Value>) {
    let has = |key: &str| keys.contains_key(key);
    let (key, most) = match keys.get("type").and_then(Value::as_str) {
        _ if has("x-kubernetes-int-or-string") => ("maxLength", MAX_QUANTITY),
        Some("string") if !has("enum") && !has("format") => ("maxLength", MAX_TEXT),
        Some("array") => ("maxItems", MAX_COUNT),
        Some("object") if has("additionalProperties") => ("maxProperties", MAX_COUNT),
        Some("integer") => return whole(keys),
        _ => return,
    };
    keys.entry(key).or_insert_with(|| most.into());
}

/// Formats of integers say little, and an API server knows only some of them; bounds say the same.
fn whole(keys: &mut Map<String, Value>) {
    let format = keys.remove("format");
    if format.is_some_and(|format| format == "int32") {
        keys.entry("minimum").or_insert_with(|| i32::MIN.into());
        keys.entry("maximum").or_insert_with(|| i32::MAX.into());
    }
}
