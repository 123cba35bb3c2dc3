//! Group channels: their keys, and opening what was sent to one (section 6).

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::envelope;
use crate::error::KeyError;

/// Key of the channel that every node knows.
const PUBLIC_KEY: [u8; 16] = [
    0x8b, 0x33, 0x87, 0xe9, 0xc5, 0xcd, 0xea, 0x6a, 0xc9, 0xe5, 0xed, 0xba, 0xa1, 0x15, 0xcd, 0x72,
];

/// Base64 of the standard alphabet, with or without the padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A named channel secret. The secret is wiped when dropped and shows in no `Debug` output.
#[derive(Clone)]
pub struct ChannelKey {
    name: String,
    /// A 128-bit key fills the first half; the rest is zero then.
    secret: Zeroizing<[u8; 32]>,
    hash: u8,
    envelope: envelope::Key,
}

impl ChannelKey {
    /// The public channel, named `Public`, with channel hash 0x11.
    pub fn public() -> Self {
        Self::new("Public", Zeroizing::new(widen(PUBLIC_KEY)))
    }

    /// A hashtag channel: the key is the first 16 bytes of SHA-256 over the name with its `#`,
    /// which is put in front if it is missing. Case matters.
    pub fn hashtag(name: &str) -> Self {
        let name = with_hash_sign(name);
        let key = crate::bytes::prefix(Sha256::digest(name.as_bytes()).into());
        Self::new(&name, Zeroizing::new(widen(key)))
    }

    /// A channel with a 128-bit or 256-bit key. A 256-bit key whose second half is zero is the
    /// same as a 128-bit key.
    ///
    /// # Errors
    ///
    /// When `key` does not have 16 or 32 bytes.
    pub fn from_bytes(name: &str, key: &[u8]) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        if key.len() != 16 && key.len() != 32 {
            return Err(KeyError::Length { len: key.len() });
        }
        for (to, from) in secret.iter_mut().zip(key) {
            *to = *from;
        }
        Ok(Self::new(name, secret))
    }

    /// A channel whose key is written as 32 or 64 hex digits, or as Base64 of 16 or 32 bytes.
    ///
    /// # Errors
    ///
    /// When `text` is neither, or is of another length.
    pub fn parse(name: &str, text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let key = hex::decode(text).or_else(|_| BASE64.decode(text));
        Self::from_bytes(name, &Zeroizing::new(key.map_err(|_| KeyError::Encoding)?))
    }

    fn new(name: &str, secret: Zeroizing<[u8; 32]>) -> Self {
        let (low, high) = secret.split_at(16);
        let is_short = high.iter().all(|byte| *byte == 0);
        let hashed = if is_short { low } else { secret.as_slice() };
        let [hash, ..]: [u8; 32] = Sha256::digest(hashed).into();
        let envelope = envelope::Key::new(&secret);
        Self {
            name: name.to_owned(),
            secret,
            hash,
            envelope,
        }
    }

    /// The name that people gave the channel.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one-byte hash by which payloads name the channel.
    pub fn hash(&self) -> u8 {
        self.hash
    }

    /// The 32-byte secret, the second half zero for a 128-bit key. This is a secret.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The secret prepared for sealing and opening.
    pub fn envelope(&self) -> &envelope::Key {
        &self.envelope
    }
}

impl fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What came of opening a group payload.
#[derive(Clone, Debug)]
pub enum Opened<'k> {
    /// A key fitted.
    Ok {
        /// The channel.
        channel: &'k ChannelKey,
        /// The plaintext, zero padding included.
        plaintext: Vec<u8>,
    },
    /// Some key has this channel hash, but no MAC fitted or the ciphertext is not whole blocks.
    MacMismatch,
    /// No key has this channel hash.
    NoKey,
}

impl Opened<'_> {
    /// The stable short name: `ok`, `mac_mismatch` or `no_key`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::MacMismatch => "mac_mismatch",
            Self::NoKey => "no_key",
        }
    }
}

/// The channel keys that an observer knows, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct ChannelKeys {
    keys: Vec<ChannelKey>,
    /// The hash of each key, close together so that the search for candidates is quick.
    hashes: Vec<u8>,
}

impl ChannelKeys {
    /// A ring without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key behind those already there.
    pub fn push(&mut self, key: ChannelKey) {
        self.hashes.push(key.hash());
        self.keys.push(key);
    }

    /// The keys in the order in which they are tried.
    pub fn iter(&self) -> std::slice::Iter<'_, ChannelKey> {
        self.keys.iter()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Tries every key with the given channel hash, in order, until a MAC fits. Keys with another
    /// hash are not tried.
    pub fn open(&self, channel_hash: u8, mac: [u8; 2], ciphertext: &[u8]) -> Opened<'_> {
        let mut outcome = Opened::NoKey;
        for (hash, channel) in self.hashes.iter().zip(&self.keys) {
            if *hash != channel_hash {
                continue;
            }
            if let Some(plaintext) = channel.envelope.open(mac, ciphertext) {
                return Opened::Ok { channel, plaintext };
            }
            outcome = Opened::MacMismatch;
        }
        outcome
    }
}

impl FromIterator<ChannelKey> for ChannelKeys {
    fn from_iter<I: IntoIterator<Item = ChannelKey>>(keys: I) -> Self {
        let mut ring = Self::new();
        ring.extend(keys);
        ring
    }
}

impl Extend<ChannelKey> for ChannelKeys {
    fn extend<I: IntoIterator<Item = ChannelKey>>(&mut self, keys: I) {
        keys.into_iter().for_each(|key| self.push(key));
    }
}

impl<'a> IntoIterator for &'a ChannelKeys {
    type Item = &'a ChannelKey;
    type IntoIter = std::slice::Iter<'a, ChannelKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The name with a `#` in front, as hashtag channels and regions are written.
pub(crate) fn with_hash_sign(name: &str) -> String {
    if name.starts_with('#') {
        name.to_owned()
    } else {
        format!("#{name}")
    }
}

/// A 128-bit key as a secret: 16 zero bytes behind it.
fn widen(key: [u8; 16]) -> [u8; 32] {
    let mut secret = [0; 32];
    for (to, from) in secret.iter_mut().zip(key) {
        *to = from;
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_examples_of_section_6() {
        let public = ChannelKey::public();
        assert_eq!(public.hash(), 0x11);
        let from_text = ChannelKey::parse("x", "izOH6cXN6mrJ5e26oRXNcg==").unwrap();
        assert_eq!(from_text.secret(), public.secret());
        for (name, key, hash) in [
            ("#test", "9cd8fcf22a47333b591d96a2b848b73f", Some(0xd9)),
            ("#bot", "eb50a1bcb3e4e5d7bf69a57c9dada211", Some(0xca)),
            ("#public", "8b4b705b080c0d943b1c80f6b3ef6b6d", None),
        ] {
            let channel = ChannelKey::hashtag(name);
            assert_eq!(channel.name(), name);
            assert_eq!(hex::encode(&channel.secret()[..16]), key);
            assert!(hash.is_none_or(|hash| channel.hash() == hash));
            assert_eq!(ChannelKey::parse(name, key).unwrap().hash(), channel.hash());
        }
        assert_eq!(
            ChannelKey::hashtag("test").secret(),
            ChannelKey::hashtag("#test").secret()
        );
    }

    #[test]
    fn a_256_bit_key_with_an_empty_half_is_a_128_bit_key() {
        let long = ChannelKey::from_bytes("long", &widen(PUBLIC_KEY)).unwrap();
        assert_eq!(long.hash(), 0x11);
        assert_ne!(
            ChannelKey::from_bytes("ones", &[1; 32]).unwrap().hash(),
            0x11
        );
    }

    #[test]
    fn colliding_keys_are_tried_in_order() {
        let public = ChannelKey::public();
        let other = (0..100_000)
            .map(|n| ChannelKey::hashtag(&format!("#{n}")))
            .find(|key| key.hash() == public.hash())
            .unwrap();
        let keys: ChannelKeys = [other, public.clone(), ChannelKey::hashtag("#test")]
            .into_iter()
            .collect();
        let (mac, ciphertext) = public.envelope().seal(b"hello");
        let opened = keys.open(0x11, mac, &ciphertext);
        assert!(matches!(&opened, Opened::Ok { channel, .. } if channel.name() == "Public"));
        assert_eq!(
            keys.open(0x11, [mac[0], !mac[1]], &ciphertext).kind(),
            "mac_mismatch"
        );
        assert_eq!(keys.open(0x12, mac, &ciphertext).kind(), "no_key");
        assert_eq!(
            keys.open(0x11, mac, &ciphertext[..15]).kind(),
            "mac_mismatch"
        );
    }

    #[test]
    fn bad_key_texts_are_refused_and_debug_shows_no_secret() {
        assert_eq!(
            ChannelKey::parse("x", "8b33").unwrap_err(),
            KeyError::Length { len: 2 }
        );
        assert_eq!(
            ChannelKey::parse("x", "not a key!").unwrap_err(),
            KeyError::Encoding
        );
        assert_eq!(
            format!("{:?}", ChannelKey::public()),
            "ChannelKey { name: \"Public\", .. }"
        );
    }
}
