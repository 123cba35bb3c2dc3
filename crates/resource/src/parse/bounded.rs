//! Any value, but no more than a resource can have: aliases of YAML can make a small text a huge value.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The most values, keys included, that one text may unfold to. A large resource has a thousand.
pub(super) const MAX_VALUES: usize = 50_000;
/// The most bytes of texts that one text may unfold to: what may stand in it without any alias.
const MAX_TEXT: usize = super::MAX_BYTES;

/// What may still come.
pub(super) struct Budget {
    values: Cell<usize>,
    text: Cell<usize>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            values: Cell::new(MAX_VALUES),
            text: Cell::new(MAX_TEXT),
        }
    }

    fn take<E: Error>(&self, text: usize) -> Result<(), E> {
        let left = self.values.get().checked_sub(1);
        let text = self.text.get().checked_sub(text);
        let (Some(left), Some(text)) = (left, text) else {
            return Err(E::custom(
                "there are too many values in it; is an alias used again and again?",
            ));
        };
        self.values.set(left);
        self.text.set(text);
        Ok(())
    }
}

/// Reads one value within a budget.
#[derive(Clone, Copy)]
pub(super) struct Bounded<'a>(pub(super) &'a Budget);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.0.take(0).map(|()| value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.0.take(0).map(|()| value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.0.take(0).map(|()| value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.0.take(0)?;
        // To an API server 5.0 is a whole number too.
        #[expect(clippy::cast_possible_truncation, reason = "it was looked at")]
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return Ok(Value::from(value as i64));
        }
        let number = Number::from_f64(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.0.take(value.len())?;
        Ok(value.into())
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.0.take(0).map(|()| Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.0.take(0)?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.0.take(0)?;
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.0.take(key.len())?;
            if values.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key {key:?} stands there twice"
                )));
            }
            let value = map.next_value_seed(self)?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}
