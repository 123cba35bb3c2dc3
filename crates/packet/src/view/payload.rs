//! The views of the payload types.

use serde::Serialize;

use super::Inputs;
use super::decrypted::{self, DecryptedView, GroupDecryptedView, PlaintextView};
use crate::analysis::Analysis;
use crate::frame::Frame;
use crate::hex_view::{Hex, HexArray};
use crate::keys::PublicKey;
use crate::payload::{
    Ack, Advert, AnonRequest, Control, Encrypted, GroupEncrypted, Location, Multipart, NodeType,
    Payload, Trace,
};

/// A payload with all of its fields. Which variant it is follows from the payload type of the
/// frame, so the JSON has no tag of its own.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(
    missing_docs,
    reason = "the fields are those of section 15 of the protocol document"
)]
pub enum PayloadView<'a> {
    Encrypted {
        dest_hash: HexArray<1>,
        src_hash: HexArray<1>,
        mac: HexArray<2>,
        ciphertext: Hex<'a>,
        #[serde(flatten)]
        plaintext: Option<PlaintextView>,
    },
    AnonRequest {
        dest_hash: HexArray<1>,
        sender_public_key: PublicKey,
        mac: HexArray<2>,
        ciphertext: Hex<'a>,
        #[serde(flatten)]
        plaintext: Option<PlaintextView>,
    },
    Group {
        channel_hash: HexArray<1>,
        mac: HexArray<2>,
        ciphertext: Hex<'a>,
        decryption: &'static str,
        decrypted: Option<GroupDecryptedView>,
    },
    Ack(AckView<'a>),
    Advert(Box<AdvertView<'a>>),
    Trace {
        tag: u32,
        auth_code: u32,
        flags: u8,
        hash_size: usize,
        hashes: Vec<Hex<'a>>,
        snrs_db: Vec<f32>,
        hops_total: usize,
        hops_done: usize,
        anomaly: Option<&'static str>,
    },
    Multipart {
        remaining: u8,
        inner_type: u8,
        inner_type_name: &'static str,
        inner_hex: Hex<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ack: Option<AckView<'a>>,
    },
    DiscoverRequest {
        flags: u8,
        sub_type: &'static str,
        prefix_only: bool,
        type_filter: u8,
        tag: u32,
        since: Option<u32>,
    },
    DiscoverResponse {
        flags: u8,
        sub_type: &'static str,
        node_type: u8,
        node_type_name: &'static str,
        snr_db: f32,
        tag: u32,
        public_key: Hex<'a>,
    },
    OtherControl {
        flags: u8,
        sub_type: &'static str,
        data_hex: Hex<'a>,
    },
    Raw {
        data_hex: Hex<'a>,
    },
}

/// An ACK, on its own or inside a MULTIPART.
#[derive(Clone, Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of section 15 of the protocol document"
)]
pub struct AckView<'a> {
    pub checksum: u32,
    /// The checksum's bytes in wire order.
    pub checksum_hex: HexArray<4>,
    pub extra_hex: Hex<'a>,
}

impl<'a> From<Ack<'a>> for AckView<'a> {
    fn from(ack: Ack<'a>) -> Self {
        Self {
            checksum: ack.checksum,
            checksum_hex: HexArray(ack.checksum.to_le_bytes()),
            extra_hex: Hex(ack.extra),
        }
    }
}

/// An ADVERT with its app data.
#[derive(Clone, Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of section 15 of the protocol document"
)]
pub struct AdvertView<'a> {
    pub public_key: PublicKey,
    pub timestamp: u32,
    pub signature: HexArray<64>,
    /// `null` when nobody verified it.
    pub signature_valid: Option<bool>,
    pub app_data_hex: Hex<'a>,
    pub app_data_len: usize,
    pub app_data_valid: bool,
    pub flags: Option<u8>,
    pub node_type: Option<u8>,
    pub node_type_name: Option<&'static str>,
    pub location: Option<LocationView>,
    pub feat1: Option<u16>,
    pub feat2: Option<u16>,
    pub name: Option<String>,
    pub name_hex: Option<Hex<'a>>,
}

/// A position in millionths of a degree.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of section 15 of the protocol document"
)]
pub struct LocationView {
    pub lat_e6: i32,
    pub lon_e6: i32,
    pub in_range: bool,
}

impl From<Location> for LocationView {
    fn from(location: Location) -> Self {
        let Location {
            lat_e6,
            lon_e6,
            in_range,
        } = location;
        Self {
            lat_e6,
            lon_e6,
            in_range,
        }
    }
}

/// The view of a decoded payload.
pub(super) fn view<'a>(
    frame: &Frame<'a>,
    payload: &Payload<'a>,
    analysis: &Analysis<'a, '_>,
    inputs: &Inputs<'_>,
) -> PayloadView<'a> {
    match payload {
        Payload::Request(wrapper) => encrypted(wrapper, inputs, DecryptedView::request),
        Payload::Response(wrapper) => encrypted(wrapper, inputs, DecryptedView::response),
        Payload::Text(wrapper) => encrypted(wrapper, inputs, DecryptedView::text),
        Payload::Path(wrapper) => encrypted(wrapper, inputs, DecryptedView::returned_path),
        Payload::AnonRequest(request) => anon_request(request, inputs),
        Payload::GroupText(group) => grouped(group, analysis, decrypted::group_text),
        Payload::GroupData(group) => grouped(group, analysis, decrypted::group_data),
        Payload::Ack(ack) => PayloadView::Ack((*ack).into()),
        Payload::Advert(advert) => advert_view(advert, analysis.signature_valid),
        Payload::Trace(trace) => trace_view(trace, frame.anomaly()),
        Payload::Multipart(multipart) => multipart_view(multipart),
        Payload::Control(control) => control_view(control),
        Payload::RawCustom(data) | Payload::Reserved(_, data) => PayloadView::Raw {
            data_hex: Hex(data),
        },
    }
}

fn encrypted<'a>(
    wrapper: &Encrypted<'a>,
    inputs: &Inputs<'_>,
    decode: fn(&[u8]) -> DecryptedView,
) -> PayloadView<'a> {
    PayloadView::Encrypted {
        dest_hash: HexArray([wrapper.dest_hash]),
        src_hash: HexArray([wrapper.src_hash]),
        mac: HexArray(wrapper.mac),
        ciphertext: Hex(wrapper.ciphertext),
        plaintext: inputs
            .shared_secret
            .map(|secret| PlaintextView::new(wrapper.open(secret), decode)),
    }
}

fn anon_request<'a>(request: &AnonRequest<'a>, inputs: &Inputs<'_>) -> PayloadView<'a> {
    PayloadView::AnonRequest {
        dest_hash: HexArray([request.dest_hash]),
        sender_public_key: request.sender,
        mac: HexArray(request.mac),
        ciphertext: Hex(request.ciphertext),
        plaintext: inputs
            .shared_secret
            .map(|secret| PlaintextView::new(request.open(secret), DecryptedView::anon_message)),
    }
}

fn grouped<'a>(
    group: &GroupEncrypted<'a>,
    analysis: &Analysis<'a, '_>,
    decode: fn(&str, &[u8]) -> GroupDecryptedView,
) -> PayloadView<'a> {
    let (decryption, decrypted) = decrypted::group(analysis.opened.as_ref(), decode);
    PayloadView::Group {
        channel_hash: HexArray([group.channel_hash]),
        mac: HexArray(group.mac),
        ciphertext: Hex(group.ciphertext),
        decryption,
        decrypted,
    }
}

fn advert_view<'a>(advert: &Advert<'a>, signature_valid: Option<bool>) -> PayloadView<'a> {
    let data = advert.app_data();
    PayloadView::Advert(Box::new(AdvertView {
        public_key: advert.public_key,
        timestamp: advert.timestamp,
        signature: HexArray(advert.signature),
        signature_valid,
        app_data_hex: Hex(advert.app_data),
        app_data_len: advert.app_data.len(),
        app_data_valid: data.valid,
        flags: data.flags,
        node_type: data.node_type.map(NodeType::code),
        node_type_name: data.node_type.map(NodeType::name),
        location: data.location.map(LocationView::from),
        feat1: data.feat1,
        feat2: data.feat2,
        name: data.name,
        name_hex: data.name_raw.map(Hex),
    }))
}

fn trace_view<'a>(trace: &Trace<'a>, anomaly: Option<&'static str>) -> PayloadView<'a> {
    PayloadView::Trace {
        tag: trace.tag,
        auth_code: trace.auth_code,
        flags: trace.flags,
        hash_size: trace.hash_size(),
        hashes: trace.entries().map(Hex).collect(),
        snrs_db: trace.snrs_db().collect(),
        hops_total: trace.hops_total(),
        hops_done: trace.hops_done(),
        anomaly,
    }
}

fn multipart_view<'a>(multipart: &Multipart<'a>) -> PayloadView<'a> {
    PayloadView::Multipart {
        remaining: multipart.remaining,
        inner_type: multipart.inner_type.code(),
        inner_type_name: multipart.inner_type.name(),
        inner_hex: Hex(multipart.inner),
        ack: multipart.ack().map(AckView::from),
    }
}

fn control_view<'a>(control: &Control<'a>) -> PayloadView<'a> {
    let (flags, sub_type) = (control.flags(), control.sub_type_name());
    match control {
        Control::DiscoverRequest(request) => PayloadView::DiscoverRequest {
            flags,
            sub_type,
            prefix_only: request.prefix_only(),
            type_filter: request.type_filter,
            tag: request.tag,
            since: request.since,
        },
        Control::DiscoverResponse(response) => PayloadView::DiscoverResponse {
            flags,
            sub_type,
            node_type: response.node_type().code(),
            node_type_name: response.node_type().name(),
            snr_db: response.snr_db(),
            tag: response.tag,
            public_key: Hex(response.public_key),
        },
        Control::Other { data, .. } => PayloadView::OtherControl {
            flags,
            sub_type,
            data_hex: Hex(data),
        },
    }
}
