//! CoreScope's names for what a packet holds: its `decoded_json`, `path_json` and `channel_hash`
//! columns, for tools that read its database or API.
//!
//! The names and value forms are CoreScope's. Where its decoder is wrong (section 14 of the
//! protocol document), the values are the firmware's: app data counts to 32 bytes, invalid app data
//! gives no fields, only keys with the right channel hash are tried, and texts of other types are
//! not shown. Unlike there, a value of 0 does not make a field disappear. A position that is not on
//! the globe is left out; the typed form keeps it.

mod advert;
mod build;
mod fields;
mod time;

use std::slice::ChunksExact;

use serde::Serialize;
use serde_json::Value;

use crate::analysis::Analysis;
use crate::channel::{ChannelKeys, Opened};
use crate::error::PayloadError;
use crate::frame::Frame;
use crate::hex_view::Hex;
use crate::payload::Payload;
use crate::payload_type::PayloadType;
use fields::Fields;

/// A payload as CoreScope stores it: one flat object, whose `type` names the variant.
#[derive(Clone, Debug, Serialize)]
pub struct DecodedJson<'a> {
    /// CoreScope's name of the type: that of the protocol, except `CHAN` for a decrypted
    /// `GRP_TXT` and `UNKNOWN` for the reserved types.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    #[serde(flatten)]
    fields: Fields<'a>,
}

/// CoreScope's form of a payload, from the analysis of its frame. `signatureValid` is there when
/// the analysis says whether the signature is good.
pub fn decoded<'a>(frame: &Frame<'a>, analysis: &Analysis<'a, '_>) -> DecodedJson<'a> {
    let mut type_name = type_name(frame.payload_type);
    let fields = match &analysis.payload {
        Err(err) => Fields::Error {
            error: error_text(err).to_owned(),
            raw: Hex(frame.payload),
        },
        Ok(payload) => build::fields(frame, payload, analysis),
    };
    if matches!(fields, Fields::ChannelText { .. }) {
        type_name = "CHAN";
    }
    DecodedJson { type_name, fields }
}

/// The text of CoreScope's `decoded_json` column.
pub fn decoded_json_string(frame: &Frame<'_>, analysis: &Analysis<'_, '_>) -> String {
    // Serializing strings and numbers into memory cannot fail.
    serde_json::to_string(&decoded(frame, analysis)).unwrap_or_default()
}

/// CoreScope's form of a payload as a JSON value. Verifies and opens the payload; callers that
/// have done so take [`decoded`] or [`decoded_json_string`].
pub fn decoded_json(
    frame: &Frame<'_>,
    payload: &Result<Payload<'_>, PayloadError>,
    keys: &ChannelKeys,
) -> Value {
    let mut analysis = Analysis::of_payload(*payload, keys);
    if let Ok(Payload::Advert(advert)) = payload {
        analysis.signature_valid = Some(advert.signature_valid());
    }
    serde_json::to_value(decoded(frame, &analysis)).unwrap_or_default()
}

/// The hops of CoreScope's `path_json` column, in upper-case hex: the path of the frame, or for a
/// TRACE the nodes to visit.
pub fn hops(frame: &Frame<'_>, payload: &Result<Payload<'_>, PayloadError>) -> Vec<String> {
    hop_bytes(frame, payload).map(hex::encode_upper).collect()
}

/// CoreScope's `path_json` column: [`hops`] as a JSON array.
pub fn path_json(frame: &Frame<'_>, payload: &Result<Payload<'_>, PayloadError>) -> String {
    hops_json(hop_bytes(frame, payload))
}

fn hop_bytes<'a>(
    frame: &Frame<'a>,
    payload: &Result<Payload<'a>, PayloadError>,
) -> ChunksExact<'a, u8> {
    match payload {
        Ok(Payload::Trace(trace)) => trace.entries(),
        // The path of a TRACE holds signal values.
        Err(_) if frame.payload_type == PayloadType::Trace => [].chunks_exact(1),
        _ => frame.path.entries(),
    }
}

/// An array of hex texts. Written by hand, as each reception has one.
fn hops_json(hops: ChunksExact<'_, u8>) -> String {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let hop_len = hops.clone().next().map_or(0, <[u8]>::len);
    let mut json = String::with_capacity(hops.len() * (2 * hop_len + 3) + 2);
    json.push('[');
    for (n, hop) in hops.enumerate() {
        json.push_str(if n == 0 { "\"" } else { ",\"" });
        for byte in hop {
            json.push(char::from(DIGITS[usize::from(byte >> 4)]));
            json.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        json.push('"');
    }
    json.push(']');
    json
}

/// CoreScope's `channel_hash` column, which only `GRP_TXT` has: the channel's name when it was
/// opened, else `enc_` and the channel hash in upper-case hex.
pub fn channel_hash(analysis: &Analysis<'_, '_>) -> Option<String> {
    let Ok(Payload::GroupText(group)) = &analysis.payload else {
        return None;
    };
    Some(match &analysis.opened {
        Some(Opened::Ok { channel, .. }) => channel.name().to_owned(),
        _ => format!("enc_{:02X}", group.channel_hash),
    })
}

/// CoreScope's name of a payload type: that of the protocol, except `UNKNOWN` for the reserved ones.
pub fn type_name(payload_type: PayloadType) -> &'static str {
    if payload_type.is_reserved() {
        "UNKNOWN"
    } else {
        payload_type.name()
    }
}

fn error_text(err: &PayloadError) -> &'static str {
    match err {
        PayloadError::TooShort {
            payload_type: PayloadType::Advert,
            ..
        } => "too short for advert",
        PayloadError::TooShort { .. } => "too short",
        err => err.kind(),
    }
}

#[cfg(test)]
mod tests;
