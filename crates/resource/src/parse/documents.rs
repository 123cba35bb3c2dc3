//! The documents of a text, and which of them is ours.

use serde::de::DeserializeSeed;
use serde_json::Value;

use super::bounded::{Bounded, Budget};
use super::{ResourceError, Skipped};
use crate::{API_VERSION, KIND};

/// One document that is not empty.
pub(super) struct Document {
    /// Its number, from 1.
    pub(super) number: usize,
    pub(super) value: Value,
}

/// JSON is told by its first character. YAML contains it, but not its tabs, and its messages are worse.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// All documents of a text.
pub(super) fn read(text: &str) -> Result<Vec<Document>, ResourceError> {
    let budget = Budget::new();
    let values = if is_json(text) {
        vec![read_json(text, &budget)?]
    } else {
        let read = serde_yaml::Deserializer::from_str(text)
            .map(|document| Bounded(&budget).deserialize(document));
        read.collect::<Result<_, _>>()
            .map_err(|error| ResourceError::Syntax {
                format: "YAML",
                message: error.to_string(),
            })?
    };
    let numbered = values.into_iter().enumerate();
    Ok(numbered
        .map(|(index, value)| Document {
            number: index + 1,
            value,
        })
        .filter(|document| !document.value.is_null())
        .collect())
}

fn read_json(text: &str, budget: &Budget) -> Result<Value, ResourceError> {
    let mut json = serde_json::Deserializer::from_str(text);
    Bounded(budget)
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| ResourceError::Syntax {
            format: "JSON",
            message: error.to_string(),
        })
}

impl Document {
    /// Whether it is the resource; what says that it should be one and is not, is an error.
    pub(super) fn is_ours(&self) -> Result<bool, ResourceError> {
        let missing = |missing: &str| ResourceError::NoObject {
            number: self.number,
            missing: missing.to_owned(),
        };
        let Value::Object(object) = &self.value else {
            return Err(missing("keys and values"));
        };
        let text = |key| object.get(key).and_then(Value::as_str);
        let kind = text("kind").ok_or_else(|| missing("kind"))?;
        let version = text("apiVersion").ok_or_else(|| missing("apiVersion"))?;
        let is_our_group = version.split('/').next() == API_VERSION.split('/').next();
        match (kind == KIND, version == API_VERSION) {
            (true, true) => Ok(true),
            (true, false) => Err(ResourceError::ApiVersion {
                found: version.to_owned(),
            }),
            (false, _) if is_our_group || kind.eq_ignore_ascii_case(KIND) => {
                Err(ResourceError::Kind {
                    found: kind.to_owned(),
                })
            }
            (false, _) => Ok(false),
        }
    }

    pub(super) fn name(&self) -> String {
        let name = self.value.pointer("/metadata/name").and_then(Value::as_str);
        name.unwrap_or("without a name").to_owned()
    }

    pub(super) fn skipped(&self) -> Skipped {
        let kind = self.value.get("kind").and_then(Value::as_str);
        Skipped {
            kind: kind.unwrap_or_default().to_owned(),
            name: self.name(),
        }
    }
}
