//! ADVERT: a node tells who it is, signed (section 7).

use super::app_data::{AppData, counted};
use super::{need, payload_bytes};
use crate::bytes::Reader;
use crate::error::{EncodeError, PayloadError};
use crate::keys::{Identity, PublicKey};
use crate::limits::MAX_APP_DATA_LEN;
use crate::payload_type::PayloadType;

/// Key, time and the app data that counts: all that the signature covers.
const MAX_SIGNED_LEN: usize = 32 + 4 + MAX_APP_DATA_LEN;

/// An advert.
///
/// ```text
/// public key(32) | timestamp(4) | signature(64) | app data(0..)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Advert<'a> {
    /// The node that advertises itself.
    pub public_key: PublicKey,
    /// Unix seconds by the sender's clock, which is often wrong.
    pub timestamp: u32,
    /// Ed25519 signature over key, timestamp and the first 32 bytes of app data.
    pub signature: [u8; 64],
    /// All app data bytes as received; only the first 32 count.
    pub app_data: &'a [u8],
}

impl<'a> Advert<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(PayloadType::Advert, bytes, 100)?;
        let mut reader = Reader::new(bytes);
        Ok(Self {
            public_key: PublicKey(reader.array().ok_or(too_short)?),
            timestamp: reader.u32().ok_or(too_short)?,
            signature: reader.array().ok_or(too_short)?,
            app_data: reader.rest(),
        })
    }

    /// A signed advert of `identity`. App data above 32 bytes is neither signed nor read.
    pub fn sign(identity: &Identity, timestamp: u32, app_data: &'a [u8]) -> Self {
        let public_key = identity.public_key();
        let mut advert = Self {
            public_key,
            timestamp,
            signature: [0; 64],
            app_data,
        };
        let (message, len) = advert.signed_message();
        advert.signature = identity.sign(message.get(..len).unwrap_or(&message));
        advert
    }

    /// The payload bytes.
    ///
    /// # Errors
    ///
    /// When they are more than 184.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let timestamp = self.timestamp.to_le_bytes();
        payload_bytes(&[
            &self.public_key.0,
            &timestamp,
            &self.signature,
            self.app_data,
        ])
    }

    /// The app data decoded.
    pub fn app_data(&self) -> AppData<'a> {
        AppData::decode(self.app_data)
    }

    /// Whether the node made this signature. Costs some tens of microseconds; corrupted adverts,
    /// which are common on the air, fail here, and must not create or update a node.
    pub fn signature_valid(&self) -> bool {
        let (message, len) = self.signed_message();
        self.public_key
            .verify(message.get(..len).unwrap_or(&message), &self.signature)
    }

    /// What the signature covers, in a buffer of which the first so many bytes count.
    fn signed_message(&self) -> ([u8; MAX_SIGNED_LEN], usize) {
        let app_data = counted(self.app_data);
        let timestamp = self.timestamp.to_le_bytes();
        let parts = self.public_key.0.iter().chain(&timestamp).chain(app_data);
        let mut message = [0; MAX_SIGNED_LEN];
        for (to, from) in message.iter_mut().zip(parts) {
            *to = *from;
        }
        (message, 32 + 4 + app_data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::path::Path;
    use crate::route::Route;

    /// The frame that section 7 of the protocol document gives for node A of section 4.
    const EXAMPLE: &str = "110003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8\
        00f153657ebe223635a6532f05f4662463470f1bf7b3147af8bc95bfa93bb4b22440b7337e5c81b460c5985e\
        28a7cb43c4d57351bc094abe24dbb855afbf62960d039c0992a0d400fe50e4030948696c6c";

    fn node_a() -> Identity {
        let mut seed = [0; 32];
        for (byte, value) in seed.iter_mut().zip(0..) {
            *byte = value;
        }
        Identity::from_seed(seed)
    }

    #[test]
    fn worked_example_of_section_7() {
        let app_data = hex::decode("92a0d400fe50e4030948696c6c").unwrap();
        let advert = Advert::sign(&node_a(), 1_700_000_000, &app_data);
        let frame = Frame {
            route: Route::Flood,
            payload_type: PayloadType::Advert,
            transport_codes: None,
            path: Path::empty(),
            payload: &advert.encode().unwrap(),
        };
        assert_eq!(hex::encode(frame.encode().unwrap()), EXAMPLE);
        assert!(advert.signature_valid());
        let decoded = advert.app_data();
        assert_eq!(decoded.name.as_deref(), Some("Hill"));
        assert_eq!(decoded.location.unwrap().degrees(), (-33.5, 151.25));
    }

    #[test]
    fn the_signature_covers_32_bytes_of_app_data() {
        let long = [&[0x81][..], &[b'x'; 39]].concat();
        let advert = Advert::sign(&node_a(), 1, &long);
        assert!(advert.signature_valid());
        assert!(
            Advert {
                app_data: &long[..32],
                ..advert
            }
            .signature_valid()
        );
        assert!(
            !Advert {
                app_data: &long[..31],
                ..advert
            }
            .signature_valid()
        );
        assert!(
            !Advert {
                timestamp: 2,
                ..advert
            }
            .signature_valid()
        );
    }

    #[test]
    fn an_advert_without_app_data_is_an_advert() {
        let advert = Advert::sign(&node_a(), 1, &[]);
        let bytes = advert.encode().unwrap();
        assert_eq!(bytes.len(), 100);
        assert_eq!(Advert::decode(&bytes), Ok(advert));
        assert_eq!(
            Advert::decode(&bytes[..99]).unwrap_err().kind(),
            "payload_too_short"
        );
    }
}
