//! The views of decrypted contents.

use std::borrow::Cow;

use serde::Serialize;

use crate::channel::Opened;
use crate::error::PlaintextError;
use crate::hex_view::HexArray;
use crate::plaintext::{
    AnonMessage, GroupDatagram, GroupMessage, Request, Response, ReturnedPath, TextMessage,
    split_sender,
};

/// What came of opening a payload between two nodes.
#[derive(Clone, Debug, Serialize)]
pub struct PlaintextView {
    /// `ok` or `mac_mismatch`.
    pub decryption: &'static str,
    /// The plaintext with its zero padding.
    pub plaintext_hex: Option<String>,
    /// The plaintext by type.
    pub decrypted: Option<DecryptedView>,
}

impl PlaintextView {
    pub(super) fn new(plaintext: Option<Vec<u8>>, decode: fn(&[u8]) -> DecryptedView) -> Self {
        Self {
            decryption: if plaintext.is_some() {
                "ok"
            } else {
                "mac_mismatch"
            },
            plaintext_hex: plaintext.as_ref().map(hex::encode),
            decrypted: plaintext.map(|plaintext| decode(&plaintext)),
        }
    }
}

/// The content of a payload between two nodes.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(
    missing_docs,
    reason = "the fields are those of section 15 of the protocol document"
)]
pub enum DecryptedView {
    Text {
        timestamp: u32,
        flags: u8,
        txt_type: u8,
        attempt: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        sender_prefix: Option<HexArray<4>>,
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text_hex: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        extended_attempt: Option<u8>,
    },
    Path {
        path_len_byte: u8,
        path_hash_size: usize,
        path_hash_count: usize,
        path: Vec<String>,
        extra_type: u8,
        extra_type_name: &'static str,
        extra_padded_hex: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_ack_checksum: Option<u32>,
    },
    /// REQ and `ANON_REQ`.
    Request {
        timestamp: u32,
        data_padded_hex: String,
    },
    Response {
        tag: u32,
        data_padded_hex: String,
    },
    /// The plaintext does not decode.
    Error {
        error: &'static str,
    },
}

impl DecryptedView {
    pub(super) fn text(bytes: &[u8]) -> Self {
        TextMessage::decode(bytes).map_or_else(Self::error, |message| Self::Text {
            timestamp: message.timestamp,
            flags: message.flags,
            txt_type: message.text_type(),
            attempt: message.attempt(),
            sender_prefix: message.sender_prefix.map(HexArray),
            text: message.text_lossy().map(Cow::into_owned),
            text_hex: message.text.map(hex::encode),
            extended_attempt: message.extended_attempt,
        })
    }

    pub(super) fn returned_path(bytes: &[u8]) -> Self {
        ReturnedPath::decode(bytes).map_or_else(Self::error, |returned| Self::Path {
            path_len_byte: returned.path.len_byte(),
            path_hash_size: returned.path.hash_size(),
            path_hash_count: returned.path.count(),
            path: returned.path.entries().map(hex::encode).collect(),
            extra_type: returned.extra_type().code(),
            extra_type_name: returned.extra_type().name(),
            extra_padded_hex: hex::encode(returned.extra),
            extra_ack_checksum: returned.ack_checksum(),
        })
    }

    pub(super) fn request(bytes: &[u8]) -> Self {
        Request::decode(bytes).map_or_else(Self::error, |request| Self::Request {
            timestamp: request.timestamp,
            data_padded_hex: hex::encode(request.data),
        })
    }

    pub(super) fn anon_message(bytes: &[u8]) -> Self {
        AnonMessage::decode(bytes).map_or_else(Self::error, |message| Self::Request {
            timestamp: message.timestamp,
            data_padded_hex: hex::encode(message.data),
        })
    }

    pub(super) fn response(bytes: &[u8]) -> Self {
        Response::decode(bytes).map_or_else(Self::error, |response| Self::Response {
            tag: response.tag,
            data_padded_hex: hex::encode(response.data),
        })
    }

    fn error(err: PlaintextError) -> Self {
        Self::Error { error: err.kind() }
    }
}

/// The content of a payload to a channel.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(
    missing_docs,
    reason = "the fields are those of section 15 of the protocol document"
)]
pub enum GroupDecryptedView {
    Text {
        channel: String,
        timestamp: u32,
        flags: u8,
        txt_type: u8,
        attempt: u8,
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text_hex: Option<String>,
        sender: Option<String>,
        message: Option<String>,
    },
    Data {
        channel: String,
        data_type: u16,
        data_len: usize,
        data_hex: String,
    },
    /// A datagram that announces more data than there is, or anything too short.
    Error {
        channel: String,
        error: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data_type: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data_len: Option<usize>,
    },
}

/// The outcome of opening, and the content if there is one. Without an outcome nobody tried.
pub(super) fn group(
    opened: Option<&Opened<'_>>,
    decode: fn(&str, &[u8]) -> GroupDecryptedView,
) -> (&'static str, Option<GroupDecryptedView>) {
    let outcome = opened.unwrap_or(&Opened::NoKey);
    let decrypted = match outcome {
        Opened::Ok { channel, plaintext } => Some(decode(channel.name(), plaintext)),
        Opened::MacMismatch | Opened::NoKey => None,
    };
    (outcome.kind(), decrypted)
}

pub(super) fn group_text(channel: &str, plaintext: &[u8]) -> GroupDecryptedView {
    let channel = channel.to_owned();
    match GroupMessage::decode(plaintext) {
        Ok(message) => {
            let text = message.text_lossy().map(Cow::into_owned);
            let parts = text.as_deref().map(split_sender);
            GroupDecryptedView::Text {
                channel,
                timestamp: message.timestamp,
                flags: message.flags,
                txt_type: message.text_type(),
                attempt: message.attempt(),
                text_hex: message.text.map(hex::encode),
                sender: parts.and_then(|(sender, _)| sender).map(str::to_owned),
                message: parts.map(|(_, message)| message.to_owned()),
                text,
            }
        }
        Err(err) => {
            let error = err.kind();
            GroupDecryptedView::Error {
                channel,
                error,
                data_type: None,
                data_len: None,
            }
        }
    }
}

pub(super) fn group_data(channel: &str, plaintext: &[u8]) -> GroupDecryptedView {
    let channel = channel.to_owned();
    match GroupDatagram::decode(plaintext) {
        Ok(datagram) => GroupDecryptedView::Data {
            channel,
            data_type: datagram.data_type,
            data_len: datagram.data.len(),
            data_hex: hex::encode(datagram.data),
        },
        Err(err) => {
            let (data_type, data_len) = GroupDatagram::header(plaintext).unzip();
            GroupDecryptedView::Error {
                channel,
                error: err.kind(),
                data_type,
                data_len,
            }
        }
    }
}
