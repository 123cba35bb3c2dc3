//! A JSON document that borrows its texts from the payload: nearly all of them stand there as they are.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// How many fields room is made for at first: what a packet record has. Only for the document itself, as memory
/// must stay in proportion to the payload, and a payload can have thousands of objects.
const FIELDS: usize = 24;

/// A JSON value.
#[derive(Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// A JSON object. It is searched from its end: feeders write twenty fields, for which nothing is faster, and the
/// last of several fields of one name counts.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Value<'a> {
    /// Reads a whole text. `serde_json` stops at 128 levels of nesting, so depth cannot exhaust the stack.
    pub(crate) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Seed { fields: FIELDS }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl<'a> Object<'a> {
    /// The value of the last field of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let field = self.0.iter().rev().find(|(known, _)| known == name);
        field.map(|(_, value)| value)
    }
}

/// Makes a [`Value`] with room for some fields, should it be an object.
struct Seed {
    fields: usize,
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(Seed { fields: 0 })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut fields = Vec::with_capacity(self.fields);
        while let Some(name) = entries.next_key_seed(Name)? {
            fields.push((name, entries.next_value_seed(Seed { fields: 0 })?));
        }
        Ok(Value::Object(Object(fields)))
    }
}

/// Makes the name of a field.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
impl From<&serde_json::Value> for Value<'static> {
    fn from(value: &serde_json::Value) -> Self {
        let text: &'static str = value.to_string().leak();
        Self::parse(text).expect("serde_json writes JSON")
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use serde_json::json;

    use super::{Object, Value};

    /// The same value as `serde_json` has it.
    fn to_json(value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::Null => json!(null),
            Value::Bool(value) => json!(value),
            Value::Number(value) => json!(value),
            Value::String(value) => json!(value),
            Value::Array(values) => values.iter().map(to_json).collect(),
            Value::Object(Object(fields)) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, value)| (name.to_string(), to_json(value)));
                serde_json::Value::Object(fields.collect())
            }
        }
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let value = Value::parse(r#"{"name":"Hill","escaped\u0021":"a\tb"}"#).unwrap();
        let object = value.as_object().unwrap();
        let is_borrowed = |value| matches!(value, Some(&Value::String(Cow::Borrowed(_))));
        assert!(is_borrowed(object.get("name")));
        let escaped = object.get("escaped!").unwrap();
        assert_eq!(escaped.as_str(), Some("a\tb"));
    }

    #[test]
    fn the_last_of_several_fields_of_one_name_counts() {
        let value = Value::parse(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        let a = value.as_object().unwrap().get("a");
        assert_eq!(a, Some(&Value::Number(3.into())));
    }

    #[test]
    fn deep_nesting_and_trailing_text_are_refused() {
        assert!(Value::parse(&"[".repeat(60_000)).is_err());
        assert!(Value::parse("{} {}").is_err());
        assert!(Value::parse("{} ").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_serde_json_reads_it(
            text in r#"([\[\]{},: ]|"[a-c\\nu0]{0,3}"|"a":|-?[0-9]{1,3}(\.[0-9])?(e[0-9]{1,3})?|null|true){0,12}"#
        ) {
            let ours = Value::parse(&text).map(|value| to_json(&value));
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
