//! Rules that many fields share: lengths, counts, and the syntaxes of Kubernetes' names.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::Violation;

/// Collects what does not hold.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) violations: Vec<Violation>,
}

impl Checks {
    pub(super) fn violated(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.violations.push(Violation {
            path: path.into(),
            message: message.into(),
        });
    }

    /// `holds`, or a violation with this message.
    pub(super) fn that(&mut self, path: &str, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.violated(path, message());
        }
    }

    /// What a check says, if it refuses.
    pub(super) fn accepted<T, E: Display>(&mut self, path: &str, result: Result<T, E>) {
        if let Err(error) = result {
            self.violated(path, error.to_string());
        }
    }

    pub(super) fn count(&mut self, path: &str, count: usize, range: RangeInclusive<usize>) {
        let (low, high) = (*range.start(), *range.end());
        self.that(path, range.contains(&count), || match count {
            0 => format!("is empty; put in at least {low}"),
            _ => format!("has {count} entries; at most {high} are taken"),
        });
    }

    pub(super) fn range(&mut self, path: &str, value: i64, range: RangeInclusive<i64>) {
        let (low, high) = (*range.start(), *range.end());
        self.that(path, range.contains(&value), || {
            format!("{value} is out of range; use {low} to {high}")
        });
    }

    /// At least one character, none of them invisible.
    pub(super) fn text(&mut self, path: &str, text: &str, max: usize) {
        let is_good = !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control);
        self.that(path, is_good, || {
            format!("must be 1 to {max} characters without line breaks")
        });
    }

    pub(super) fn dns_label(&mut self, path: &str, name: &str) {
        let is_good = name.len() <= 63 && is_dns_label(name);
        self.that(path, is_good, || {
            "must be 1 to 63 lower-case letters, digits and -, not beginning or ending with -"
                .to_owned()
        });
    }

    /// Names of most objects, and host names.
    pub(super) fn dns_subdomain(&mut self, path: &str, name: &str) {
        let is_good = name.len() <= 253 && name.split('.').all(is_dns_label);
        self.that(path, is_good, || {
            "must be a name of lower-case letters, digits, - and ., at most 253 characters"
                .to_owned()
        });
    }

    /// A name that may be left empty.
    pub(super) fn optional_name(&mut self, path: &str, name: &str) {
        if !name.is_empty() {
            self.dns_subdomain(path, name);
        }
    }

    /// A key of a Secret. It becomes the name of a file.
    pub(super) fn secret_key(&mut self, path: &str, key: &str) {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_good = !key.is_empty()
            && key.len() <= 253
            && key.chars().all(is_allowed)
            && key != "."
            && !key.starts_with("..");
        self.that(path, is_good, || {
            "must be the name of a key in the Secret: letters, digits, -, _ and .".to_owned()
        });
    }

    pub(super) fn map(&mut self, path: &str, map: &BTreeMap<String, String>, max_value: usize) {
        self.count(path, map.len(), 0..=64);
        for (key, value) in map {
            let is_good = !key.is_empty() && key.len() <= 317 && value.len() <= max_value;
            self.that(path, is_good, || {
                format!("a key has 1 to 317 characters, a value at most {max_value}")
            });
        }
    }
}

/// A label of RFC 1123: lower-case letters, digits and `-`.
pub(super) fn is_dns_label(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.chars().all(is_allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A label of RFC 1035: it also begins with a letter.
pub(super) fn is_dns_1035(name: &str) -> bool {
    is_dns_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase())
}
