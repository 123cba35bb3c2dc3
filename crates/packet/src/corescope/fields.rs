//! CoreScope's fields by payload type.

use serde::Serialize;

use super::advert::AdvertJson;
use crate::hex_view::Hex;
use crate::keys::PublicKey;

#[derive(Clone, Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum Fields<'a> {
    Encrypted {
        dest_hash: String,
        src_hash: String,
        mac: String,
        encrypted_data: Hex<'a>,
    },
    Path {
        dest_hash: String,
        src_hash: String,
        mac: String,
        path_data: Hex<'a>,
    },
    AnonRequest {
        dest_hash: String,
        ephemeral_pub_key: PublicKey,
        mac: String,
        encrypted_data: Hex<'a>,
    },
    Ack {
        extra_hash: String,
        ack_len: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        ack_attempt: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ack_rand: Option<u8>,
    },
    Advert(Box<AdvertJson>),
    ClosedGroup {
        channel_hash: u8,
        channel_hash_hex: String,
        decryption_status: &'static str,
        mac: String,
        encrypted_data: Hex<'a>,
    },
    ChannelText {
        channel: String,
        channel_hash: u8,
        channel_hash_hex: String,
        decryption_status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sender: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(rename = "sender_timestamp")]
        sender_timestamp: u32,
    },
    ChannelData {
        channel: String,
        channel_hash: u8,
        channel_hash_hex: String,
        decryption_status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data_type: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data_len: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        decrypted_blob: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
    },
    Trace {
        tag: u32,
        auth_code: u32,
        trace_flags: u8,
        path_data: Hex<'a>,
        snr_values: Vec<f32>,
    },
    MultipartAck {
        remaining: u8,
        inner_type: u8,
        inner_type_name: &'static str,
        inner_ack_crc: String,
        inner_ack_len: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        inner_ack_attempt: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        inner_ack_rand: Option<u8>,
    },
    Multipart {
        remaining: u8,
        inner_type: u8,
        inner_type_name: &'static str,
        inner_payload: Hex<'a>,
    },
    Control(ControlJson<'a>),
    RawCustom {
        raw_length: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        first_byte_tag: Option<String>,
        raw: Hex<'a>,
    },
    Unknown {
        raw: Hex<'a>,
    },
    Error {
        error: String,
        raw: Hex<'a>,
    },
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ControlJson<'a> {
    pub(super) ctrl_flags: String,
    pub(super) ctrl_zero_hop: bool,
    pub(super) ctrl_length: usize,
    pub(super) ctrl_subtype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ctrl_filter: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ctrl_tag: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ctrl_since: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ctrl_node_type: Option<u8>,
    #[serde(rename = "ctrlSNR", skip_serializing_if = "Option::is_none")]
    pub(super) ctrl_snr: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ctrl_pub_key: Option<Hex<'a>>,
    pub(super) raw: Hex<'a>,
}
