//! Secrets: values that are never printed, and files that are read anew for each connection.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

/// The largest secret file; the largest real one is a certificate chain.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What stands for a secret wherever one would be printed.
const MASK: &str = "***";

/// A value that shows itself only through [`expose`](Secret::expose). Its memory is cleared when it
/// is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself. Never log what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Accepts a text only, and says so without repeating the value, as serde would.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(value) => Ok(Self::new(value)),
            _ => Err(de::Error::custom("must be a text; put it in quotes")),
        }
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// It stood in the configuration.
    Inline(Secret),
    /// It is in a file, which may be replaced while the program runs.
    File(PathBuf),
}

impl SecretSource {
    /// The secret as it is at this moment.
    ///
    /// A file is read each time, so call this for every connection: that is how a rotated password
    /// takes effect. One newline at its end does not count.
    ///
    /// # Errors
    /// When the file is missing, unreadable, too large, not UTF-8, or empty.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path),
        }
    }

    /// The file to watch, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Inline(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

/// Why a secret could not be read. The text names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("cannot read the secret file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file has nothing in it.
    #[error("the secret file {} is empty", .0.display())]
    Empty(PathBuf),
    /// The file cannot be a secret of the expected kind.
    #[error("the secret file {} {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a predicate.
        reason: &'static str,
    },
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    let read_error = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let malformed = |reason| SecretError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(read_error)?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(read_error)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(malformed("is larger than 64 KiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed("is not UTF-8 text"))?;
    let text = text
        .strip_suffix('\n')
        .map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    if text.is_empty() {
        return Err(SecretError::Empty(path.to_owned()));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Secret, SecretError, SecretSource};

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        let source = SecretSource::Inline(secret);
        assert!(!format!("{source:#?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_of_another_type_is_refused_without_repeating_it() {
        let error = serde_json::from_str::<Secret>("8675309")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("quotes") && !error.contains("8675309"),
            "{error}"
        );
    }

    #[test]
    fn files_are_read_anew_and_lose_one_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let source = SecretSource::File(path.clone());
        assert!(matches!(source.read(), Err(SecretError::Read { .. })));
        for (written, read) in [
            ("first", "first"),
            ("second\n", "second"),
            ("third\r\n", "third"),
            ("two\n\n", "two\n"),
            (" spaces ", " spaces "),
        ] {
            fs::write(&path, written).unwrap();
            assert_eq!(source.read().unwrap().expose(), read);
        }
        fs::write(&path, "\n").unwrap();
        assert!(matches!(source.read(), Err(SecretError::Empty(_))));
        fs::write(&path, [0xFF, 0xFE]).unwrap();
        assert!(
            source
                .read()
                .unwrap_err()
                .to_string()
                .ends_with("is not UTF-8 text")
        );
        fs::write(&path, "a".repeat(65 * 1024)).unwrap();
        assert!(
            source
                .read()
                .unwrap_err()
                .to_string()
                .ends_with("is larger than 64 KiB")
        );
    }
}
