//! JSON that the file keeps as text goes into answers as it is, if it is what its column promises. What
//! other programs wrote into an adopted file need not be.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

/// The text, if it is a JSON array.
pub(crate) fn array(text: Option<&str>) -> Option<&RawValue> {
    beginning_with('[', text)
}

/// The text, if it is a JSON object.
pub(crate) fn object(text: Option<&str>) -> Option<&RawValue> {
    beginning_with('{', text)
}

fn beginning_with(first: char, text: Option<&str>) -> Option<&RawValue> {
    let value: &RawValue = serde_json::from_str(text?).ok()?;
    value.get().starts_with(first).then_some(value)
}

/// A stored object, or one without fields: clients read its fields without looking whether it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObjectOrEmpty<'a>(Option<&'a RawValue>);

impl<'a> ObjectOrEmpty<'a> {
    pub(crate) fn new(text: Option<&'a str>) -> Self {
        Self(object(text))
    }
}

impl Serialize for ObjectOrEmpty<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(object) => object.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

/// A stored array, or one without elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArrayOrEmpty<'a>(Option<&'a RawValue>);

impl<'a> ArrayOrEmpty<'a> {
    pub(crate) fn new(text: Option<&'a str>) -> Self {
        Self(array(text))
    }
}

impl Serialize for ArrayOrEmpty<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(array) => array.serialize(serializer),
            None => serializer.serialize_seq(Some(0))?.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_column_promises_goes_into_an_answer() {
        let shown = |text| {
            (
                serde_json::to_string(&ObjectOrEmpty::new(text)).unwrap(),
                serde_json::to_string(&ArrayOrEmpty::new(text)).unwrap(),
            )
        };
        let nothing = ("{}".to_owned(), "[]".to_owned());
        for text in ["", "{", "[1", "7", "null", "{} {}", "\u{fffd}"] {
            assert_eq!(shown(Some(text)), nothing, "{text}");
        }
        assert_eq!(shown(None), nothing);
        assert_eq!(shown(Some(r#" {"a":"é"} "#)).0, r#"{"a":"é"}"#);
        assert_eq!(shown(Some(r#"["AA",null]"#)).1, r#"["AA",null]"#);
        // As deep as anybody likes: nothing is recursive here.
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(shown(Some(&deep)).1.len(), 400_000);
    }
}
