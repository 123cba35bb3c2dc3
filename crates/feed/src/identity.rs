//! Which observer a message is about, and in which region it stands.

use std::borrow::Cow;

use crate::fields::{Fields, clean, has_control_characters};
use crate::ignored::Ignored;
use crate::topic::{Topic, is_public_key};
use crate::{MAX_NAME_CHARS, MAX_OBSERVER_ID_CHARS};

/// Region codes are three letters; self-made ones may be longer, but not by much.
const MAX_IATA_CHARS: usize = 32;

/// The observer of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) iata: Option<String>,
}

impl Identity {
    /// Takes the observer from the topic, else from `origin_id`, else from `origin`.
    ///
    /// Only where the topic gives a mere name does a public key in `origin_id` win, so that a
    /// repeater that feeds two brokers is one observer.
    pub(crate) fn read(topic: &Topic<'_>, fields: Fields<'_>) -> Result<Self, Ignored> {
        let name = fields.text(&["origin"], MAX_NAME_CHARS);
        let from_topic = topic.observer.filter(|level| !level.trim().is_empty());
        let origin_id = fields.all(&["origin_id"]).find_map(|value| value.as_str());
        let origin_id = origin_id.map(str::trim).filter(|id| !id.is_empty());
        let better = origin_id.filter(|id| topic.observer_is_name && is_public_key(id));
        let id = better.or(from_topic).or(origin_id).or(name.as_deref());
        let id = check_id(id.ok_or(Ignored::EmptyObserver)?)?.to_owned();
        Ok(Self {
            id,
            name,
            iata: region(topic, fields),
        })
    }
}

/// Accepts an id as sent, unless it is too long or would garble logs.
fn check_id(id: &str) -> Result<&str, Ignored> {
    if id.len() > MAX_OBSERVER_ID_CHARS && id.chars().count() > MAX_OBSERVER_ID_CHARS {
        return Err(Ignored::ObserverIdTooLong);
    }
    if has_control_characters(id) {
        return Err(Ignored::BadObserverId);
    }
    Ok(id)
}

/// The region in upper case; what the payload says beats the topic.
pub(crate) fn region(topic: &Topic<'_>, fields: Fields<'_>) -> Option<String> {
    fields
        .all(&["region"])
        .filter_map(|value| value.as_str())
        .chain(topic.iata)
        .find_map(upper_case)
}

fn upper_case(text: &str) -> Option<String> {
    if text.is_ascii() {
        let mut text = clean(text, MAX_IATA_CHARS)?.into_owned();
        text.make_ascii_uppercase();
        return Some(text);
    }
    // Other letters can become several.
    clean(&text.to_uppercase(), MAX_IATA_CHARS).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Identity, Ignored};
    use crate::fields::Fields;
    use crate::topic::Topic;
    use crate::value::Value;

    fn identity(topic: &str, value: &serde_json::Value) -> Result<Identity, Ignored> {
        let value = Value::from(value);
        Identity::read(&Topic::read(topic), Fields::new(value.as_object().unwrap()))
    }

    #[test]
    fn the_topic_beats_the_payload_and_the_id_beats_the_name() {
        let value = json!({"origin": "Hill", "origin_id": "AB12"});
        assert_eq!(
            identity("meshcore/SJC/XYZ/packets", &value).unwrap().id,
            "XYZ"
        );
        assert_eq!(identity("meshcore/SJC/packets", &value).unwrap().id, "AB12");
        assert_eq!(
            identity("meshcore/SJC//packets", &value).unwrap().id,
            "AB12"
        );
        assert_eq!(
            identity("meshcore/SJC/packets", &json!({"origin": "Hill"}))
                .unwrap()
                .id,
            "Hill"
        );
        let none = identity("meshcore/SJC/packets", &json!({"origin": " "}));
        assert_eq!(none, Err(Ignored::EmptyObserver));
    }

    #[test]
    fn a_key_in_the_payload_beats_a_repeaters_name() {
        let key = "ab".repeat(32);
        let value = json!({"origin_id": key});
        assert_eq!(
            identity("meshcore/repeater/Hill/packet", &value)
                .unwrap()
                .id,
            key
        );
        let named = identity(
            "meshcore/repeater/Hill/packet",
            &json!({"origin_id": "short"}),
        );
        assert_eq!(named.unwrap().id, "Hill");
    }

    #[test]
    fn the_payloads_region_wins_and_is_upper_case() {
        let region = |topic, value| identity(topic, &value).unwrap().iata;
        assert_eq!(
            region("meshcore/sjc/A/packets", json!({})).as_deref(),
            Some("SJC")
        );
        let value = json!({"region": " sfo "});
        assert_eq!(
            region("meshcore/SJC/A/packets", value).as_deref(),
            Some("SFO")
        );
        let value = json!({"region": "  "});
        assert_eq!(
            region("meshcore/SJC/A/packets", value).as_deref(),
            Some("SJC")
        );
        assert_eq!(
            region("meshcore/repeater/A/packets", json!({"region": 7})),
            None
        );
    }

    #[test]
    fn ids_are_bounded_and_printable() {
        let long = format!("meshcore/SJC/{}/packets", "ä".repeat(129));
        assert_eq!(identity(&long, &json!({})), Err(Ignored::ObserverIdTooLong));
        let fits = format!("meshcore/SJC/{}/packets", "ä".repeat(128));
        assert!(identity(&fits, &json!({})).is_ok());
        let control = identity("meshcore/SJC/a\u{1b}b/packets", &json!({}));
        assert_eq!(control, Err(Ignored::BadObserverId));
    }
}
