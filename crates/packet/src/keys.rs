//! Node keys: the public key, and the identity that signs and agrees on secrets (section 4).

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::error::KeyError;

/// The Ed25519 public key of a node, 32 bytes; shown as 64 lower-case hex digits.
///
/// Any 32 bytes are accepted, as keys come from the air; whether they are a point on the curve
/// shows only when a signature is verified or a secret is computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The bytes in wire order.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The one-byte hash by which payloads name their source and destination.
    pub fn hash(&self) -> u8 {
        let [first, ..] = self.0;
        first
    }

    /// The first `len` bytes, as used in paths; the whole key when `len` is above 32.
    pub fn prefix(&self, len: usize) -> &[u8] {
        self.0.get(..len).unwrap_or(&self.0)
    }

    /// Whether nodes may have this key: those starting with 0x00 or 0xFF are not used.
    pub fn is_usable(&self) -> bool {
        !matches!(self.hash(), 0x00 | 0xff)
    }

    /// Whether `signature` over `message` was made by this key, by strict RFC 8032 rules.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads 64 hex digits of either case.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::Encoding)?;
        Ok(Self(bytes))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A node's key pair. The private half is kept in expanded form, as nodes keep it, and is wiped
/// when dropped; it has no `Debug` output.
pub struct Identity {
    /// Clamped scalar and hash prefix, 32 bytes each.
    expanded: Zeroizing<[u8; 64]>,
    secret: ExpandedSecretKey,
    verifying: VerifyingKey,
}

impl Identity {
    /// The identity that grows from a 32-byte seed: the expanded key is SHA-512 of it, clamped.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self::from_expanded(Sha512::digest(seed.as_slice()).into())
    }

    /// The identity of an expanded private key: 32 bytes of scalar, which are clamped here if they
    /// are not yet, and 32 bytes of hash prefix.
    pub fn from_expanded(expanded: [u8; 64]) -> Self {
        let mut expanded = Zeroizing::new(expanded);
        if let [first, .., last] = expanded.as_mut_slice().split_at_mut(32).0 {
            *first &= 0xf8;
            *last = *last & 0x3f | 0x40;
        }
        let secret = ExpandedSecretKey::from_bytes(&expanded);
        let verifying = VerifyingKey::from(&secret);
        Self {
            expanded,
            secret,
            verifying,
        }
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.verifying.to_bytes())
    }

    /// The private half in expanded form. This is a secret.
    pub fn expanded(&self) -> Zeroizing<[u8; 64]> {
        self.expanded.clone()
    }

    /// An ordinary Ed25519 signature over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.secret, message, &self.verifying).to_bytes()
    }

    /// The secret that this node and `peer` share: X25519 between the clamped scalar and the
    /// peer's key mapped to Curve25519, with no hash applied. `None` when the peer's key is not a
    /// point on the curve.
    pub fn shared_secret(&self, peer: &PublicKey) -> Option<[u8; 32]> {
        let point = VerifyingKey::from_bytes(&peer.0).ok()?.to_montgomery();
        let scalar = self.expanded.first_chunk::<32>()?;
        Some(x25519_dalek::x25519(*scalar, point.to_bytes()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(first: u8) -> Identity {
        let mut seed = [0; 32];
        for (byte, value) in seed.iter_mut().zip(first..) {
            *byte = value;
        }
        Identity::from_seed(seed)
    }

    #[test]
    fn worked_example_of_section_4() {
        let (a, b) = (node(0x00), node(0x20));
        assert_eq!(
            a.public_key().to_string(),
            "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
        );
        assert_eq!(
            b.public_key().to_string(),
            "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"
        );
        assert_eq!(
            hex::encode(a.expanded().as_slice()),
            "3894eea49c580aef816935762be049559d6d1440dede12e6a125f1841fff8e6f\
             a9d71862a3e5746b571be3d187b0041046f52ebd850c7cbd5fde8ee38473b649"
        );
        let secret = a.shared_secret(&b.public_key()).unwrap();
        assert_eq!(
            hex::encode(secret),
            "f6f92efb32945aff683324a1c984c5001f46aaea513f3453138d740b3a604b7d"
        );
        assert_eq!(b.shared_secret(&a.public_key()), Some(secret));
    }

    #[test]
    fn an_expanded_key_signs_like_its_seed() {
        let a = node(0x00);
        let again = Identity::from_expanded(*a.expanded());
        let signature = a.sign(b"message");
        assert_eq!(again.sign(b"message"), signature);
        assert!(a.public_key().verify(b"message", &signature));
        assert!(!a.public_key().verify(b"massage", &signature));
    }

    #[test]
    fn a_key_off_the_curve_has_no_secret_and_no_signature() {
        let mut bytes = [0; 32];
        bytes[0] = 2;
        let off_curve = PublicKey(bytes);
        assert_eq!(node(0).shared_secret(&off_curve), None);
        assert!(!off_curve.verify(b"", &[0; 64]));
    }

    #[test]
    fn text_form_round_trips_and_debug_shows_no_private_key() {
        let key = node(0x20).public_key();
        assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
        assert_eq!("29ac".parse::<PublicKey>(), Err(KeyError::Encoding));
        assert_eq!(key.prefix(2), [0x29, 0xac]);
        assert!(!format!("{:?}", node(0)).contains("3894ee"));
    }
}
