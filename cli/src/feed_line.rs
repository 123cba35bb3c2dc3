//! One line of a recorded feed: a JSON object with topic and payload.

use bytes::Bytes;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use meshcore_simulator::FeedMessage;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::publisher::Message;

/// A line that is none of ours.
#[derive(Debug, Error)]
pub(crate) enum LineError {
    #[error("not a JSON object with \"topic\" and \"payload\" ({0})")]
    Json(String),
    #[error("the topic \"{0}\" cannot be published to")]
    Topic(String),
    #[error("the payload must be an object or a string")]
    Payload,
}

#[derive(Deserialize)]
struct Line<'a> {
    topic: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    retain: bool,
}

#[derive(Deserialize)]
struct Stamped {
    timestamp: Option<String>,
}

impl From<serde_json::Error> for LineError {
    fn from(err: serde_json::Error) -> Self {
        // The number of the line is known better to the caller.
        Self::Json(err.to_string().replace(" at line 1 column", ", column"))
    }
}

/// A message of a recorded feed, and the time that its payload tells.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) message: Message,
    pub(crate) at: Option<Timestamp>,
}

impl Recorded {
    /// Reads a line. The payload is kept byte for byte when it is an object; a string is the text
    /// of the payload.
    pub(crate) fn parse(line: &str) -> Result<Self, LineError> {
        let line: Line<'_> = serde_json::from_str(line)?;
        if line.topic.is_empty() || line.topic.contains(['+', '#', '\0']) {
            return Err(LineError::Topic(line.topic));
        }
        let raw = line.payload.get();
        let payload = match raw.as_bytes().first() {
            Some(b'{') => raw.to_owned(),
            Some(b'"') => serde_json::from_str(raw)?,
            _ => return Err(LineError::Payload),
        };
        let stamped: Option<Stamped> = serde_json::from_str(&payload).ok();
        let at = stamped.and_then(|stamped| timestamp(&stamped.timestamp?));
        Ok(Self {
            message: Message {
                topic: line.topic,
                payload: Bytes::from(payload),
                retain: line.retain,
            },
            at,
        })
    }
}

/// A timestamp with or without zone; without one it is taken for UTC.
fn timestamp(text: &str) -> Option<Timestamp> {
    let zoned = text.parse::<Timestamp>().ok();
    zoned.or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// The line of a simulated message, without line break.
pub(crate) fn to_line(message: &FeedMessage) -> Vec<u8> {
    let mut line = br#"{"topic":""#.to_vec();
    // Topics of the simulation have nothing that JSON escapes.
    line.extend(message.topic.as_bytes());
    line.extend(br#"","payload":"#);
    line.extend(&message.payload);
    if message.retain {
        line.extend(br#","retain":true"#);
    }
    line.push(b'}');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_kept_byte_for_byte_and_strings_unwrapped() {
        let object = r#"{"topic":"a/b","payload":{"z": 1,"a":"\u00e9"},"meta":{}}"#;
        let recorded = Recorded::parse(object).unwrap();
        assert_eq!(recorded.message.payload, r#"{"z": 1,"a":"\u00e9"}"#);
        assert!(!recorded.message.retain);
        let string = r#"{"topic":"a/b","payload":"{\"a\":1}","retain":true}"#;
        let recorded = Recorded::parse(string).unwrap();
        assert_eq!(recorded.message.payload, r#"{"a":1}"#);
        assert!(recorded.message.retain);
    }

    #[test]
    fn timestamps_may_lack_their_zone() {
        let at = |text: &str| {
            let line = format!(r#"{{"topic":"a","payload":{{"timestamp":"{text}"}}}}"#);
            Recorded::parse(&line).unwrap().at.map(Timestamp::as_second)
        };
        assert_eq!(at("2026-01-01T00:00:01.5+00:00"), Some(1_767_225_601));
        assert_eq!(at("2026-01-01T00:00:01.500000"), Some(1_767_225_601));
        assert_eq!(at("yesterday"), None);
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, message) in [
            ("nonsense", "not a JSON object"),
            (r#"{"topic":"a"}"#, "payload"),
            (r#"{"topic":"a/#","payload":{}}"#, "cannot be published"),
            (r#"{"topic":"a","payload":7}"#, "object or a string"),
        ] {
            let error = Recorded::parse(line).unwrap_err().to_string();
            assert!(error.contains(message), "{line}: {error}");
        }
    }
}
