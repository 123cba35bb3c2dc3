//! The feeder's own time stamp.

use crate::fields::{self, Number};
use crate::value::Value;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// When the feeder says something happened.
///
/// A feeder's clock is untrusted: the caller compares it with the time of arrival before it uses
/// it for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeederTime {
    /// The instant. A time without a zone is read as UTC.
    pub time: Timestamp,
    /// True if the feeder named a zone (or sent an epoch number, which has one by definition). A
    /// time without one may be off by whole hours.
    pub zoned: bool,
}

/// Longer than any ISO 8601 time.
const MAX_CHARS: usize = 48;

/// `YYYY-MM-DDTHH:MM:SS`, the shortest that says a time of day.
const MIN_NAIVE_CHARS: usize = 19;

/// Seconds of the year 2100: no feeder is there yet, so it is a broken clock.
const LATEST_SECONDS: i64 = 4_102_444_800;

impl FeederTime {
    /// Reads ISO 8601 with or without a zone, or an epoch number in seconds, milliseconds or
    /// microseconds. `None` for anything else and for instants outside 1970 to 2100.
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let read = match value {
            Value::String(text) => from_text(text.trim()),
            Value::Number(_) => from_epoch(fields::number(value)?),
            _ => None,
        }?;
        (0..LATEST_SECONDS)
            .contains(&read.time.as_second())
            .then_some(read)
    }
}

fn from_text(text: &str) -> Option<FeederTime> {
    if text.len() > MAX_CHARS {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(FeederTime { time, zoned: true });
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return from_epoch(fields::number_from_text(text)?);
    }
    if text.len() < MIN_NAIVE_CHARS {
        return None;
    }
    let naive: DateTime = text.parse().ok()?;
    let time = TimeZone::UTC.to_timestamp(naive).ok()?;
    Some(FeederTime { time, zoned: false })
}

fn from_epoch(number: Number) -> Option<FeederTime> {
    // Seconds reach 1e11 in the year 5138, milliseconds 1e14.
    let microseconds = match number.value {
        n if n >= 1e14 => n,
        n if n >= 1e11 => n * 1e3,
        n => n * 1e6,
    };
    let time = Timestamp::from_microsecond(fields::whole(microseconds)?).ok()?;
    Some(FeederTime { time, zoned: true })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::FeederTime;

    #[test]
    fn zones_are_kept_apart_from_naive_times() {
        let nine = "2026-03-18T09:03:20Z";
        let cases: &[(Json, Option<(&str, bool)>)] = &[
            (
                json!("2026-03-18T09:03:20.000000+00:00"),
                Some((nine, true)),
            ),
            (json!("2026-03-18T10:03:20+01:00"), Some((nine, true))),
            (json!("2026-03-18T09:03:20Z"), Some((nine, true))),
            (json!("2026-03-18T09:03:20.000000"), Some((nine, false))),
            (json!("2026-03-18 09:03:20"), Some((nine, false))),
            (json!(1_773_824_600), Some((nine, true))),
            (json!(1_773_824_600_000_i64), Some((nine, true))),
            (json!(1_773_824_600_000_000_i64), Some((nine, true))),
            (json!("1773824600"), Some((nine, true))),
            (json!(1_773_824_600.0), Some((nine, true))),
            (json!("2026-03-18"), None),
            (json!("09:03:20"), None),
            (json!("2026-13-40T09:03:20"), None),
            (json!("yesterday at nine o'clock"), None),
            (json!(""), None),
            (json!(-5), None),
            (json!(1e300), None),
            (json!("9999-12-31T23:59:59Z"), None),
            (json!("1969-12-31T23:59:59Z"), None),
            (json!("9".repeat(60_000)), None),
            (json!(null), None),
            (json!([2026]), None),
        ];
        for (value, expected) in cases {
            let expected = expected.map(|(time, zoned)| FeederTime {
                time: time.parse().unwrap(),
                zoned,
            });
            assert_eq!(FeederTime::read(&value.into()), expected, "{value}");
        }
    }
}
