//! `GRP_TXT` and `GRP_DATA`: what is sent to a channel (section 8.8).

use super::{need, payload_bytes};
use crate::bytes::Reader;
use crate::channel::{ChannelKey, ChannelKeys, Opened};
use crate::error::{EncodeError, PayloadError};
use crate::payload_type::PayloadType;

/// A payload under a channel secret.
///
/// ```text
/// channel hash(1) | MAC(2) | ciphertext(1..)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupEncrypted<'a> {
    /// First byte of SHA-256 over the channel key. Several channels can share it.
    pub channel_hash: u8,
    /// First two bytes of the HMAC over the ciphertext.
    pub mac: [u8; 2],
    /// Whole blocks of 16 bytes, unless the frame was corrupted.
    pub ciphertext: &'a [u8],
}

impl<'a> GroupEncrypted<'a> {
    pub(super) fn decode(payload_type: PayloadType, bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(payload_type, bytes, 4)?;
        let mut reader = Reader::new(bytes);
        Ok(Self {
            channel_hash: reader.u8().ok_or(too_short)?,
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
        payload_bytes(&[&[self.channel_hash], &self.mac, self.ciphertext])
    }

    /// Tries the keys that have this channel hash.
    pub fn open<'k>(&self, keys: &'k ChannelKeys) -> Opened<'k> {
        keys.open(self.channel_hash, self.mac, self.ciphertext)
    }

    /// Encrypts a plaintext to a channel, and gives the payload bytes.
    ///
    /// # Errors
    ///
    /// When they are more than 184.
    pub fn seal(channel: &ChannelKey, plaintext: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let (mac, ciphertext) = channel.envelope().seal(plaintext);
        GroupEncrypted {
            channel_hash: channel.hash(),
            mac,
            ciphertext: &ciphertext,
        }
        .encode()
    }
}
