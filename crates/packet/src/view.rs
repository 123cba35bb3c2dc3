//! The typed form of a frame as JSON: what `meshcore decode --json` prints, with the field names of
//! the fixture files (section 15 of the protocol document).
//!
//! Numbers are numbers, bytes are lower-case hex, and what a frame does not have is `null`.

mod decrypted;
mod payload;

pub use crate::hex_view::{Hex, HexArray};
pub use decrypted::{DecryptedView, GroupDecryptedView, PlaintextView};
pub use payload::{AckView, AdvertView, LocationView, PayloadView};

use serde::Serialize;

use crate::analysis::Analysis;
use crate::error::PayloadError;
use crate::frame::Frame;
use crate::packet_hash::PacketHash;
use crate::region::RegionKeys;

/// What is known beside the frame and the channel keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'k> {
    /// Regions to try; without them the view has no `scope`.
    pub regions: Option<&'k RegionKeys>,
    /// The secret of the two nodes of an encrypted payload; without it the view has no
    /// `decryption` for payloads between two nodes.
    pub shared_secret: Option<&'k [u8; 32]>,
}

/// A frame with all of its fields.
#[derive(Clone, Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of section 15 of the protocol document"
)]
pub struct FrameView<'a> {
    pub route: &'static str,
    pub payload_type: u8,
    pub payload_type_name: &'static str,
    pub version: u8,
    pub transport_codes: Option<[u16; 2]>,
    /// Absent without regions to try; `null` when none of them fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Option<String>>,
    pub path_len_byte: u8,
    pub path_hash_size: usize,
    pub path_hash_count: usize,
    pub path: Vec<Hex<'a>>,
    pub payload_len: usize,
    pub packet_hash: PacketHash,
    /// Absent when the payload does not decode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadView<'a>>,
    /// Present when the payload does not decode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_error: Option<ErrorView>,
}

/// Why a payload does not decode.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorView {
    /// The stable short name.
    pub kind: &'static str,
    /// The same for people, with the facts.
    pub message: String,
}

impl From<PayloadError> for ErrorView {
    fn from(err: PayloadError) -> Self {
        Self {
            kind: err.kind(),
            message: err.to_string(),
        }
    }
}

/// The view of a frame, from the analysis of that frame.
pub fn view<'a>(
    frame: &Frame<'a>,
    analysis: &Analysis<'a, '_>,
    inputs: &Inputs<'_>,
) -> FrameView<'a> {
    let scope = inputs
        .regions
        .map(|regions| regions.scope(frame).map(str::to_owned));
    let (payload, payload_error) = match &analysis.payload {
        Ok(payload) => (Some(payload::view(frame, payload, analysis, inputs)), None),
        Err(err) => (None, Some(ErrorView::from(*err))),
    };
    FrameView {
        route: frame.route.name(),
        payload_type: frame.payload_type.code(),
        payload_type_name: frame.payload_type.name(),
        version: frame.version(),
        transport_codes: frame.transport_codes,
        scope,
        path_len_byte: frame.path.len_byte(),
        path_hash_size: frame.path.hash_size(),
        path_hash_count: frame.path.count(),
        path: frame.path.entries().map(Hex).collect(),
        payload_len: frame.payload.len(),
        packet_hash: frame.packet_hash(),
        payload,
        payload_error,
    }
}
