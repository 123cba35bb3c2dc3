//! The schema of the resource, as an API server asks it: types, required fields, bounds, and what texts look like.
//! It is made from the types once and kept in a small form; the definition is made from the same.

mod check;
mod generate;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::MeshCoreDeploymentSpec;
use crate::rules::Text;

pub(crate) use check::{Kind, Problem, check};
pub(crate) use generate::generate;

/// What may stand in one place.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Schema {
    #[serde(rename = "type")]
    type_: Option<Type>,
    properties: BTreeMap<String, Schema>,
    required: Vec<String>,
    items: Option<Box<Schema>>,
    additional_properties: Option<Box<Schema>>,
    #[serde(rename = "enum")]
    words: Vec<String>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    max_length: Option<usize>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    max_properties: Option<usize>,
    /// The keys that tell the items of a list apart.
    #[serde(rename = "x-kubernetes-list-map-keys")]
    map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    is_int_or_string: bool,
    #[serde(rename = "x-text", deserialize_with = "text")]
    text: Option<&'static Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'static Text>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let unknown = || serde::de::Error::custom(format_args!("no text is called {name}"));
    Text::named(&name).ok_or_else(unknown).map(Some)
}

/// The schema of the whole object, but for `metadata`.
pub(crate) fn root() -> &'static Schema {
    static ROOT: LazyLock<Schema> = LazyLock::new(|| {
        serde_json::from_value(generate()).expect("the derived schema is one, as a test shows")
    });
    &ROOT
}

/// Everything in a spec that the schema does not allow.
pub(crate) fn check_spec(spec: &MeshCoreDeploymentSpec) -> Vec<Problem> {
    let value = serde_json::to_value(spec).expect("a spec is JSON");
    check_spec_value(&value)
}

/// Everything in the value of `spec` that the schema does not allow.
pub(crate) fn check_spec_value(spec: &Value) -> Vec<Problem> {
    match root().at("spec") {
        Some(schema) => check(schema, spec, "spec"),
        None => Vec::new(),
    }
}

impl Schema {
    /// The schema of a field such as `spec.mqttSources[0].tls`.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split(['.', '[', ']'])
            .filter(|step| !step.is_empty())
            .try_fold(self, |schema, step| {
                let item = schema.items.as_deref();
                schema.properties.get(step).or(item)
            })
    }

    /// The names of the fields that may stand here.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(String::as_str)
    }
}
