//! The plaintext of PATH (section 8.5).

use super::too_short;
use crate::bytes::Reader;
use crate::error::PlaintextError;
use crate::path::Path;
use crate::payload_type::PayloadType;

/// The way to the node that sent this, with something bundled.
///
/// ```text
/// path_len(1) | path | extra type(1) | extra
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReturnedPath<'a> {
    /// The path that leads to the sender.
    pub path: Path<'a>,
    /// Payload type of the extra in bits 0-3; the others are reserved. 0xFF when there is none.
    pub extra_type_byte: u8,
    /// The content of such a payload with zero padding, whose length is not known. Four random
    /// bytes when nothing is bundled.
    pub extra: &'a [u8],
}

impl<'a> ReturnedPath<'a> {
    /// The extra type byte of a sender that has nothing to bundle.
    pub const NO_EXTRA: u8 = 0xff;

    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// When the path has a reserved entry size, more than 64 bytes, or more than there are; and
    /// when the extra type is missing.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PlaintextError> {
        let mut reader = Reader::new(bytes);
        let path_len = reader.u8().ok_or(too_short(bytes, 2))?;
        let (path, rest) = Path::split(path_len, reader.rest())
            .map_err(|_| PlaintextError::BadPathLen { path_len })?;
        let (extra_type_byte, extra) = rest
            .split_first()
            .ok_or(too_short(bytes, bytes.len() + 1))?;
        Ok(Self {
            path,
            extra_type_byte: *extra_type_byte,
            extra,
        })
    }

    /// The plaintext, unpadded.
    pub fn encode(&self) -> Vec<u8> {
        let head = [self.path.len_byte()];
        [
            &head,
            self.path.as_bytes(),
            &[self.extra_type_byte],
            self.extra,
        ]
        .concat()
    }

    /// Payload type of the extra: the low four bits of its byte.
    pub fn extra_type(&self) -> PayloadType {
        PayloadType::from_bits(self.extra_type_byte)
    }

    /// The checksum of a bundled ACK.
    pub fn ack_checksum(&self) -> Option<u32> {
        (self.extra_type() == PayloadType::Ack)
            .then(|| Reader::new(self.extra).u32())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundled_ack_is_read() {
        let bytes = [2, 0xe0, 0xa6, 3, 1, 0, 0, 0, 0, 0];
        let returned = ReturnedPath::decode(&bytes).unwrap();
        assert_eq!(
            (returned.path.count(), returned.ack_checksum()),
            (2, Some(1))
        );
        assert_eq!(returned.encode(), bytes);
        let nothing = ReturnedPath::decode(&[0, ReturnedPath::NO_EXTRA, 1, 2, 3, 4]).unwrap();
        assert_eq!(
            (nothing.extra_type(), nothing.ack_checksum()),
            (PayloadType::RawCustom, None)
        );
    }

    #[test]
    fn bad_paths_are_refused() {
        for bytes in [&[0xc0, 0][..], &[0x61; 80], &[2, 1]] {
            assert_eq!(
                ReturnedPath::decode(bytes).unwrap_err().kind(),
                "bad_path_len"
            );
        }
        assert_eq!(
            ReturnedPath::decode(&[1, 1]).unwrap_err().kind(),
            "plaintext_too_short"
        );
        assert_eq!(
            ReturnedPath::decode(&[]).unwrap_err().kind(),
            "plaintext_too_short"
        );
    }
}
