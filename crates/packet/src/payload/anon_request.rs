//! `ANON_REQ`: a login or question from a node that the receiver need not know yet (section 8.7).

use super::{need, payload_bytes};
use crate::bytes::Reader;
use crate::envelope;
use crate::error::{EncodeError, PayloadError};
use crate::keys::{Identity, PublicKey};
use crate::payload_type::PayloadType;

/// An `ANON_REQ` payload, encrypted under the secret of the sender's key and the receiver.
///
/// ```text
/// destination hash(1) | sender's public key(32) | MAC(2) | ciphertext(1..)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnonRequest<'a> {
    /// First byte of the receiver's public key.
    pub dest_hash: u8,
    /// The sender's full public key.
    pub sender: PublicKey,
    /// First two bytes of the HMAC over the ciphertext.
    pub mac: [u8; 2],
    /// Whole blocks of 16 bytes, unless the frame was corrupted.
    pub ciphertext: &'a [u8],
}

impl<'a> AnonRequest<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(PayloadType::AnonRequest, bytes, 36)?;
        let mut reader = Reader::new(bytes);
        Ok(Self {
            dest_hash: reader.u8().ok_or(too_short)?,
            sender: PublicKey(reader.array().ok_or(too_short)?),
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
        payload_bytes(&[
            &[self.dest_hash],
            &self.sender.0,
            &self.mac,
            self.ciphertext,
        ])
    }

    /// The plaintext with its zero padding, or `None` when the MAC does not fit the secret.
    pub fn open(&self, secret: &[u8; 32]) -> Option<Vec<u8>> {
        envelope::open(secret, self.mac, self.ciphertext)
    }

    /// Encrypts a plaintext from `sender` to `dest`, and gives the payload bytes.
    ///
    /// # Errors
    ///
    /// When they are more than 184, or `dest` is not a point on the curve.
    pub fn seal(
        dest: &PublicKey,
        sender: &Identity,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EncodeError> {
        let field = EncodeError::Field { field: "dest" };
        let secret = sender.shared_secret(dest).ok_or(field)?;
        let (mac, ciphertext) = envelope::seal(&secret, plaintext);
        let (dest_hash, sender) = (dest.hash(), sender.public_key());
        AnonRequest {
            dest_hash,
            sender,
            mac,
            ciphertext: &ciphertext,
        }
        .encode()
    }
}
