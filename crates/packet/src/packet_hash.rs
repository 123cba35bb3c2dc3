//! The identifier that all copies of one packet share (section 10 of the protocol document).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::bytes::prefix;
use crate::error::KeyError;
use crate::frame::Frame;
use crate::payload_type::PayloadType;

/// First 8 bytes of SHA-256 over payload type and payload; shown as 16 lower-case hex digits.
///
/// Route, transport codes and path do not enter, so every copy of a packet has the same hash. The
/// exception is TRACE, where the path length byte enters and each hop gives another hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketHash(pub [u8; 8]);

impl PacketHash {
    /// The hash of a frame.
    pub fn of(frame: &Frame<'_>) -> Self {
        let mut sha = Sha256::new();
        if frame.payload_type == PayloadType::Trace {
            // The firmware hashes the byte as a u16.
            sha.update([frame.payload_type.code(), frame.path.len_byte(), 0]);
        } else {
            sha.update([frame.payload_type.code()]);
        }
        sha.update(frame.payload);
        Self(prefix(sha.finalize().into()))
    }
}

impl fmt::Display for PacketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for PacketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketHash({self})")
    }
}

impl FromStr for PacketHash {
    type Err = KeyError;

    /// Reads 16 hex digits of either case.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::Encoding)?;
        Ok(Self(bytes))
    }
}

impl Serialize for PacketHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_examples_of_section_10() {
        for (raw, hash) in [
            ("0d00b891647e", "2f9433967c56017a"),
            ("2602aabbdeadbeef000000000011", "1416911e61e59c7a"),
        ] {
            let bytes = hex::decode(raw).unwrap();
            let packet_hash = Frame::decode(&bytes).unwrap().packet_hash();
            assert_eq!(packet_hash.to_string(), hash);
            assert_eq!(hash.to_uppercase().parse(), Ok(packet_hash));
        }
    }
}
