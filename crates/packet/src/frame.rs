//! One frame as the radio delivers it: header, transport codes, path and payload.

use crate::bytes::Reader;
use crate::error::{EncodeError, FrameError, PayloadError};
use crate::limits::MAX_PAYLOAD_LEN;
use crate::packet_hash::PacketHash;
use crate::path::Path;
use crate::payload::Payload;
use crate::payload_type::PayloadType;
use crate::region::RegionKey;
use crate::route::Route;

/// A frame (section 1 of the protocol document). It borrows the bytes that it was decoded from.
///
/// ```text
/// header(1) | transport_codes(4, two of four routes) | path_len(1) | path(0..64) | payload(0..184)
/// header:  bits 6-7 version | bits 2-5 payload type | bits 0-1 route
/// ```
///
/// ```
/// use meshcore_packet::{Frame, PayloadType, Route};
///
/// let bytes = [0x0e, 0x01, 0xe0, 0x22, 0xc4, 0xb9, 0x9d, 0x07];
/// let frame = Frame::decode(&bytes)?;
/// assert_eq!((frame.route, frame.payload_type), (Route::Direct, PayloadType::Ack));
/// assert_eq!(frame.path.as_bytes(), [0xe0]);
/// assert_eq!(frame.encode().as_deref(), Ok(&bytes[..]));
/// # Ok::<(), meshcore_packet::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// How the frame travels.
    pub route: Route,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// Code 0 names the region, code 1 is reserved. Present exactly when the route has them.
    pub transport_codes: Option<[u16; 2]>,
    /// Repeaters passed or still to pass; signal values for TRACE.
    pub path: Path<'a>,
    /// The payload, at most 184 bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads one frame; `bytes` is all that the radio delivered. Allocates nothing.
    ///
    /// # Errors
    ///
    /// The first failing check in the order of section 2 of the protocol document.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let len = bytes.len();
        let mut reader = Reader::new(bytes);
        let header = reader.u8().ok_or(FrameError::TooShort { len, need: 2 })?;
        let version = header >> 6;
        if version != 0 {
            return Err(FrameError::UnsupportedVersion { version });
        }
        let route = Route::from_bits(header);
        let need = if route.has_transport_codes() { 6 } else { 2 };
        let too_short = FrameError::TooShort { len, need };
        let transport_codes = if route.has_transport_codes() {
            Some([
                reader.u16().ok_or(too_short)?,
                reader.u16().ok_or(too_short)?,
            ])
        } else {
            None
        };
        let path_len = reader.u8().ok_or(too_short)?;
        let (path, payload) = Path::split(path_len, reader.rest())?;
        if payload.len() > MAX_PAYLOAD_LEN {
            return Err(FrameError::PayloadTooLong { len: payload.len() });
        }
        let payload_type = PayloadType::from_bits(header >> 2);
        Ok(Self {
            route,
            payload_type,
            transport_codes,
            path,
            payload,
        })
    }

    /// The bytes on the wire.
    ///
    /// # Errors
    ///
    /// When the payload is longer than 184 bytes, or the transport codes do not fit the route.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if self.payload.len() > MAX_PAYLOAD_LEN {
            return Err(EncodeError::PayloadTooLong {
                len: self.payload.len(),
            });
        }
        if self.transport_codes.is_some() != self.route.has_transport_codes() {
            return Err(EncodeError::TransportCodes);
        }
        let mut out = Vec::with_capacity(self.encoded_len());
        out.push(self.header_byte());
        for code in self.transport_codes.iter().flatten() {
            out.extend(code.to_le_bytes());
        }
        out.push(self.path.len_byte());
        out.extend(self.path.as_bytes());
        out.extend(self.payload);
        Ok(out)
    }

    /// Number of bytes on the wire; airtime is computed from it.
    pub fn encoded_len(&self) -> usize {
        let codes = if self.transport_codes.is_some() { 4 } else { 0 };
        1 + codes + 1 + self.path.as_bytes().len() + self.payload.len()
    }

    /// The first byte: version 0, payload type and route.
    pub fn header_byte(&self) -> u8 {
        self.payload_type.code() << 2 | self.route.code()
    }

    /// The payload version. Always 0, since frames of other versions do not decode.
    pub fn version(&self) -> u8 {
        0
    }

    /// The identifier that stays the same along the way (section 10).
    pub fn packet_hash(&self) -> PacketHash {
        PacketHash::of(self)
    }

    /// Reads the payload by its type. Allocates nothing, verifies and decrypts nothing.
    ///
    /// # Errors
    ///
    /// A payload error leaves the frame itself usable.
    pub fn decode_payload(&self) -> Result<Payload<'a>, PayloadError> {
        Payload::decode(self)
    }

    /// Transport code 0 that a flood of this payload has in the given region (section 9).
    pub fn scope_code(&self, region: &RegionKey) -> u16 {
        region.code(self.payload_type, self.payload)
    }

    /// Whether this is a contact that a user re-shared: a zero-hop `TRANSPORT_DIRECT` advert with
    /// the codes (0, 0). It was not heard from the node that it describes (section 1.2).
    pub fn is_shared_contact(&self) -> bool {
        self.route == Route::TransportDirect
            && self.payload_type == PayloadType::Advert
            && self.path.is_empty()
            && self.transport_codes == Some([0, 0])
    }

    /// A combination of route and type that the firmware ignores although it decodes (section 3):
    /// `trace_not_direct` for a TRACE on a flood route.
    pub fn anomaly(&self) -> Option<&'static str> {
        (self.payload_type == PayloadType::Trace && self.route.is_flood())
            .then_some("trace_not_direct")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_in_the_order_of_section_2() {
        let long_path = [&[0x0d, 0x61][..], &[1; 66]].concat();
        let long_payload = [&[0x3d, 0x00][..], &[1; 185]].concat();
        let cases: [(&[u8], &str); 11] = [
            (&[], "too_short"),
            (&[0x40], "unsupported_version"),
            (&[0xff], "unsupported_version"),
            (&[0x15], "too_short"),
            (&[0x14, 1, 2, 3], "too_short"),
            (&[0x10, 1, 2, 3, 4], "too_short"),
            (&[0x0d, 0xc0], "reserved_hash_size"),
            (&[0x0d, 0xff], "reserved_hash_size"),
            (&long_path, "path_too_long"),
            (&[0x0d, 0x02, 1], "truncated_path"),
            (&long_payload, "payload_too_long"),
        ];
        for (bytes, kind) in cases {
            assert_eq!(
                Frame::decode(bytes).unwrap_err().kind(),
                kind,
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn the_fixed_part_alone_is_a_frame() {
        assert!(Frame::decode(&[0x0d, 0x00]).unwrap().payload.is_empty());
        let frame = Frame::decode(&[0x0f, 0x34, 0x12, 0xff, 0x00, 0x80]).unwrap();
        assert_eq!(frame.transport_codes, Some([0x1234, 0x00ff]));
        assert_eq!((frame.path.hash_size(), frame.path.count()), (3, 0));
        assert_eq!(frame.encoded_len(), 6);
    }

    #[test]
    fn codes_and_route_must_agree() {
        let frame = Frame::decode(&[0x0d, 0x00]).unwrap();
        let with_codes = Frame {
            transport_codes: Some([1, 2]),
            ..frame
        };
        assert_eq!(with_codes.encode(), Err(EncodeError::TransportCodes));
        let without_codes = Frame {
            route: Route::TransportFlood,
            ..frame
        };
        assert_eq!(without_codes.encode(), Err(EncodeError::TransportCodes));
    }
}
