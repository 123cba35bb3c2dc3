//! Sign-in with a token that the device's own key signs, as public community brokers want it.

use std::path::PathBuf;

use serde::Serialize;
use zeroize::Zeroizing;

use super::error::Findings;
use super::raw::RawToken;
use super::secret::{SecretError, SecretSource};

/// What a token is made of. Making one is the MQTT source's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenSignIn {
    /// The file with the device's private key.
    pub private_key: SecretSource,
    /// The claim `aud`, by default the broker's host.
    pub audience: String,
    /// The claim `owner`: a public key. Sent only over verified TLS.
    pub owner: Option<String>,
    /// The claim `email`. Sent only over verified TLS.
    pub email: Option<String>,
}

/// A device's private key.
pub enum PrivateKey {
    /// As `MeshCore` stores it: scalar and nonce half.
    Expanded(Zeroizing<[u8; 64]>),
    /// The seed it grew from.
    Seed(Zeroizing<[u8; 32]>),
}

impl TokenSignIn {
    /// Reads the key, anew each time: 128 hexadecimal digits of an expanded key, or 64 of a seed.
    ///
    /// # Errors
    /// When the file cannot be read or holds neither.
    pub fn read_key(&self) -> Result<PrivateKey, SecretError> {
        let text = self.private_key.read()?;
        let bytes = hex::decode(text.expose().trim()).map(Zeroizing::new).ok();
        let bytes = bytes.as_ref().map_or(&[][..], |bytes| bytes.as_slice());
        if let Ok(key) = bytes.try_into() {
            return Ok(PrivateKey::Expanded(Zeroizing::new(key)));
        }
        if let Ok(seed) = bytes.try_into() {
            return Ok(PrivateKey::Seed(Zeroizing::new(seed)));
        }
        Err(SecretError::Malformed {
            path: self
                .private_key
                .path()
                .map(PathBuf::from)
                .unwrap_or_default(),
            reason: "must hold 128 hexadecimal digits (expanded key) or 64 (seed)",
        })
    }

    pub(super) fn resolve(
        path: &str,
        raw: RawToken,
        broker_host: &str,
        tls_is_verified: bool,
        findings: &mut Findings,
    ) -> Option<Self> {
        let RawToken {
            private_key_file,
            audience,
            owner,
            email,
        } = raw;
        if (owner.is_some() || email.is_some()) && !tls_is_verified {
            findings.warn(
                path,
                "owner and email are not sent: the broker's TLS is not verified",
            );
        }
        if let Some(owner) = &owner
            && (owner.len() != 64 || hex::decode(owner).is_err())
        {
            findings.problem(
                format!("{path}.owner"),
                "must be a public key of 64 hexadecimal digits",
            );
        }
        let Some(private_key_file) = private_key_file.filter(|file| !file.as_os_str().is_empty())
        else {
            findings.problem(
                format!("{path}.privateKeyFile"),
                "is missing; name the key's file",
            );
            return None;
        };
        Some(Self {
            private_key: SecretSource::File(private_key_file),
            audience: audience.unwrap_or_else(|| broker_host.to_owned()),
            owner,
            email,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{PrivateKey, SecretSource, TokenSignIn};

    #[test]
    fn keys_are_told_apart_by_their_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let token = TokenSignIn {
            private_key: SecretSource::File(path.clone()),
            audience: "broker".to_owned(),
            owner: None,
            email: None,
        };
        fs::write(&path, format!("{}\n", "Ab".repeat(64))).unwrap();
        assert!(matches!(token.read_key(), Ok(PrivateKey::Expanded(key)) if key[63] == 0xAB));
        fs::write(&path, "01".repeat(32)).unwrap();
        assert!(matches!(token.read_key(), Ok(PrivateKey::Seed(seed)) if seed[0] == 1));
        for bad in ["01".repeat(33), "xy".repeat(32), "01".repeat(31) + "0"] {
            fs::write(&path, &bad).unwrap();
            let message = token.read_key().err().unwrap().to_string();
            assert!(
                message.contains("128") && !message.contains(&bad),
                "{message}"
            );
        }
    }
}
