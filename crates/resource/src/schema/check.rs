//! A value against the schema: everything that is wrong with it.

use serde_json::{Map, Value};

use super::{Schema, Type};
use crate::rules::Text;

/// Something that the schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) kind: Kind,
}

/// What a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A field that there is not.
    Unknown,
    /// The value is none of its type, or a field is missing.
    Shape,
    /// The value is of its type, but too large, too long, or does not look as it must.
    Value,
}

/// Everything in a value that the schema does not allow, in the order of the fields.
pub(crate) fn check(schema: &Schema, value: &Value, path: &str) -> Vec<Problem> {
    let mut walk = Walk {
        problems: Vec::new(),
    };
    walk.value(schema, value, path);
    walk.problems
}

struct Walk {
    problems: Vec<Problem>,
}

impl Walk {
    fn problem(&mut self, kind: Kind, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            path: path.into(),
            message: message.into(),
            kind,
        });
    }

    fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.problem(Kind::Value, path, message);
    }

    fn value(&mut self, schema: &Schema, value: &Value, path: &str) {
        if schema.is_int_or_string {
            return self.int_or_string(schema, value, path);
        }
        match (schema.type_, value) {
            (Some(Type::Object), Value::Object(object)) => self.object(schema, object, path),
            (Some(Type::Array), Value::Array(list)) => self.list(schema, list, path),
            (Some(Type::String), Value::String(text)) => self.text(schema, text, path),
            (Some(Type::Integer), Value::Number(number)) if !number.is_f64() => {
                self.integer(schema, number.as_i64(), path);
            }
            (Some(Type::Number), Value::Number(_))
            | (Some(Type::Boolean), Value::Bool(_))
            | (None, _) => {}
            (Some(expected), found) => {
                let (found, expected) = (found_words(found), expected_words(expected));
                let message = format!("wrong type: {found}, expected {expected}");
                self.problem(Kind::Shape, path, message);
            }
        }
    }

    fn int_or_string(&mut self, schema: &Schema, value: &Value, path: &str) {
        match value {
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) if !number.is_f64() => {}
            other => {
                let found = found_words(other);
                let message = format!("wrong type: {found}, expected a text or a whole number");
                self.problem(Kind::Shape, path, message);
            }
        }
    }

    fn object(&mut self, schema: &Schema, object: &Map<String, Value>, path: &str) {
        for key in &schema.required {
            if !object.contains_key(key) {
                self.problem(Kind::Shape, below(path, key), "is missing");
            }
        }
        if let Some(max) = schema.max_properties.filter(|max| object.len() > *max) {
            self.wrong(path, too_many(object.len(), max));
        }
        for (key, value) in object {
            match (schema.properties.get(key), &schema.additional_properties) {
                (Some(schema), _) => self.value(schema, value, &below(path, key)),
                (None, Some(schema)) => self.value(schema, value, &format!("{path}[{key}]")),
                (None, None) => self.problem(Kind::Unknown, below(path, key), "unknown field"),
            }
        }
    }

    fn list(&mut self, schema: &Schema, list: &[Value], path: &str) {
        let count = list.len();
        if let Some(min) = schema.min_items.filter(|min| count < *min) {
            self.wrong(path, format!("is empty; put in at least {min}"));
        }
        if let Some(max) = schema.max_items.filter(|max| count > *max) {
            self.wrong(path, too_many(count, max));
        }
        for (at, item) in list.iter().enumerate() {
            let path = format!("{path}[{at}]");
            if let Some(items) = &schema.items {
                self.value(items, item, &path);
            }
            self.twin(schema, list, at, &path);
        }
    }

    /// Whether an earlier item has the same keys.
    fn twin(&mut self, schema: &Schema, list: &[Value], at: usize, path: &str) {
        let keys = &schema.map_keys;
        let of =
            |item: &Value| -> Vec<_> { keys.iter().map(|key| item.get(key).cloned()).collect() };
        let mine = list.get(at).map(of);
        let is_twin = list.iter().take(at).any(|other| Some(of(other)) == mine);
        if !keys.is_empty() && is_twin {
            let keys = keys.join(" and ");
            self.wrong(
                path,
                format!("has the same {keys} as another one; give each its own"),
            );
        }
    }

    fn text(&mut self, schema: &Schema, text: &str, path: &str) {
        if !schema.words.is_empty() && !schema.words.iter().any(|word| word == text) {
            let words: Vec<_> = schema
                .words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect();
            let message = format!(
                "unknown variant `{text}`, expected one of {}",
                words.join(", ")
            );
            self.problem(Kind::Shape, path, message);
        }
        if let Some(max) = schema.max_length.filter(|max| text.chars().count() > *max) {
            self.wrong(path, format!("is longer than {max} characters"));
        }
        for complaint in schema
            .text
            .into_iter()
            .flat_map(|kind: &Text| kind.complaints(text))
        {
            self.wrong(path, complaint);
        }
    }

    fn integer(&mut self, schema: &Schema, number: Option<i64>, path: &str) {
        let (low, high) = (
            schema.minimum.unwrap_or(i64::MIN),
            schema.maximum.unwrap_or(i64::MAX),
        );
        if number.is_some_and(|number| (low..=high).contains(&number)) {
            return;
        }
        let number = number.map_or_else(|| "the number".to_owned(), |number| number.to_string());
        self.wrong(
            path,
            format!("{number} is out of range; use {low} to {high}"),
        );
    }
}

fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

fn too_many(count: usize, max: usize) -> String {
    format!("has {count} entries; at most {max} are taken")
}

/// What stands there; never the text itself, which may be a password.
fn found_words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("boolean `{value}`"),
        Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
        Value::Number(number) => format!("integer `{number}`"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "keys and values".to_owned(),
    }
}

fn expected_words(type_: Type) -> &'static str {
    match type_ {
        Type::Object => "keys and values",
        Type::Array => "a list",
        Type::String => "a text (in quotes)",
        Type::Integer => "a whole number without quotes",
        Type::Number => "a number without quotes",
        Type::Boolean => "true or false without quotes",
    }
}
