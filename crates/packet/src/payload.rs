//! Payloads: one type for each meaning that the bytes behind the path can have (sections 7 and 8).

mod ack;
mod advert;
mod anon_request;
mod app_data;
mod control;
mod encrypted;
mod group;
mod multipart;
mod node_type;
mod trace;

pub use ack::{Ack, ack_checksum};
pub use advert::Advert;
pub use anon_request::AnonRequest;
pub use app_data::{AppData, Location, cut_name};
pub use control::{Control, DiscoverRequest, DiscoverResponse};
pub use encrypted::Encrypted;
pub use group::GroupEncrypted;
pub use multipart::Multipart;
pub use node_type::NodeType;
pub use trace::Trace;

use crate::error::{EncodeError, PayloadError};
use crate::frame::Frame;
use crate::limits::MAX_PAYLOAD_LEN;
use crate::payload_type::PayloadType;

/// A decoded payload. It borrows the bytes of its frame; nothing is verified or decrypted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload<'a> {
    /// REQ, encrypted between two nodes.
    Request(Encrypted<'a>),
    /// RESPONSE, encrypted between two nodes.
    Response(Encrypted<'a>),
    /// `TXT_MSG`, encrypted between two nodes.
    Text(Encrypted<'a>),
    /// PATH, encrypted between two nodes.
    Path(Encrypted<'a>),
    /// ACK.
    Ack(Ack<'a>),
    /// ADVERT.
    Advert(Advert<'a>),
    /// `GRP_TXT`, encrypted to a channel.
    GroupText(GroupEncrypted<'a>),
    /// `GRP_DATA`, encrypted to a channel.
    GroupData(GroupEncrypted<'a>),
    /// `ANON_REQ`, encrypted from a key that it carries.
    AnonRequest(AnonRequest<'a>),
    /// TRACE.
    Trace(Trace<'a>),
    /// MULTIPART.
    Multipart(Multipart<'a>),
    /// CONTROL.
    Control(Control<'a>),
    /// `RAW_CUSTOM`: bytes without a defined meaning.
    RawCustom(&'a [u8]),
    /// A reserved type: bytes without a defined meaning.
    Reserved(PayloadType, &'a [u8]),
}

impl<'a> Payload<'a> {
    /// Reads the payload of a frame by its type. TRACE reads the path of the frame too.
    pub(crate) fn decode(frame: &Frame<'a>) -> Result<Self, PayloadError> {
        let (payload_type, bytes) = (frame.payload_type, frame.payload);
        Ok(match payload_type {
            PayloadType::Request => Self::Request(Encrypted::decode(payload_type, bytes)?),
            PayloadType::Response => Self::Response(Encrypted::decode(payload_type, bytes)?),
            PayloadType::Text => Self::Text(Encrypted::decode(payload_type, bytes)?),
            PayloadType::Path => Self::Path(Encrypted::decode(payload_type, bytes)?),
            PayloadType::Ack => Self::Ack(Ack::decode(bytes)?),
            PayloadType::Advert => Self::Advert(Advert::decode(bytes)?),
            PayloadType::GroupText => Self::GroupText(GroupEncrypted::decode(payload_type, bytes)?),
            PayloadType::GroupData => Self::GroupData(GroupEncrypted::decode(payload_type, bytes)?),
            PayloadType::AnonRequest => Self::AnonRequest(AnonRequest::decode(bytes)?),
            PayloadType::Trace => Self::Trace(Trace::decode(frame.path, bytes)?),
            PayloadType::Multipart => Self::Multipart(Multipart::decode(bytes)?),
            PayloadType::Control => Self::Control(Control::decode(bytes)?),
            PayloadType::RawCustom => Self::RawCustom(bytes),
            PayloadType::Reserved0C | PayloadType::Reserved0D | PayloadType::Reserved0E => {
                Self::Reserved(payload_type, bytes)
            }
        })
    }

    /// The payload bytes. For TRACE the signal values are not among them: they travel in the path
    /// of the frame ([`Trace::path`]).
    ///
    /// # Errors
    ///
    /// When a field does not fit its place, or the payload has more than 184 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Request(encrypted)
            | Self::Response(encrypted)
            | Self::Text(encrypted)
            | Self::Path(encrypted) => encrypted.encode(),
            Self::Ack(ack) => ack.encode(),
            Self::Advert(advert) => advert.encode(),
            Self::GroupText(group) | Self::GroupData(group) => group.encode(),
            Self::AnonRequest(request) => request.encode(),
            Self::Trace(trace) => trace.encode(),
            Self::Multipart(multipart) => multipart.encode(),
            Self::Control(control) => control.encode(),
            Self::RawCustom(bytes) | Self::Reserved(_, bytes) => payload_bytes(&[bytes]),
        }
    }

    /// The type that a frame with this payload has.
    pub fn payload_type(&self) -> PayloadType {
        match self {
            Self::Request(_) => PayloadType::Request,
            Self::Response(_) => PayloadType::Response,
            Self::Text(_) => PayloadType::Text,
            Self::Path(_) => PayloadType::Path,
            Self::Ack(_) => PayloadType::Ack,
            Self::Advert(_) => PayloadType::Advert,
            Self::GroupText(_) => PayloadType::GroupText,
            Self::GroupData(_) => PayloadType::GroupData,
            Self::AnonRequest(_) => PayloadType::AnonRequest,
            Self::Trace(_) => PayloadType::Trace,
            Self::Multipart(_) => PayloadType::Multipart,
            Self::Control(_) => PayloadType::Control,
            Self::RawCustom(_) => PayloadType::RawCustom,
            Self::Reserved(payload_type, _) => *payload_type,
        }
    }
}

/// Checks the least length of a payload. The error comes back also on success, for the reads that
/// follow and cannot fail any more.
fn need(
    payload_type: PayloadType,
    bytes: &[u8],
    need: usize,
) -> Result<PayloadError, PayloadError> {
    let too_short = PayloadError::TooShort {
        payload_type,
        len: bytes.len(),
        need,
    };
    if bytes.len() < need {
        Err(too_short)
    } else {
        Ok(too_short)
    }
}

/// Joins the parts of a payload, at most 184 bytes.
fn payload_bytes(parts: &[&[u8]]) -> Result<Vec<u8>, EncodeError> {
    let bytes = parts.concat();
    if bytes.len() > MAX_PAYLOAD_LEN {
        return Err(EncodeError::PayloadTooLong { len: bytes.len() });
    }
    Ok(bytes)
}
