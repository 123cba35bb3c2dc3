//! The plaintext of `GRP_DATA` (section 8.8).

use super::too_short;
use crate::bytes::Reader;
use crate::error::{EncodeError, PlaintextError};
use crate::limits::MAX_GROUP_DATA_LEN;

/// A datagram to a channel.
///
/// ```text
/// data type(2) | length(1) | data
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupDatagram<'a> {
    /// 0x0000-0x00FF are internal, 0xFF00-0xFFFF for experiments, others are assigned.
    pub data_type: u16,
    /// The data, without padding.
    pub data: &'a [u8],
}

impl<'a> GroupDatagram<'a> {
    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// When there are fewer than 3 bytes, or fewer than the length announces; padding counts as
    /// present.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PlaintextError> {
        let (data_type, need) = Self::header(bytes).ok_or(too_short(bytes, 3))?;
        let present = bytes.get(3..).unwrap_or(&[]);
        let data = present.get(..need).ok_or(PlaintextError::BadDataLen {
            len: present.len(),
            need,
        })?;
        Ok(Self { data_type, data })
    }

    /// Data type and announced length, which are readable also when the data is not all there.
    pub fn header(bytes: &[u8]) -> Option<(u16, usize)> {
        let mut reader = Reader::new(bytes);
        Some((reader.u16()?, usize::from(reader.u8()?)))
    }

    /// The plaintext, unpadded.
    ///
    /// # Errors
    ///
    /// When there are more than 165 bytes of data.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let field = EncodeError::Field { field: "data" };
        let len = u8::try_from(self.data.len()).map_err(|_| field)?;
        if self.data.len() > MAX_GROUP_DATA_LEN {
            return Err(field);
        }
        Ok([&self.data_type.to_le_bytes(), &[len][..], self.data].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_may_reach_into_the_padding_but_not_beyond() {
        let bytes = [0x01, 0xff, 3, 7, 0, 0];
        let datagram = GroupDatagram {
            data_type: 0xff01,
            data: &[7, 0, 0],
        };
        assert_eq!(GroupDatagram::decode(&bytes), Ok(datagram));
        assert_eq!(datagram.encode().unwrap(), bytes);
        assert_eq!(
            GroupDatagram::decode(&bytes[..5]).unwrap_err().kind(),
            "bad_data_len"
        );
        assert_eq!(
            GroupDatagram::decode(&bytes[..2]).unwrap_err().kind(),
            "plaintext_too_short"
        );
    }

    #[test]
    fn data_is_limited_to_165_bytes() {
        let data = [1; 166];
        assert!(
            GroupDatagram {
                data_type: 1,
                data: &data
            }
            .encode()
            .is_err()
        );
        assert!(
            GroupDatagram {
                data_type: 1,
                data: &data[..165]
            }
            .encode()
            .is_ok()
        );
    }
}
