//! The wrapper of REQ, RESPONSE, `TXT_MSG` and PATH (section 8.1).

use super::{need, payload_bytes};
use crate::bytes::Reader;
use crate::envelope;
use crate::error::{EncodeError, PayloadError};
use crate::keys::PublicKey;
use crate::payload_type::PayloadType;

/// A payload between two nodes, encrypted under their shared secret.
///
/// ```text
/// destination hash(1) | source hash(1) | MAC(2) | ciphertext(1..)
/// ```
///
/// The two hashes are not covered by the MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encrypted<'a> {
    /// First byte of the receiver's public key.
    pub dest_hash: u8,
    /// First byte of the sender's public key.
    pub src_hash: u8,
    /// First two bytes of the HMAC over the ciphertext.
    pub mac: [u8; 2],
    /// Whole blocks of 16 bytes, unless the frame was corrupted.
    pub ciphertext: &'a [u8],
}

impl<'a> Encrypted<'a> {
    pub(super) fn decode(payload_type: PayloadType, bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(payload_type, bytes, 5)?;
        let mut reader = Reader::new(bytes);
        Ok(Self {
            dest_hash: reader.u8().ok_or(too_short)?,
            src_hash: reader.u8().ok_or(too_short)?,
            mac: reader.array().ok_or(too_short)?,
            ciphertext: reader.rest(),
        })
    }

    /// The payload bytes.
    ///
    /// # Errors
    ///
    /// When they are more than 184.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        payload_bytes(&[&[self.dest_hash, self.src_hash], &self.mac, self.ciphertext])
    }

    /// The plaintext with its zero padding, or `None` when the MAC does not fit the secret.
    pub fn open(&self, secret: &[u8; 32]) -> Option<Vec<u8>> {
        envelope::open(secret, self.mac, self.ciphertext)
    }

    /// Encrypts a plaintext from one node to another, and gives the payload bytes.
    ///
    /// # Errors
    ///
    /// When they are more than 184.
    pub fn seal(
        dest: &PublicKey,
        src: &PublicKey,
        secret: &[u8; 32],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EncodeError> {
        let (mac, ciphertext) = envelope::seal(secret, plaintext);
        let (dest_hash, src_hash) = (dest.hash(), src.hash());
        Encrypted {
            dest_hash,
            src_hash,
            mac,
            ciphertext: &ciphertext,
        }
        .encode()
    }
}
