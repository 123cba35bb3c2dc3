//! The fields of payloads.

use super::{Walk, little_endian};
use crate::frame::Frame;
use crate::payload::{Advert, Control, NodeType, Payload, Trace};
use crate::payload_type::PayloadType;

/// Walks over the payload, which is all that is left of the frame.
pub(super) fn walk(walk: &mut Walk<'_>, frame: &Frame<'_>) {
    match frame.decode_payload() {
        Ok(payload) => fields(walk, &payload),
        Err(err) => walk.fail(err.to_string()),
    }
}

fn fields(walk: &mut Walk<'_>, payload: &Payload<'_>) {
    match payload {
        Payload::Request(_) | Payload::Response(_) | Payload::Text(_) | Payload::Path(_) => {
            walk.hex(1, "destination hash");
            walk.hex(1, "source hash");
            sealed(walk);
        }
        Payload::AnonRequest(_) => {
            walk.hex(1, "destination hash");
            walk.hex(32, "sender public key");
            sealed(walk);
        }
        Payload::GroupText(_) | Payload::GroupData(_) => {
            walk.hex(1, "channel hash");
            sealed(walk);
        }
        Payload::Ack(_) => ack(walk),
        Payload::Advert(advert) => app_data(walk, advert),
        Payload::Trace(trace) => route(walk, trace),
        Payload::Multipart(multipart) => {
            let (remaining, inner_type) = (multipart.remaining, multipart.inner_type);
            walk.field(1, "series", |_| format!("{remaining} more, {inner_type}"));
            if inner_type == PayloadType::Ack {
                ack(walk);
            } else {
                walk.remainder("inner payload");
            }
        }
        Payload::Control(control) => discovery(walk, control),
        Payload::RawCustom(_) | Payload::Reserved(..) => walk.remainder("data"),
    }
}

fn sealed(walk: &mut Walk<'_>) {
    walk.hex(2, "MAC");
    walk.remainder("ciphertext");
}

fn ack(walk: &mut Walk<'_>) {
    walk.number(4, "checksum");
    walk.remainder("extra");
}

fn app_data(walk: &mut Walk<'_>, advert: &Advert<'_>) {
    walk.hex(32, "public key");
    walk.number(4, "timestamp");
    walk.hex(64, "signature");
    let data = advert.app_data();
    if let (Some(flags), Some(node_type)) = (data.flags, data.node_type) {
        walk.field(1, "flags", |_| format!("0x{flags:02x}: {node_type}"));
    }
    if !data.valid {
        walk.remainder("invalid app data");
        return;
    }
    if data.location.is_some() {
        walk.field(4, "latitude", degrees);
        walk.field(4, "longitude", degrees);
    }
    if data.feat1.is_some() {
        walk.number(2, "feature 1");
    }
    if data.feat2.is_some() {
        walk.number(2, "feature 2");
    }
    if let Some(raw) = data.name_raw {
        walk.field(raw.len(), "name", |_| {
            format!("{:?}", data.name.unwrap_or_default())
        });
    }
    walk.remainder("ignored");
}

fn route(walk: &mut Walk<'_>, trace: &Trace<'_>) {
    walk.number(4, "tag");
    walk.number(4, "auth code");
    walk.field(1, "flags", |_| {
        format!("entries of {} bytes", trace.hash_size())
    });
    for _ in 0..trace.hops_total() {
        walk.hex(trace.hash_size(), "node to visit");
    }
}

fn discovery(walk: &mut Walk<'_>, control: &Control<'_>) {
    walk.field(1, "sub-type and flags", |bytes| {
        format!(
            "0x{:02x}: {}",
            little_endian(bytes),
            control.sub_type_name()
        )
    });
    match control {
        Control::DiscoverRequest(request) => {
            walk.field(1, "type filter", |_| types(request.type_filter));
            walk.number(4, "tag");
            if request.since.is_some() {
                walk.number(4, "since");
            }
            walk.remainder("ignored");
        }
        Control::DiscoverResponse(response) => {
            walk.field(1, "SNR of the request", snr);
            walk.number(4, "tag");
            walk.hex(response.public_key.len(), "public key");
            walk.remainder("ignored");
        }
        Control::Other { .. } => walk.remainder("data"),
    }
}

/// The node types whose bits are set.
fn types(filter: u8) -> String {
    let set = (0..8).filter(|bit| filter >> bit & 1 != 0);
    let names: Vec<&str> = set.map(|bit| NodeType::from_bits(bit).name()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// A signal-to-noise ratio from one byte, dB x 4.
pub(super) fn snr(bytes: &[u8]) -> String {
    let quarters = bytes.first().copied().unwrap_or(0).cast_signed();
    format!("{} dB", f32::from(quarters) / 4.0)
}

/// Degrees from four bytes, degrees x 1,000,000.
fn degrees(bytes: &[u8]) -> String {
    format!("{:.6}", f64::from(little_endian(bytes).cast_signed()) / 1e6)
}
