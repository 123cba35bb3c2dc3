//! What of a desired object is not so in the live one.
//!
//! Only what we ask for is looked at. What the live object has beside it is the API server's default or somebody
//! else's, and stays.

use serde_json::{Map, Value};

use super::lists;
use crate::kind::Kind;
use meshcore_resource::Amount;

/// Maps that the API server drops when they are empty, as it does with lists and texts. Other empty objects mean
/// something: `emptyDir: {}` is a volume.
const MAPS: [&str; 11] = [
    "annotations",
    "binaryData",
    "data",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "options",
    "requests",
    "selector",
    "volumeAttributes",
];

/// Flags and numbers of volumes and mounts that the API server drops when they are false or 0. Others are kept:
/// `allowPrivilegeEscalation: false` is not the default.
const FLAGS: [&str; 5] = [
    "chapAuthDiscovery",
    "chapAuthSession",
    "partition",
    "readOnly",
    "sslEnabled",
];

/// The paths of all desired values that the live object does not have, in the order of the fields.
pub fn differences(kind: Kind, desired: &Value, live: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        kind,
        names: Vec::new(),
        place: String::new(),
        found: Vec::new(),
    };
    comparison.value(desired, Some(live));
    comparison.found
}

struct Comparison<'a> {
    kind: Kind,
    /// The fields on the way here, without the places in lists.
    names: Vec<&'a str>,
    /// The way here as people read it: `spec.template.spec.containers[server].image`.
    place: String,
    found: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn value(&mut self, desired: &'a Value, live: Option<&'a Value>) {
        match (desired, live) {
            (Value::Object(desired), Some(Value::Object(live))) => self.fields(desired, live),
            (Value::Array(desired), Some(Value::Array(live))) => self.list(desired, live),
            (desired, Some(live)) if self.is_same_scalar(desired, live) => {}
            (desired, None | Some(Value::Null)) if self.is_dropped_when_empty(desired) => {}
            _ => self.found.push(self.place.clone()),
        }
    }

    fn fields(&mut self, desired: &'a Map<String, Value>, live: &'a Map<String, Value>) {
        for (name, value) in desired {
            // What an object is can't differ, and is not kept of the live one.
            if self.names.is_empty() && matches!(name.as_str(), "apiVersion" | "kind") {
                continue;
            }
            let length = self.enter(name);
            self.value(value, live.get(name));
            self.leave(length);
        }
    }

    fn list(&mut self, desired: &'a [Value], live: &'a [Value]) {
        match lists::keys(self.kind, &self.names) {
            Some(keys) => self.keyed(desired, live, keys),
            None if desired.len() == live.len() => {
                for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
                    self.item(&index.to_string(), desired, Some(live));
                }
            }
            None => self.found.push(self.place.clone()),
        }
    }

    fn keyed(&mut self, desired: &'a [Value], live: &'a [Value], keys: &[&str]) {
        for item in desired {
            let same = |other: &&Value| {
                keys.iter()
                    .all(|key| key_of(item, key) == key_of(other, key))
            };
            let name = key_of(item, keys[0]);
            self.item(&name, item, live.iter().find(same));
        }
    }

    fn item(&mut self, name: &str, desired: &'a Value, live: Option<&'a Value>) {
        let length = self.place.len();
        self.place.push('[');
        self.place.push_str(name);
        self.place.push(']');
        self.value(desired, live);
        self.place.truncate(length);
    }

    fn enter(&mut self, name: &'a str) -> usize {
        let length = self.place.len();
        if length > 0 {
            self.place.push('.');
        }
        self.place.push_str(name);
        self.names.push(name);
        length
    }

    fn leave(&mut self, length: usize) {
        self.place.truncate(length);
        self.names.pop();
    }

    fn is_same_scalar(&self, desired: &Value, live: &Value) -> bool {
        match (desired, live) {
            // An int-or-string has either form.
            (Value::Number(number), Value::String(text))
            | (Value::String(text), Value::Number(number)) => number.to_string() == *text,
            (Value::String(desired), Value::String(live)) => {
                desired == live || self.is_quantity() && is_same_amount(desired, live)
            }
            (Value::Object(_) | Value::Array(_), _) => false,
            (desired, live) => desired == live,
        }
    }

    fn is_quantity(&self) -> bool {
        match self.names.as_slice() {
            [.., "requests" | "limits" | "capacity", _] => true,
            [.., last] => *last == "sizeLimit" || *last == "divisor",
            [] => false,
        }
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        self.names.last().is_some_and(|name| names.contains(name))
    }

    fn is_dropped_when_empty(&self, desired: &Value) -> bool {
        match desired {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty() && self.is_one_of(&MAPS),
            Value::Bool(is_set) => !is_set && self.is_one_of(&FLAGS),
            Value::Number(number) => number.as_i64() == Some(0) && self.is_one_of(&FLAGS),
        }
    }
}

/// The value of an item's key as text. A missing protocol is TCP, the one key that has a default.
fn key_of(item: &Value, key: &str) -> String {
    match item.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None if key == "protocol" => "TCP".to_owned(),
        None => String::new(),
    }
}

fn is_same_amount(desired: &str, live: &str) -> bool {
    let desired = Amount::parse(desired);
    desired.is_some() && desired == Amount::parse(live)
}

#[cfg(test)]
mod tests;
