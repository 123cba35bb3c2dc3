//! What a value must look like, and the sentence for one that does not.

/// A value that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} ({variable}) is {value:?}, which is not {wanted}; write for example {example}")]
pub struct ConfigError {
    flag: &'static str,
    variable: &'static str,
    value: String,
    wanted: &'static str,
    example: &'static str,
}

/// How one value is named, and described when it is wrong.
pub(super) struct Setting {
    pub(super) flag: &'static str,
    pub(super) variable: &'static str,
    pub(super) wanted: &'static str,
    pub(super) example: &'static str,
}

impl Setting {
    /// The error for `value`.
    pub(super) fn refuses(&self, value: &str) -> ConfigError {
        ConfigError {
            flag: self.flag,
            variable: self.variable,
            value: value.to_owned(),
            wanted: self.wanted,
            example: self.example,
        }
    }
}

/// The value, if there is one that is more than blanks.
pub(super) fn text(value: Option<String>) -> Option<String> {
    let value = value?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// Reads a value, if there is one.
pub(super) fn parse<T>(
    value: Option<String>,
    setting: &Setting,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = text(value) else {
        return Ok(None);
    };
    match parse(&value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(setting.refuses(&value)),
    }
}

/// A DNS label, as namespaces are.
pub(super) fn dns_label(name: &str) -> Option<String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_good = (1..=63).contains(&name.len())
        && name.chars().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    is_good.then(|| name.to_owned())
}

/// DNS labels with dots between them, as names of objects are.
pub(super) fn dns_name(name: &str) -> Option<String> {
    let is_good = name.len() <= 253 && name.split('.').all(|label| dns_label(label).is_some());
    is_good.then(|| name.to_owned())
}

/// What stands before the name of an image.
pub(super) fn registry(text: &str) -> Option<String> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.:/[]".contains(c);
    let is_good = text.chars().all(is_inner)
        && !text.contains("//")
        && !text.starts_with('/')
        && !text.ends_with('/');
    is_good.then(|| text.to_owned())
}

/// The tag of an image.
pub(super) fn tag(text: &str) -> Option<String> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_good = text.len() <= 128 && text.chars().all(is_inner) && !text.starts_with(['.', '-']);
    is_good.then(|| text.to_owned())
}
