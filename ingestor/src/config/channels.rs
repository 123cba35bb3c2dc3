//! Channel keys: from a file, from names, and from the configuration itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::error::Findings;
use super::raw::read_json_or_yaml;
use super::secret::{Secret, SecretError, SecretSource};

/// The key of a channel, 16 or 32 bytes. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelKey(Zeroizing<Vec<u8>>);

impl ChannelKey {
    /// Reads 32 or 64 hexadecimal digits, or the Base64 form that apps show.
    ///
    /// # Errors
    /// A sentence that says which lengths are right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bytes = hex::decode(text).or_else(|_| BASE64.decode(text));
        match bytes {
            Ok(bytes) if matches!(bytes.len(), 16 | 32) => Ok(Self(Zeroizing::new(bytes))),
            _ => Err(
                "must be a key of 16 or 32 bytes: 32 or 64 hexadecimal digits, or Base64"
                    .to_owned(),
            ),
        }
    }

    /// The bytes. Never log what this returns.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for ChannelKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Which channels to read.
///
/// Where two places give one name a key, the more explicit wins: the built-in Public channel loses to
/// [`keys_file`](Self::keys_file), that to [`hashtags`](Self::hashtags), those to
/// [`keys`](Self::keys).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Channels {
    /// A file of names and keys (JSON or YAML), read at the start.
    pub keys_file: Option<PathBuf>,
    /// Hashtag channels, each with its `#`; the key follows from the name.
    pub hashtags: Vec<String>,
    /// Names and keys from the configuration.
    pub keys: BTreeMap<String, ChannelKey>,
}

impl Channels {
    /// Reads [`keys_file`](Self::keys_file), anew each time; no file means no keys.
    ///
    /// # Errors
    /// When the file cannot be read or is no map of names and keys. One bad key spoils the file, so
    /// that a typing error is noticed.
    pub fn read_keys_file(&self) -> Result<BTreeMap<String, ChannelKey>, SecretError> {
        let Some(path) = &self.keys_file else {
            return Ok(BTreeMap::new());
        };
        let malformed = |reason| SecretError::Malformed {
            path: path.clone(),
            reason,
        };
        let text = SecretSource::File(path.clone()).read()?;
        let read: BTreeMap<String, Secret> = read_json_or_yaml(text.expose())
            .map_err(|_| malformed("is no JSON or YAML map of channel names and keys"))?;
        let parse =
            |(name, key): (String, Secret)| Some((name, ChannelKey::parse(key.expose()).ok()?));
        let keys: Option<_> = read.into_iter().map(parse).collect();
        keys.ok_or_else(|| {
            malformed("holds a key that is not 16 or 32 bytes in hexadecimal or Base64")
        })
    }

    pub(super) fn resolve(
        keys_file: Option<PathBuf>,
        hashtags: Vec<String>,
        keys: BTreeMap<String, Secret>,
        findings: &mut Findings,
    ) -> Self {
        let mut resolved = BTreeMap::new();
        for (name, key) in keys {
            let path = format!("channelKeys.{name}");
            if let Some(key) = findings.keep(&path, ChannelKey::parse(key.expose())) {
                resolved.insert(name, key);
            }
        }
        Self {
            keys_file: keys_file.filter(|file| !file.as_os_str().is_empty()),
            hashtags: hashtag_list("hashChannels", hashtags, findings),
            keys: resolved,
        }
    }
}

/// Names with their `#`, each once.
pub(super) fn hashtag_list(path: &str, names: Vec<String>, findings: &mut Findings) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        let bare = name.trim().trim_start_matches('#');
        if bare.is_empty() || bare.chars().any(char::is_control) {
            findings.problem(format!("{path}[{at}]"), "must be a name such as #test");
            continue;
        }
        let name = format!("#{bare}");
        if !list.contains(&name) {
            list.push(name);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ChannelKey, Channels};

    #[test]
    fn keys_come_in_hexadecimal_and_base64() {
        let public = ChannelKey::parse("8b3387e9c5cdea6ac9e5edbaa115cd72").unwrap();
        assert_eq!(
            ChannelKey::parse(" izOH6cXN6mrJ5e26oRXNcg==\n").unwrap(),
            public
        );
        assert_eq!(
            ChannelKey::parse(&"ab".repeat(32)).unwrap().expose().len(),
            32
        );
        for bad in ["", "8b33", "secret", &"ab".repeat(17), &"zz".repeat(16)] {
            let message = ChannelKey::parse(bad).unwrap_err();
            assert!(
                message.starts_with("must be a key of 16 or 32 bytes"),
                "{bad}"
            );
        }
        assert_eq!(format!("{public:?}"), "***");
    }

    #[test]
    fn the_keys_file_is_json_or_yaml_and_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let channels = Channels {
            keys_file: Some(path.clone()),
            ..Channels::default()
        };
        assert!(channels.read_keys_file().is_err(), "missing");
        fs::write(&path, "{\"Club\": \"8b3387e9c5cdea6ac9e5edbaa115cd72\"}\n").unwrap();
        assert!(channels.read_keys_file().unwrap().contains_key("Club"));
        fs::write(
            &path,
            "'#a': '8b3387e9c5cdea6ac9e5edbaa115cd72'\nB: izOH6cXN6mrJ5e26oRXNcg==\n",
        )
        .unwrap();
        assert_eq!(channels.read_keys_file().unwrap().len(), 2);
        for bad in ["[]", "{\"a\": 1}", "{\"a\": \"0102\"}", "just text"] {
            fs::write(&path, bad).unwrap();
            let message = channels.read_keys_file().unwrap_err().to_string();
            assert!(
                message.contains("keys") && !message.contains("0102"),
                "{message}"
            );
        }
        assert!(Channels::default().read_keys_file().unwrap().is_empty());
    }
}
