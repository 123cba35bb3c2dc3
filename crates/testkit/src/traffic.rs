//! Numbered packets: each has a hash of its own, computed here without the code under test.

use serde_json::json;
use sha2::{Digest, Sha256};

/// A message with a packet that no other number has.
#[derive(Debug, Clone)]
pub struct NumberedPacket {
    /// The MQTT topic.
    pub topic: String,
    /// The JSON payload.
    pub payload: Vec<u8>,
    /// The packet's hash as the database has it.
    pub hash: String,
}

/// Packet number `n`, as heard by one of eight observers. It is a `RAW_CUSTOM` frame on a flood route.
pub fn numbered_packet(n: u64) -> NumberedPacket {
    let observer = format!("{:064X}", 0xA0 + n % 8);
    let mut frame = vec![0x3D, 0x01, 0xC4];
    frame.extend(n.to_be_bytes());
    let raw = hex::encode_upper(&frame);
    let payload = json!({
        "origin": format!("Observer {}", n % 8),
        "origin_id": observer,
        "type": "PACKET",
        "direction": "rx",
        "len": frame.len().to_string(),
        "raw": raw,
        "SNR": "7.25",
        "RSSI": "-92",
    });
    NumberedPacket {
        topic: format!("meshcore/SJC/{observer}/packets"),
        payload: payload.to_string().into_bytes(),
        hash: packet_hash_of(&frame),
    }
}

/// The packet hash of a frame that is known to be good, by the protocol document, section 10.
///
/// # Panics
/// When the frame isn't good.
pub fn packet_hash_of(frame: &[u8]) -> String {
    let (path, payload) = path_and_payload_of(frame);
    let payload_type = (frame[0] >> 2) & 15;
    let mut hasher = Sha256::new();
    hasher.update([payload_type]);
    if payload_type == 9 {
        // TRACE: the path holds one byte a hop, so its length is its count.
        hasher.update([u8::try_from(path.len()).expect("at most 64"), 0]);
    }
    hasher.update(payload);
    hex::encode(&hasher.finalize()[..8])
}

/// The path and the payload of a frame that is known to be good, by the protocol document, section 1.
///
/// # Panics
/// When the frame isn't good.
pub fn path_and_payload_of(frame: &[u8]) -> (&[u8], &[u8]) {
    let codes = if matches!(frame[0] & 3, 0 | 3) { 4 } else { 0 };
    let path_len = frame[1 + codes];
    let path = usize::from((path_len >> 6) + 1) * usize::from(path_len & 63);
    frame[2 + codes..].split_at(path)
}
