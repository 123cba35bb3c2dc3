//! The line of a field. Values do not know where they stood, so the text is read once more up to the field,
//! where reading stops with an error: that one has a line.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::documents::is_json;

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// The line of `path` in a document (counted from 0), or that of the deepest part of it that is there.
pub(super) fn line(text: &str, document: usize, path: &str) -> Option<usize> {
    let steps = steps(path);
    (1..=steps.len())
        .rev()
        .find_map(|length| exact(text, document, steps.get(..length)?))
}

fn exact(text: &str, document: usize, steps: &[Step<'_>]) -> Option<usize> {
    if is_json(text) {
        let error = Walk(steps)
            .deserialize(&mut serde_json::Deserializer::from_str(text))
            .err()?;
        return Some(error.line()).filter(|_| error.to_string().contains(HERE));
    }
    let document = serde_yaml::Deserializer::from_str(text).nth(document)?;
    let error = Walk(steps).deserialize(document).err()?;
    let is_found = error.to_string().contains(HERE);
    error.location().filter(|_| is_found).map(|at| at.line())
}

/// `spec.pod.labels[example.org/a]` and `spec.mqttSources[0].name` in steps.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (key, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        let index = rest.starts_with('[').then(|| key.parse().ok()).flatten();
        steps.push(index.map_or(Step::Key(key), Step::Index));
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps
}

/// The error that marks the place.
const HERE: &str = "\u{2}here\u{3}";

/// Goes down a path, and fails at its end.
#[derive(Clone, Copy)]
struct Walk<'a>(&'a [Step<'a>]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { HERE } else { "a parent" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let [Step::Key(wanted), rest @ ..] = self.0 else {
            return Err(A::Error::custom(HERE));
        };
        while let Some(is_wanted) = map.next_key_seed(Key {
            wanted,
            is_last: rest.is_empty(),
        })? {
            if is_wanted {
                map.next_value_seed(Walk(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let [Step::Index(wanted), rest @ ..] = self.0 else {
            return Err(A::Error::custom(HERE));
        };
        for _ in 0..*wanted {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        list.next_element_seed(Walk(rest))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Reads a key: is it the wanted one? The last one of a path fails at once, where the key stands.
struct Key<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.is_last => Err(E::custom(HERE)),
            is_wanted => Ok(is_wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn fields_are_found_in_yaml_and_json() {
        let yaml = "# a comment\na: 1\n---\nb:\n  - c: 1\n    d: [x,\n        y]\n  - c: 2\n";
        for (document, path, expected) in [
            (0, "a", Some(2)),
            (1, "b", Some(4)),
            (1, "b[0].d", Some(6)),
            (1, "b[0].d[1]", Some(7)),
            (1, "b[1].c", Some(8)),
            (1, "b[1].missing", Some(8)),
            (0, "[a]", Some(2)),
            (0, "missing", None),
            (2, "a", None),
        ] {
            assert_eq!(line(yaml, document, path), expected, "{path}");
        }
        let json = "{\n  \"a\": [\n    1,\n    {\"b\": 2}\n  ]\n}\n";
        assert_eq!(line(json, 0, "a"), Some(2));
        assert_eq!(line(json, 0, "a[0]"), Some(3));
        assert_eq!(line(json, 0, "a[1].b"), Some(4));
    }
}
