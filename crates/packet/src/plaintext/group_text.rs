//! The plaintext of `GRP_TXT` (section 8.8).

use std::borrow::Cow;

use super::{check_text, too_short};
use crate::bytes::{Reader, split_at_nul};
use crate::error::{EncodeError, PlaintextError};

/// A text to a channel.
///
/// ```text
/// timestamp(4) | flags(1) | text
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupMessage<'a> {
    /// Unix seconds by the sender's clock.
    pub timestamp: u32,
    /// Text type in bits 2-7, attempt in bits 0-1.
    pub flags: u8,
    /// The bytes of the text up to the first NUL, by convention `sender name: message`. `None`
    /// when the text type is not 0: the firmware ignores such messages.
    pub text: Option<&'a [u8]>,
}

impl<'a> GroupMessage<'a> {
    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// When there are fewer than 5 bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PlaintextError> {
        let mut reader = Reader::new(bytes);
        let timestamp = reader.u32().ok_or(too_short(bytes, 5))?;
        let flags = reader.u8().ok_or(too_short(bytes, 5))?;
        let (text, _) = split_at_nul(reader.rest());
        Ok(Self {
            timestamp,
            flags,
            text: (flags >> 2 == 0).then_some(text),
        })
    }

    /// The plaintext, unpadded. `text` is all of it, with the sender's name in front.
    ///
    /// # Errors
    ///
    /// When the text has a NUL or more than 160 bytes, or is there although the text type is not 0.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let text = self.text.unwrap_or(&[]);
        check_text(text)?;
        if self.text.is_some() != (self.text_type() == 0) {
            return Err(EncodeError::Field { field: "text" });
        }
        Ok([&self.timestamp.to_le_bytes(), &[self.flags][..], text].concat())
    }

    /// Text type; only 0, plain, is in use.
    pub fn text_type(&self) -> u8 {
        self.flags >> 2
    }

    /// Low two bits of the attempt.
    pub fn attempt(&self) -> u8 {
        self.flags & 0x03
    }

    /// The text, lossily decoded.
    pub fn text_lossy(&self) -> Option<Cow<'a, str>> {
        self.text.map(String::from_utf8_lossy)
    }
}

/// Splits the text of a channel message into sender and message.
///
/// The sender is what precedes the first `": "`, if that is at byte 1 to 49 and the part before
/// has none of `:`, `[` and `]`; otherwise there is no sender and all of it is the message. The
/// name is not authenticated: anybody with the channel key can write any.
pub fn split_sender(text: &str) -> (Option<&str>, &str) {
    match text.split_once(": ") {
        Some((sender, message))
            if (1..=49).contains(&sender.len()) && !sender.contains([':', '[', ']']) =>
        {
            (Some(sender), message)
        }
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_stands_before_the_first_separator() {
        assert_eq!(
            split_sender("Alice: ping: pong"),
            (Some("Alice"), "ping: pong")
        );
        assert_eq!(split_sender("Alice: "), (Some("Alice"), ""));
        for text in [
            "no separator",
            ": x",
            "a:b: c",
            "[x]: y",
            "a]: y",
            "a:b",
            "",
        ] {
            assert_eq!(split_sender(text), (None, text));
        }
        let (longest, too_long) = ("n".repeat(49), "n".repeat(50));
        assert_eq!(
            split_sender(&format!("{longest}: x")).0,
            Some(longest.as_str())
        );
        assert_eq!(split_sender(&format!("{too_long}: x")).0, None);
    }

    #[test]
    fn other_text_types_have_no_text() {
        let message = GroupMessage::decode(&[1, 0, 0, 0, 4, b'x', 0]).unwrap();
        assert_eq!(
            (message.timestamp, message.text_type(), message.text),
            (1, 1, None)
        );
        assert_eq!(message.encode().unwrap(), [1, 0, 0, 0, 4]);
    }
}
