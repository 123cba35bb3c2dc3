//! ACK, and the checksum by which it names what it acknowledges (section 8.6).

use sha2::{Digest, Sha256};

use super::{need, payload_bytes};
use crate::bytes::Reader;
use crate::error::{EncodeError, PayloadError};
use crate::keys::PublicKey;
use crate::payload_type::PayloadType;

/// An acknowledgement.
///
/// ```text
/// checksum(4) | extra(0..2)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ack<'a> {
    /// The result of [`ack_checksum`] over the acknowledged message.
    pub checksum: u32,
    /// What follows: nothing; the number of posts not yet synced (room server, keep-alive); or
    /// the extended attempt byte and a random byte (since firmware 1.16).
    pub extra: &'a [u8],
}

impl<'a> Ack<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(PayloadType::Ack, bytes, 4)?;
        let mut reader = Reader::new(bytes);
        let checksum = reader.u32().ok_or(too_short)?;
        Ok(Self {
            checksum,
            extra: reader.rest(),
        })
    }

    /// The payload bytes.
    ///
    /// # Errors
    ///
    /// When they are more than 184.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        payload_bytes(&[&self.checksum.to_le_bytes(), self.extra])
    }
}

/// First four bytes of SHA-256 over `message` and `key`, read as little-endian.
///
/// `message` is the plaintext of the acknowledged message without NUL and padding: timestamp to
/// end of text for a text, nine bytes and text for a signed room post, nine bytes for a
/// keep-alive. `key` is the sender of a text, the receiver of a room post, or the client that
/// sent the keep-alive.
pub fn ack_checksum(message: &[u8], key: &PublicKey) -> u32 {
    let digest = Sha256::new()
        .chain_update(message)
        .chain_update(key.0)
        .finalize();
    u32::from_le_bytes(crate::bytes::prefix(digest.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example_of_section_8_6() {
        let sender = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
        let message = [&1_700_000_000u32.to_le_bytes()[..], &[0], b"hi"].concat();
        let checksum = ack_checksum(&message, &sender.parse().unwrap());
        assert_eq!(checksum, 3_541_303_488);
        let payload = Ack {
            checksum,
            extra: &[],
        }
        .encode()
        .unwrap();
        assert_eq!(hex::encode(&payload), "c00014d3");
    }

    #[test]
    fn what_follows_the_checksum_is_kept() {
        let ack = Ack::decode(&[1, 0, 0, 0, 5, 6]).unwrap();
        assert_eq!(
            ack,
            Ack {
                checksum: 1,
                extra: &[5, 6]
            }
        );
        assert_eq!(
            Ack::decode(&[1, 0, 0]).unwrap_err().kind(),
            "payload_too_short"
        );
    }
}
