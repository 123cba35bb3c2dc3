//! The plaintext of `TXT_MSG` (section 8.2).

use std::borrow::Cow;

use super::{check_text, too_short};
use crate::bytes::{Reader, split_at_nul};
use crate::error::{EncodeError, PlaintextError};
use crate::keys::PublicKey;
use crate::payload::ack_checksum;

/// A text from one node to another.
///
/// ```text
/// timestamp(4) | flags(1) | [author's key prefix(4)] | text | [NUL(1) | attempt(1)]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextMessage<'a> {
    /// Unix seconds by the sender's clock.
    pub timestamp: u32,
    /// Text type in bits 2-7, attempt in bits 0-1.
    pub flags: u8,
    /// First four bytes of the author's public key; only in signed texts (room posts).
    pub sender_prefix: Option<[u8; 4]>,
    /// The bytes of the text up to the first NUL; `None` for types that are not defined.
    pub text: Option<&'a [u8]>,
    /// The full attempt number, which senders add to plain texts above attempt 3.
    pub extended_attempt: Option<u8>,
}

impl<'a> TextMessage<'a> {
    /// Text type of an ordinary text.
    pub const PLAIN: u8 = 0;
    /// Text type of a command, or of the reply to one; never acknowledged.
    pub const CLI: u8 = 1;
    /// Text type of a room post that a room server sends on.
    pub const SIGNED: u8 = 2;

    /// A plain text. Attempts above 3 get the extended form.
    pub fn plain(timestamp: u32, attempt: u8, text: &'a str) -> Self {
        Self {
            timestamp,
            flags: attempt & 0x03,
            sender_prefix: None,
            text: Some(text.as_bytes()),
            extended_attempt: (attempt > 3).then_some(attempt),
        }
    }

    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// When there are fewer than 5 bytes, or 9 for a signed text.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PlaintextError> {
        let mut reader = Reader::new(bytes);
        let timestamp = reader.u32().ok_or(too_short(bytes, 5))?;
        let flags = reader.u8().ok_or(too_short(bytes, 5))?;
        let mut message = Self {
            timestamp,
            flags,
            sender_prefix: None,
            text: None,
            extended_attempt: None,
        };
        if message.text_type() == Self::SIGNED {
            message.sender_prefix = Some(reader.array().ok_or(too_short(bytes, 9))?);
        }
        let (text, behind) = split_at_nul(reader.rest());
        if message.text_type() <= Self::SIGNED {
            message.text = Some(text);
        }
        if message.text_type() == Self::PLAIN {
            message.extended_attempt = behind.first().copied().filter(|attempt| *attempt != 0);
        }
        Ok(message)
    }

    /// The plaintext, unpadded.
    ///
    /// # Errors
    ///
    /// When the text has a NUL or more than 160 bytes, or when a part is there that the text type
    /// does not have.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = self.acknowledged()?;
        match self.extended_attempt {
            Some(attempt) if self.text_type() == Self::PLAIN && attempt != 0 => {
                out.extend([0, attempt]);
            }
            Some(_) => {
                return Err(EncodeError::Field {
                    field: "extended_attempt",
                });
            }
            None => {}
        }
        Ok(out)
    }

    /// The part of the plaintext that an ACK names: timestamp to the end of the text.
    fn acknowledged(&self) -> Result<Vec<u8>, EncodeError> {
        let text = self.text.unwrap_or(&[]);
        check_text(text)?;
        if self.sender_prefix.is_some() != (self.text_type() == Self::SIGNED) {
            return Err(EncodeError::Field {
                field: "sender_prefix",
            });
        }
        if self.text.is_some() != (self.text_type() <= Self::SIGNED) {
            return Err(EncodeError::Field { field: "text" });
        }
        let prefix = self.sender_prefix.as_ref().map_or(&[][..], |prefix| prefix);
        Ok([
            &self.timestamp.to_le_bytes(),
            &[self.flags][..],
            prefix,
            text,
        ]
        .concat())
    }

    /// The checksum of the ACK that answers this message (section 8.6). `key` is the sender's for
    /// a plain text, and the receiver's for a signed room post.
    ///
    /// # Errors
    ///
    /// When the message has no wire form.
    pub fn ack_checksum(&self, key: &PublicKey) -> Result<u32, EncodeError> {
        Ok(ack_checksum(&self.acknowledged()?, key))
    }

    /// Text type: plain, CLI, signed, or not defined.
    pub fn text_type(&self) -> u8 {
        self.flags >> 2
    }

    /// Low two bits of the attempt, which begins at 0.
    pub fn attempt(&self) -> u8 {
        self.flags & 0x03
    }

    /// The text, lossily decoded.
    pub fn text_lossy(&self) -> Option<Cow<'a, str>> {
        self.text.map(String::from_utf8_lossy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_attempt_travels_behind_a_nul() {
        let message = TextMessage::plain(1, 5, "hi");
        let bytes = message.encode().unwrap();
        assert_eq!(bytes, [1, 0, 0, 0, 1, b'h', b'i', 0, 5]);
        assert_eq!(TextMessage::decode(&bytes), Ok(message));
    }

    #[test]
    fn the_checksum_leaves_out_what_follows_the_text() {
        let key = PublicKey([7; 32]);
        let plain = TextMessage::plain(1, 1, "hi").ack_checksum(&key);
        assert_eq!(TextMessage::plain(1, 5, "hi").ack_checksum(&key), plain);
    }

    #[test]
    fn undefined_types_have_no_text() {
        let message = TextMessage::decode(&[0, 0, 0, 0, 0x0c, b'x']).unwrap();
        assert_eq!((message.text_type(), message.text), (3, None));
        assert_eq!(
            TextMessage::decode(&[0; 4]).unwrap_err().kind(),
            "plaintext_too_short"
        );
        assert!(TextMessage::decode(&[0, 0, 0, 0, 8, 1, 2, 3]).is_err());
    }

    #[test]
    fn parts_must_fit_the_text_type() {
        let plain = TextMessage::plain(1, 0, "hi");
        assert!(
            TextMessage {
                sender_prefix: Some([0; 4]),
                ..plain
            }
            .encode()
            .is_err()
        );
        assert!(TextMessage { flags: 8, ..plain }.encode().is_err());
        assert!(
            TextMessage {
                flags: 4,
                extended_attempt: Some(9),
                ..plain
            }
            .encode()
            .is_err()
        );
        assert!(TextMessage::plain(1, 0, "a\0b").encode().is_err());
        assert!(TextMessage::plain(1, 0, &"x".repeat(161)).encode().is_err());
    }
}
