//! CONTROL: unencrypted discovery of nodes in range (section 8.11).

use super::trace::snr_db;
use super::{NodeType, need, payload_bytes};
use crate::bytes::Reader;
use crate::error::{EncodeError, PayloadError};
use crate::payload_type::PayloadType;

const DISCOVER_REQUEST: u8 = 0x8;
const DISCOVER_RESPONSE: u8 = 0x9;
/// Length of a key prefix in a response, and of the whole key.
const PREFIX_LEN: usize = 8;
const KEY_LEN: usize = 32;

/// A CONTROL payload; the high four bits of byte 0 are its sub-type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control<'a> {
    /// Sub-type 8: who is there?
    DiscoverRequest(DiscoverRequest),
    /// Sub-type 9: I am.
    DiscoverResponse(DiscoverResponse<'a>),
    /// Any other sub-type, without a meaning.
    Other {
        /// Byte 0.
        flags: u8,
        /// What follows it.
        data: &'a [u8],
    },
}

/// Asks nodes in range to answer.
///
/// ```text
/// 1000 ...p (1) | type filter(1) | tag(4) | since(4, optional)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiscoverRequest {
    /// Byte 0; bit 0 asks for an 8-byte key prefix only.
    pub flags: u8,
    /// Bit n set: nodes of type n shall answer.
    pub type_filter: u8,
    /// Repeated in the answers.
    pub tag: u32,
    /// Unix seconds; present only when all four bytes are there.
    pub since: Option<u32>,
}

impl DiscoverRequest {
    /// A request to nodes of the types in `type_filter`.
    pub fn new(type_filter: u8, tag: u32) -> Self {
        Self {
            flags: DISCOVER_REQUEST << 4,
            type_filter,
            tag,
            since: None,
        }
    }

    /// Whether a key prefix is enough as answer.
    pub fn prefix_only(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Answers a [`DiscoverRequest`].
///
/// ```text
/// 1001 tttt (1) | SNR x 4(1) | tag(4) | public key(32) or prefix of it(8)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiscoverResponse<'a> {
    /// Byte 0; the low four bits are the node type.
    pub flags: u8,
    /// SNR of the request as the responder heard it, in dB x 4.
    pub snr: i8,
    /// The tag of the request.
    pub tag: u32,
    /// 32 bytes of public key, or the first 8 of it.
    pub public_key: &'a [u8],
}

impl<'a> DiscoverResponse<'a> {
    /// An answer from a node of the given type; only the low four bits of the type travel.
    pub fn new(node_type: NodeType, snr: i8, tag: u32, public_key: &'a [u8]) -> Self {
        let flags = DISCOVER_RESPONSE << 4 | node_type.code() & 0x0f;
        Self {
            flags,
            snr,
            tag,
            public_key,
        }
    }

    /// What the responder is.
    pub fn node_type(&self) -> NodeType {
        NodeType::from_bits(self.flags)
    }

    /// SNR of the request as the responder heard it, in dB.
    pub fn snr_db(&self) -> f32 {
        snr_db(self.snr)
    }
}

impl<'a> Control<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(PayloadType::Control, bytes, 1)?;
        let mut reader = Reader::new(bytes);
        let flags = reader.u8().ok_or(too_short)?;
        match flags >> 4 {
            DISCOVER_REQUEST => {
                let too_short = need(PayloadType::Control, bytes, 6)?;
                Ok(Self::DiscoverRequest(DiscoverRequest {
                    flags,
                    type_filter: reader.u8().ok_or(too_short)?,
                    tag: reader.u32().ok_or(too_short)?,
                    since: reader.u32(),
                }))
            }
            DISCOVER_RESPONSE => {
                let too_short = need(PayloadType::Control, bytes, 6 + PREFIX_LEN)?;
                let snr = reader.i8().ok_or(too_short)?;
                let tag = reader.u32().ok_or(too_short)?;
                let key = reader.take(KEY_LEN).or_else(|| reader.take(PREFIX_LEN));
                let public_key = key.ok_or(too_short)?;
                Ok(Self::DiscoverResponse(DiscoverResponse {
                    flags,
                    snr,
                    tag,
                    public_key,
                }))
            }
            _ => Ok(Self::Other {
                flags,
                data: reader.rest(),
            }),
        }
    }

    /// The payload bytes.
    ///
    /// # Errors
    ///
    /// When byte 0 belongs to another sub-type, when a public key has neither 32 nor 8 bytes, or
    /// when the payload has more than 184 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let sub_type = self.flags() >> 4;
        let fits = match self {
            Self::DiscoverRequest(_) => sub_type == DISCOVER_REQUEST,
            Self::DiscoverResponse(_) => sub_type == DISCOVER_RESPONSE,
            Self::Other { .. } => sub_type != DISCOVER_REQUEST && sub_type != DISCOVER_RESPONSE,
        };
        if !fits {
            return Err(EncodeError::Field { field: "flags" });
        }
        match self {
            Self::DiscoverRequest(request) => {
                let since = request.since.map(u32::to_le_bytes);
                let since = since.as_ref().map_or(&[][..], |since| since);
                let head = [request.flags, request.type_filter];
                payload_bytes(&[&head, &request.tag.to_le_bytes(), since])
            }
            Self::DiscoverResponse(response) => {
                if ![PREFIX_LEN, KEY_LEN].contains(&response.public_key.len()) {
                    return Err(EncodeError::Field {
                        field: "public_key",
                    });
                }
                let head = [response.flags, response.snr.cast_unsigned()];
                payload_bytes(&[&head, &response.tag.to_le_bytes(), response.public_key])
            }
            Self::Other { flags, data } => payload_bytes(&[&[*flags], data]),
        }
    }

    /// Byte 0.
    pub fn flags(&self) -> u8 {
        match self {
            Self::DiscoverRequest(request) => request.flags,
            Self::DiscoverResponse(response) => response.flags,
            Self::Other { flags, .. } => *flags,
        }
    }

    /// The sub-type's name: `DISCOVER_REQ`, `DISCOVER_RESP` or `UNKNOWN`.
    pub fn sub_type_name(&self) -> &'static str {
        match self {
            Self::DiscoverRequest(_) => "DISCOVER_REQ",
            Self::DiscoverResponse(_) => "DISCOVER_RESP",
            Self::Other { .. } => "UNKNOWN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_needs_all_four_bytes() {
        let since = |bytes: &[u8]| match Control::decode(bytes) {
            Ok(Control::DiscoverRequest(request)) => request.since,
            other => panic!("{other:?}"),
        };
        assert_eq!(since(&[0x80, 4, 1, 2, 3, 4]), None);
        assert_eq!(since(&[0x80, 4, 1, 2, 3, 4, 5, 6, 7]), None);
        assert_eq!(since(&[0x80, 4, 1, 2, 3, 4, 5, 0, 0, 0]), Some(5));
    }

    #[test]
    fn a_response_holds_a_key_or_its_prefix() {
        let len = |bytes: &[u8]| match Control::decode(bytes) {
            Ok(Control::DiscoverResponse(response)) => response.public_key.len(),
            other => panic!("{other:?}"),
        };
        let bytes = [0x92; 50];
        assert_eq!([len(&bytes[..14]), len(&bytes[..37])], [8, 8]);
        assert_eq!([len(&bytes[..38]), len(&bytes)], [32, 32]);
    }

    #[test]
    fn short_payloads_are_refused_by_sub_type() {
        for bytes in [&[][..], &[0x80; 5], &[0x90; 13]] {
            assert_eq!(
                Control::decode(bytes).unwrap_err().kind(),
                "payload_too_short"
            );
        }
        assert!(Control::decode(&[0x10]).is_ok());
        let wrong = Control::Other {
            flags: 0x80,
            data: &[],
        };
        assert_eq!(wrong.encode(), Err(EncodeError::Field { field: "flags" }));
    }
}
