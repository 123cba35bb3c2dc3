//! From typed payloads to CoreScope's fields.

use std::borrow::Cow;

use super::advert::AdvertJson;
use super::fields::{ControlJson, Fields};
use super::type_name;
use crate::analysis::Analysis;
use crate::channel::Opened;
use crate::error::PlaintextError;
use crate::frame::Frame;
use crate::hex_view::Hex;
use crate::payload::{
    Ack, AnonRequest, Control, Encrypted, GroupEncrypted, Multipart, Payload, Trace,
};
use crate::plaintext::{GroupDatagram, GroupMessage, split_sender};

pub(super) fn fields<'a>(
    frame: &Frame<'a>,
    payload: &Payload<'a>,
    analysis: &Analysis<'a, '_>,
) -> Fields<'a> {
    match payload {
        Payload::Request(wrapper) | Payload::Response(wrapper) | Payload::Text(wrapper) => {
            encrypted(wrapper)
        }
        Payload::Path(wrapper) => path(wrapper),
        Payload::AnonRequest(request) => anon_request(request),
        Payload::Ack(ack) => {
            let (ack_attempt, ack_rand) = attempt_and_random(ack);
            let extra_hash = format!("{:08x}", ack.checksum);
            Fields::Ack {
                extra_hash,
                ack_len: ack_len(ack),
                ack_attempt,
                ack_rand,
            }
        }
        Payload::Advert(advert) => {
            Fields::Advert(Box::new(AdvertJson::new(advert, analysis.signature_valid)))
        }
        Payload::GroupText(group) => group_text(group, analysis.opened.as_ref()),
        Payload::GroupData(group) => group_data(group, analysis.opened.as_ref()),
        Payload::Trace(trace) => trace_fields(trace),
        Payload::Multipart(multipart) => multipart_fields(multipart),
        Payload::Control(control) => Fields::Control(control_fields(control, frame.payload)),
        Payload::RawCustom(data) => Fields::RawCustom {
            raw_length: data.len(),
            first_byte_tag: data.first().map(|first| format!("{first:02X}")),
            raw: Hex(data),
        },
        Payload::Reserved(_, data) => Fields::Unknown { raw: Hex(data) },
    }
}

fn encrypted<'a>(wrapper: &Encrypted<'a>) -> Fields<'a> {
    Fields::Encrypted {
        dest_hash: hex::encode([wrapper.dest_hash]),
        src_hash: hex::encode([wrapper.src_hash]),
        mac: hex::encode(wrapper.mac),
        encrypted_data: Hex(wrapper.ciphertext),
    }
}

fn path<'a>(wrapper: &Encrypted<'a>) -> Fields<'a> {
    Fields::Path {
        dest_hash: hex::encode([wrapper.dest_hash]),
        src_hash: hex::encode([wrapper.src_hash]),
        mac: hex::encode(wrapper.mac),
        path_data: Hex(wrapper.ciphertext),
    }
}

fn anon_request<'a>(request: &AnonRequest<'a>) -> Fields<'a> {
    Fields::AnonRequest {
        dest_hash: hex::encode([request.dest_hash]),
        ephemeral_pub_key: request.sender,
        mac: hex::encode(request.mac),
        encrypted_data: Hex(request.ciphertext),
    }
}

fn closed_group<'a>(group: &GroupEncrypted<'a>, opened: Option<&Opened<'_>>) -> Fields<'a> {
    let failed = matches!(opened, Some(Opened::MacMismatch | Opened::Ok { .. }));
    Fields::ClosedGroup {
        channel_hash: group.channel_hash,
        channel_hash_hex: hex::encode_upper([group.channel_hash]),
        decryption_status: if failed {
            "decryption_failed"
        } else {
            "no_key"
        },
        mac: hex::encode(group.mac),
        encrypted_data: Hex(group.ciphertext),
    }
}

fn group_text<'a>(group: &GroupEncrypted<'a>, opened: Option<&Opened<'_>>) -> Fields<'a> {
    let Some(Opened::Ok { channel, plaintext }) = opened else {
        return closed_group(group, opened);
    };
    let Ok(message) = GroupMessage::decode(plaintext) else {
        return closed_group(group, opened);
    };
    let text = message.text_lossy();
    Fields::ChannelText {
        channel: channel.name().to_owned(),
        channel_hash: group.channel_hash,
        channel_hash_hex: hex::encode_upper([group.channel_hash]),
        decryption_status: "decrypted",
        sender: text
            .as_deref()
            .and_then(|text| split_sender(text).0)
            .map(str::to_owned),
        text: text.map(Cow::into_owned),
        sender_timestamp: message.timestamp,
    }
}

fn group_data<'a>(group: &GroupEncrypted<'a>, opened: Option<&Opened<'_>>) -> Fields<'a> {
    let Some(Opened::Ok { channel, plaintext }) = opened else {
        return closed_group(group, opened);
    };
    let (data_type, data_len) = GroupDatagram::header(plaintext).unzip();
    let datagram = GroupDatagram::decode(plaintext);
    Fields::ChannelData {
        channel: channel.name().to_owned(),
        channel_hash: group.channel_hash,
        channel_hash_hex: hex::encode_upper([group.channel_hash]),
        decryption_status: "decrypted",
        data_type,
        data_len,
        decrypted_blob: datagram.ok().map(|datagram| hex::encode(datagram.data)),
        error: datagram.err().as_ref().map(PlaintextError::kind),
    }
}

fn trace_fields<'a>(trace: &Trace<'a>) -> Fields<'a> {
    Fields::Trace {
        tag: trace.tag,
        auth_code: trace.auth_code,
        trace_flags: trace.flags,
        path_data: Hex(trace.hashes),
        snr_values: trace.snrs_db().collect(),
    }
}

fn multipart_fields<'a>(multipart: &Multipart<'a>) -> Fields<'a> {
    let remaining = multipart.remaining;
    let inner_type = multipart.inner_type.code();
    let inner_type_name = type_name(multipart.inner_type);
    let Some(ack) = multipart.ack() else {
        let inner_payload = Hex(multipart.inner);
        return Fields::Multipart {
            remaining,
            inner_type,
            inner_type_name,
            inner_payload,
        };
    };
    let (inner_ack_attempt, inner_ack_rand) = attempt_and_random(&ack);
    Fields::MultipartAck {
        remaining,
        inner_type,
        inner_type_name,
        inner_ack_crc: format!("{:08x}", ack.checksum),
        inner_ack_len: ack_len(&ack),
        inner_ack_attempt,
        inner_ack_rand,
    }
}

fn control_fields<'a>(control: &Control<'a>, payload: &'a [u8]) -> ControlJson<'a> {
    let (request, response) = match control {
        Control::DiscoverRequest(request) => (Some(request), None),
        Control::DiscoverResponse(response) => (None, Some(response)),
        Control::Other { .. } => (None, None),
    };
    let response_tag = response.map(|response| response.tag);
    ControlJson {
        ctrl_flags: hex::encode([control.flags()]),
        ctrl_zero_hop: control.flags() & 0x80 != 0,
        ctrl_length: payload.len(),
        ctrl_subtype: control.sub_type_name(),
        ctrl_filter: request.map(|request| request.type_filter),
        ctrl_tag: request.map(|request| request.tag).or(response_tag),
        ctrl_since: request.and_then(|request| request.since),
        ctrl_node_type: response.map(|response| response.node_type().code()),
        ctrl_snr: response.map(|response| response.snr),
        ctrl_pub_key: response.map(|response| Hex(response.public_key)),
        raw: Hex(payload),
    }
}

/// Extended attempt and random byte. A single extra byte is neither: it is the number of posts
/// that a room server has for the client.
fn attempt_and_random(ack: &Ack<'_>) -> (Option<u8>, Option<u8>) {
    match ack.extra {
        [attempt, random, ..] => (Some(*attempt), Some(*random)),
        _ => (None, None),
    }
}

/// Length of an ACK as CoreScope gives it: at most 6.
fn ack_len(ack: &Ack<'_>) -> usize {
    (4 + ack.extra.len()).min(6)
}
