//! MULTIPART: an ACK that is sent more than once (section 8.10).

use super::{Ack, need, payload_bytes};
use crate::error::{EncodeError, PayloadError};
use crate::payload_type::PayloadType;

/// One packet of a series.
///
/// ```text
/// remaining(4 bits) inner type(4 bits) | inner payload
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Multipart<'a> {
    /// How many more packets of the series follow, 0 to 15.
    pub remaining: u8,
    /// Type of the inner payload; only ACK is in use.
    pub inner_type: PayloadType,
    /// The inner payload.
    pub inner: &'a [u8],
}

impl<'a> Multipart<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(PayloadType::Multipart, bytes, 3)?;
        let (first, inner) = bytes.split_first().ok_or(too_short)?;
        let inner_type = PayloadType::from_bits(*first);
        if inner_type == PayloadType::Ack {
            need(PayloadType::Multipart, bytes, 5)?;
        }
        Ok(Self {
            remaining: first >> 4,
            inner_type,
            inner,
        })
    }

    /// The payload bytes.
    ///
    /// # Errors
    ///
    /// When `remaining` is above 15, or the payload has more than 184 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if self.remaining > 0x0f {
            return Err(EncodeError::Field { field: "remaining" });
        }
        payload_bytes(&[&[self.remaining << 4 | self.inner_type.code()], self.inner])
    }

    /// The inner ACK, if that is what the packet carries.
    pub fn ack(&self) -> Option<Ack<'a>> {
        (self.inner_type == PayloadType::Ack)
            .then(|| Ack::decode(self.inner).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ack_inside_is_interpreted() {
        let ack = Multipart::decode(&[0x23, 1, 0, 0, 0]).unwrap();
        assert_eq!(
            (ack.remaining, ack.ack()),
            (
                2,
                Some(Ack {
                    checksum: 1,
                    extra: &[]
                })
            )
        );
        let other = Multipart::decode(&[0x35, 1, 0]).unwrap();
        assert_eq!(
            (other.inner_type, other.ack()),
            (PayloadType::GroupText, None)
        );
        for bytes in [&[0x35, 1][..], &[0x23, 1, 2, 3], &[]] {
            assert_eq!(
                Multipart::decode(bytes).unwrap_err().kind(),
                "payload_too_short"
            );
        }
    }
}
