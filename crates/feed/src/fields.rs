//! Lenient access to the fields of a JSON object.
//!
//! Each getter takes every spelling of a field and returns the first value that makes sense, so a
//! bad first spelling does not hide a good second one. Whatever makes no sense is as good as absent.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::value::{Object, Value};

/// No number that a feeder writes is longer; a string of 64 KiB of digits is not worth parsing.
const MAX_NUMBER_CHARS: usize = 32;

/// Units that feeders append to numbers, in lower case.
const UNITS: [&str; 14] = [
    "dbm", "db", "mw", "w", "km", "mi", "m", "ms", "s", "mv", "v", "%", "hz", "mhz",
];

/// The fields of one object.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a Object<'a>);

/// A number, and whether it was written without a fraction part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    pub(crate) value: f64,
    pub(crate) is_integer: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(object: &'a Object<'a>) -> Self {
        Self(object)
    }

    /// The values under any of `names`, in the order of the names; null counts as absent.
    pub(crate) fn all(self, names: &'a [&'a str]) -> impl Iterator<Item = &'a Value<'a>> {
        let object = self.0;
        names
            .iter()
            .filter_map(move |name| object.get(name))
            .filter(|value| !value.is_null())
    }

    /// A finite number within `range`: a JSON number, or a string with an optional unit.
    pub(crate) fn number(self, names: &'a [&'a str], range: RangeInclusive<f64>) -> Option<Number> {
        self.all(names)
            .filter_map(number)
            .find(|number| range.contains(&number.value))
    }

    /// A number within `range`, rounded to the nearest integer.
    pub(crate) fn integer<T: TryFrom<i64>>(
        self,
        names: &'a [&'a str],
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        self.all(names)
            .filter_map(|value| whole(number(value)?.value))
            .find(|value| range.contains(value))
            .and_then(|value| T::try_from(value).ok())
    }

    /// A truth value: bool, number, or one of the usual words.
    pub(crate) fn boolean(self, names: &'a [&'a str]) -> Option<bool> {
        self.all(names).find_map(boolean)
    }

    /// A text without control characters and surrounding space, cut at `max_chars`; never empty.
    pub(crate) fn text(self, names: &'a [&'a str], max_chars: usize) -> Option<String> {
        self.borrowed_text(names, max_chars).map(Cow::into_owned)
    }

    /// As [`Self::text`], for those who only look at it.
    pub(crate) fn borrowed_text(
        self,
        names: &'a [&'a str],
        max_chars: usize,
    ) -> Option<Cow<'a, str>> {
        self.all(names).find_map(|value| text(value, max_chars))
    }

    /// The object under `name`.
    pub(crate) fn object(self, name: &str) -> Option<Fields<'a>> {
        self.0.get(name).and_then(Value::as_object).map(Fields)
    }

    /// The elements of the array under `name`; none when it is no array.
    pub(crate) fn array(self, name: &str) -> &'a [Value<'a>] {
        self.0
            .get(name)
            .and_then(Value::as_array)
            .unwrap_or_default()
    }

    /// True if the object holds what any feeder calls a frame.
    pub(crate) fn carries_frame(self) -> bool {
        self.0
            .get("raw")
            .and_then(Value::as_str)
            .is_some_and(|raw| !raw.trim().is_empty())
    }
}

/// Cleans one text value; numbers are taken as written (versions, ids).
pub(crate) fn text<'a>(value: &'a Value<'a>, max_chars: usize) -> Option<Cow<'a, str>> {
    match value {
        Value::String(text) => clean(text, max_chars),
        Value::Number(number) => {
            clean(&number.to_string(), max_chars).map(|text| Cow::Owned(text.into_owned()))
        }
        _ => None,
    }
}

/// True for whatever would garble a log.
pub(crate) fn has_control_characters(text: &str) -> bool {
    if text.is_ascii() {
        // Nearly every text. Without an early end this takes 16 bytes at a time.
        text.bytes()
            .fold(false, |any, b| any | b.is_ascii_control())
    } else {
        text.contains(char::is_control)
    }
}

/// Removes control characters, trims, cuts; `None` when nothing is left.
pub(crate) fn clean(text: &str, max_chars: usize) -> Option<Cow<'_, str>> {
    let trimmed = text.trim();
    if trimmed.len() <= max_chars && !has_control_characters(trimmed) {
        // Nearly every text is clean already.
        return (!trimmed.is_empty()).then_some(Cow::Borrowed(trimmed));
    }
    let kept: String = text.chars().filter(|c| !c.is_control()).collect();
    let cut: String = kept.trim().chars().take(max_chars).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| Cow::Owned(cut.to_owned()))
}

/// A finite number from a JSON number or a string such as `"-6"`, `"12.5 dB"`, `"-104dBm"`.
pub(crate) fn number(value: &Value<'_>) -> Option<Number> {
    let number = match value {
        Value::Number(number) => Number {
            value: number.as_f64()?,
            is_integer: number.is_i64() || number.is_u64(),
        },
        Value::String(text) => return number_from_text(text),
        _ => return None,
    };
    number.value.is_finite().then_some(number)
}

/// [`number`] of a text.
pub(crate) fn number_from_text(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.len() > MAX_NUMBER_CHARS {
        return None;
    }
    let end = text.find(|c: char| c.is_ascii_alphabetic() || c == '%' || c == ' ');
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    // An exponent looks like a unit at first.
    let value = match digits.parse::<f64>() {
        Ok(value) if unit.is_empty() || is_unit(unit) => value,
        _ => text.parse::<f64>().ok()?,
    };
    value.is_finite().then(|| Number {
        value,
        is_integer: !text.contains(['.', 'e', 'E']),
    })
}

fn is_unit(text: &str) -> bool {
    UNITS
        .iter()
        .any(|unit| text.trim().eq_ignore_ascii_case(unit))
}

/// The nearest integer, if an `f64` can hold it exactly.
pub(crate) fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let rounded = value.round();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked against 2^53 before"
    )]
    (rounded.abs() <= EXACT).then_some(rounded as i64)
}

fn boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => number.as_f64().map(|value| value != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "on" | "true" | "1" | "yes" | "y" | "enabled" => Some(true),
            "off" | "false" | "0" | "no" | "n" | "disabled" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{Fields, Number, Value, boolean, clean, number};

    #[test]
    fn numbers_come_as_numbers_strings_and_strings_with_units() {
        let cases: &[(Json, Option<(f64, bool)>)] = &[
            (json!(-6), Some((-6.0, true))),
            (json!(12.0), Some((12.0, false))),
            (json!("-6"), Some((-6.0, true))),
            (json!("+6"), Some((6.0, true))),
            (json!(" 12.5 "), Some((12.5, false))),
            (json!("-7.0"), Some((-7.0, false))),
            (json!("-104dBm"), Some((-104.0, true))),
            (json!("12.5 dB"), Some((12.5, false))),
            (json!("80 %"), Some((80.0, true))),
            (json!("1e2"), Some((100.0, false))),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!("-Infinity"), None),
            (json!("1e999"), None),
            (json!("12 parsecs"), None),
            (json!(""), None),
            (json!("dB"), None),
            (json!("--5"), None),
            (json!("5".repeat(40)), None),
            (json!(true), None),
            (json!([5]), None),
            (json!({"value": 5}), None),
            (json!("５"), None),
        ];
        for (value, expected) in cases {
            let expected = expected.map(|(value, is_integer)| Number { value, is_integer });
            assert_eq!(number(&value.into()), expected, "{value}");
        }
    }

    #[test]
    fn a_bad_first_spelling_does_not_hide_the_second() {
        let value = Value::from(&json!({"SNR": "n/a", "snr": "7.25", "RSSI": -9000, "rssi": -90}));
        let fields = Fields::new(value.as_object().unwrap());
        let snr = fields.number(&["SNR", "snr"], -60.0..=60.0);
        assert_eq!(
            snr,
            Some(Number {
                value: 7.25,
                is_integer: false
            })
        );
        assert_eq!(
            fields.integer::<i64>(&["RSSI", "rssi"], -200..=50),
            Some(-90)
        );
    }

    #[test]
    fn truth_comes_in_many_words() {
        for value in [
            json!(true),
            json!(1),
            json!("on"),
            json!(" YES "),
            json!("1"),
        ] {
            assert_eq!(boolean(&Value::from(&value)), Some(true), "{value}");
        }
        for value in [
            json!(false),
            json!(0),
            json!("off"),
            json!("No"),
            json!("0"),
        ] {
            assert_eq!(boolean(&Value::from(&value)), Some(false), "{value}");
        }
        for value in [json!("maybe"), json!([]), json!({})] {
            assert_eq!(boolean(&Value::from(&value)), None, "{value}");
        }
    }

    #[test]
    fn texts_lose_control_characters_and_are_cut_by_characters() {
        assert_eq!(clean(" a\u{7}b\nc ", 64).as_deref(), Some("abc"));
        assert_eq!(clean("\u{1b}[31mred", 64).as_deref(), Some("[31mred"));
        assert_eq!(clean("äöü", 2).as_deref(), Some("äö"));
        assert_eq!(clean("ab  cd", 4).as_deref(), Some("ab"));
        assert_eq!(clean(" \u{0} ", 64), None);
    }
}
