//! Keys of a file: where they stand, which there are, and which one was meant.

use serde::de::value::Error as NoValue;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// The path of a key as people write it: `mqttSources[1].brokr`.
pub fn key_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path as P;
    match path {
        P::Root => String::new(),
        P::Seq { parent, index } => format!("{}[{index}]", key_path(parent)),
        P::Map { parent, key } => match key_path(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        P::Some { parent } | P::NewtypeStruct { parent } | P::NewtypeVariant { parent } => {
            key_path(parent)
        }
    }
}

/// The known key that is nearest, if it is near enough to be what was meant.
pub fn nearest<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |key: &str| key.replace(['_', '-'], "").to_lowercase();
    let wanted = plain(key);
    let limit = 1 + key.len() / 5;
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&wanted, &plain(known)), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The names that a struct's derived `Deserialize` accepts, straight from the derive.
pub fn field_names<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The listener always fails, after it has heard the names.
    let heard = T::deserialize(Listener(&mut names));
    debug_assert!(heard.is_err(), "the listener yields no value");
    names
}

/// A deserializer that only listens to the field names it is asked for.
struct Listener<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = NoValue;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, NoValue> {
        *self.0 = fields;
        Err(NoValue::custom("listened"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NoValue> {
        Err(NoValue::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{field_names, nearest};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Source {
        #[serde(rename = "observerIATAWhitelist", default)]
        _whitelist: String,
        #[serde(default)]
        _keep_alive_seconds: u64,
    }

    #[test]
    fn field_names_come_from_the_structs() {
        let names = field_names::<Source>();
        assert_eq!(names, ["observerIATAWhitelist", "keepAliveSeconds"]);
        assert!(field_names::<String>().is_empty());
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["broker", "topics", "iataFilter"];
        assert_eq!(nearest("brokr", known), Some("broker"));
        assert_eq!(nearest("iata_filter", known), Some("iataFilter"));
        assert_eq!(nearest("colour", known), None);
    }
}
