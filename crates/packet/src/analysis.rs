//! Everything that costs time, done once for a frame: signature and channel decryption.

use crate::channel::{ChannelKeys, Opened};
use crate::error::PayloadError;
use crate::frame::Frame;
use crate::payload::Payload;

/// A payload with what was found out about it. [`crate::view`] and [`crate::corescope`] take their
/// answers from here, so that nothing is verified or decrypted twice.
#[derive(Clone, Debug)]
pub struct Analysis<'a, 'k> {
    /// The payload, or why there is none.
    pub payload: Result<Payload<'a>, PayloadError>,
    /// Whether an advert's signature is good; `None` for other types, or when nobody looked.
    pub signature_valid: Option<bool>,
    /// What came of opening a `GRP_TXT` or `GRP_DATA`; `None` for other types.
    pub opened: Option<Opened<'k>>,
}

impl<'a, 'k> Analysis<'a, 'k> {
    /// Decodes the payload, verifies its signature and opens it.
    pub fn new(frame: &Frame<'a>, keys: &'k ChannelKeys) -> Self {
        let mut analysis = Self::without_signature(frame, keys);
        if let Ok(Payload::Advert(advert)) = &analysis.payload {
            analysis.signature_valid = Some(advert.signature_valid());
        }
        analysis
    }

    /// Decodes the payload and opens it, but leaves the signature alone: for callers that verify
    /// elsewhere, or not at all, and set `signature_valid` themselves.
    pub fn without_signature(frame: &Frame<'a>, keys: &'k ChannelKeys) -> Self {
        Self::of_payload(frame.decode_payload(), keys)
    }

    /// Opens a payload that is decoded already; leaves the signature alone.
    pub fn of_payload(payload: Result<Payload<'a>, PayloadError>, keys: &'k ChannelKeys) -> Self {
        let opened = match &payload {
            Ok(Payload::GroupText(group) | Payload::GroupData(group)) => Some(group.open(keys)),
            _ => None,
        };
        Self {
            payload,
            signature_valid: None,
            opened,
        }
    }
}
