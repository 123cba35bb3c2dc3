//! CoreScope's form of an advert.

use serde::Serialize;

use super::time::iso_millis;
use crate::hex_view::HexArray;
use crate::keys::PublicKey;
use crate::payload::{Advert, NodeType};

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdvertJson {
    pub_key: PublicKey,
    timestamp: u32,
    #[serde(rename = "timestampISO")]
    timestamp_iso: String,
    signature: HexArray<64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_valid: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<FlagsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lat: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feat1: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feat2: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "CoreScope spells out every flag"
)]
struct FlagsJson {
    raw: u8,
    #[serde(rename = "type")]
    node_type: u8,
    chat: bool,
    repeater: bool,
    room: bool,
    sensor: bool,
    has_location: bool,
    has_feat1: bool,
    has_feat2: bool,
    has_name: bool,
}

impl FlagsJson {
    fn new(raw: u8) -> Self {
        let node_type = NodeType::from_bits(raw);
        Self {
            raw,
            node_type: node_type.code(),
            chat: node_type == NodeType::CHAT,
            repeater: node_type == NodeType::REPEATER,
            room: node_type == NodeType::ROOM,
            sensor: node_type == NodeType::SENSOR,
            has_location: raw & 0x10 != 0,
            has_feat1: raw & 0x20 != 0,
            has_feat2: raw & 0x40 != 0,
            has_name: raw & 0x80 != 0,
        }
    }
}

impl AdvertJson {
    pub(super) fn new(advert: &Advert<'_>, signature_valid: Option<bool>) -> Self {
        let data = advert.app_data();
        let position = data.location.filter(|location| location.in_range);
        let (lat, lon) = position.map(|location| location.degrees()).unzip();
        Self {
            pub_key: advert.public_key,
            timestamp: advert.timestamp,
            timestamp_iso: iso_millis(advert.timestamp),
            signature: HexArray(advert.signature),
            signature_valid,
            flags: data.flags.map(FlagsJson::new),
            lat,
            lon,
            feat1: data.feat1,
            feat2: data.feat2,
            name: data.name,
        }
    }
}
