//! Whole-object tests: tools that read CoreScope's data rely on each name and form.

use serde_json::json;

use super::*;
use crate::channel::ChannelKey;
use crate::keys::Identity;
use crate::payload::{Advert, AppData, GroupEncrypted, NodeType};

fn decoded_hex(raw: &str, keys: &ChannelKeys) -> Value {
    let bytes = hex::decode(raw).unwrap();
    let frame = Frame::decode(&bytes).unwrap();
    let value = decoded_json(&frame, &frame.decode_payload(), keys);
    let text = decoded_json_string(&frame, &Analysis::new(&frame, keys));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    value
}

fn advert(timestamp: u32, app_data: &[u8]) -> Value {
    let advert = Advert::sign(&Identity::from_seed([1; 32]), timestamp, app_data);
    let raw = [&[0x11, 0][..], &advert.encode().unwrap()].concat();
    decoded_hex(&hex::encode(raw), &ChannelKeys::new())
}

fn group(type_bits: u8, channel: &ChannelKey, plaintext: &[u8], keys: &ChannelKeys) -> Value {
    let payload = GroupEncrypted::seal(channel, plaintext).unwrap();
    let raw = [&[type_bits << 2 | 1, 0][..], &payload].concat();
    let mut value = decoded_hex(&hex::encode(raw), keys);
    // What depends on the cipher is tested elsewhere.
    let object = value.as_object_mut().unwrap();
    object.remove("mac");
    object.remove("encryptedData");
    value
}

#[test]
fn adverts_have_flags_position_and_name() {
    let data = AppData::new(NodeType::REPEATER).with_location(-33_500_000, 151_250_000);
    let value = advert(0, &data.with_name("Hill").encode().unwrap());
    let signature = value["signature"].clone();
    assert_eq!(
        value,
        json!({
            "type": "ADVERT",
            "pubKey": Identity::from_seed([1; 32]).public_key().to_string(),
            "timestamp": 0,
            "timestampISO": "1970-01-01T00:00:00.000Z",
            "signature": signature,
            "signatureValid": true,
            "flags": {
                "raw": 0x92, "type": 2, "chat": false, "repeater": true, "room": false,
                "sensor": false, "hasLocation": true, "hasFeat1": false, "hasFeat2": false,
                "hasName": true,
            },
            "lat": -33.5,
            "lon": 151.25,
            "name": "Hill",
        })
    );
}

#[test]
fn bad_app_data_gives_flags_only_and_bad_positions_are_left_out() {
    let short = advert(1, &[0x92, 1, 2]);
    assert_eq!(
        (&short["flags"]["raw"], short.get("name")),
        (&json!(0x92), None)
    );
    assert!(advert(1, &[]).get("flags").is_none());
    let off_globe = AppData::new(NodeType::CHAT)
        .with_location(90_000_001, 1)
        .encode()
        .unwrap();
    assert!(advert(1, &off_globe).get("lat").is_none());
}

#[test]
fn opened_texts_become_chan_and_keep_a_zero_hash_and_time() {
    let zero = (0..100_000)
        .map(|n| ChannelKey::hashtag(&format!("#{n}")))
        .find(|key| key.hash() == 0)
        .unwrap();
    let keys: ChannelKeys = [zero.clone()].into_iter().collect();
    let value = group(5, &zero, b"\0\0\0\0\0Alice: hello", &keys);
    assert_eq!(
        value,
        json!({
            "type": "CHAN", "channel": zero.name(), "channelHash": 0, "channelHashHex": "00",
            "decryptionStatus": "decrypted", "sender": "Alice", "text": "Alice: hello",
            "sender_timestamp": 0,
        })
    );
    let other_type = group(5, &zero, b"\0\0\0\0\x04cli", &keys);
    assert_eq!(
        (other_type.get("text"), other_type.get("sender")),
        (None, None)
    );
    let closed = json!({
        "type": "GRP_TXT", "channelHash": 0, "channelHashHex": "00", "decryptionStatus": "no_key",
    });
    assert_eq!(group(5, &zero, b"\0\0\0\0\0x", &ChannelKeys::new()), closed);
}

#[test]
fn datagrams_have_a_blob_or_an_error() {
    let channel = ChannelKey::public();
    let keys: ChannelKeys = [channel.clone()].into_iter().collect();
    let mut expected = json!({
        "type": "GRP_DATA", "channel": "Public", "channelHash": 0x11, "channelHashHex": "11",
        "decryptionStatus": "decrypted", "dataType": 0xff01, "dataLen": 2, "decryptedBlob": "0708",
    });
    assert_eq!(group(6, &channel, &[0x01, 0xff, 2, 7, 8], &keys), expected);
    let object = expected.as_object_mut().unwrap();
    object.remove("decryptedBlob");
    object.insert("dataLen".to_owned(), json!(200));
    object.insert("error".to_owned(), json!("bad_data_len"));
    assert_eq!(
        group(6, &channel, &[0x01, 0xff, 200, 7, 8], &keys),
        expected
    );
}

#[test]
fn other_types_have_corescopes_fields() {
    let cases = [
        (
            "090001020304aa",
            json!({"type": "TXT_MSG", "destHash": "01", "srcHash": "02", "mac": "0304",
                "encryptedData": "aa"}),
        ),
        (
            "210001020304aa",
            json!({"type": "PATH", "destHash": "01", "srcHash": "02", "mac": "0304",
                "pathData": "aa"}),
        ),
        (
            "0d00c00014d3",
            json!({"type": "ACK", "extraHash": "d31400c0", "ackLen": 4}),
        ),
        (
            "0d00c00014d307",
            json!({"type": "ACK", "extraHash": "d31400c0", "ackLen": 5}),
        ),
        (
            "0d00c00014d30405",
            json!({"type": "ACK", "extraHash": "d31400c0", "ackLen": 6, "ackAttempt": 4,
                "ackRand": 5}),
        ),
        (
            "260119000000000000000000e0",
            json!({"type": "TRACE", "tag": 0, "authCode": 0, "traceFlags": 0, "pathData": "e0",
                "snrValues": [6.25]}),
        ),
        (
            "2a0023c00014d30405",
            json!({"type": "MULTIPART", "remaining": 2, "innerType": 3, "innerTypeName": "ACK",
                "innerAckCrc": "d31400c0", "innerAckLen": 6, "innerAckAttempt": 4,
                "innerAckRand": 5}),
        ),
        (
            "2a003c0102",
            json!({"type": "MULTIPART", "remaining": 3, "innerType": 12,
                "innerTypeName": "UNKNOWN", "innerPayload": "0102"}),
        ),
        (
            "2e00800400000000",
            json!({"type": "CONTROL", "ctrlFlags": "80", "ctrlZeroHop": true, "ctrlLength": 6,
                "ctrlSubtype": "DISCOVER_REQ", "ctrlFilter": 4, "ctrlTag": 0,
                "raw": "800400000000"}),
        ),
        (
            "2e0092ec010000000102030405060708",
            json!({"type": "CONTROL", "ctrlFlags": "92", "ctrlZeroHop": true, "ctrlLength": 14,
                "ctrlSubtype": "DISCOVER_RESP", "ctrlNodeType": 2, "ctrlSNR": -20, "ctrlTag": 1,
                "ctrlPubKey": "0102030405060708", "raw": "92ec010000000102030405060708"}),
        ),
        (
            "3e00abcd",
            json!({"type": "RAW_CUSTOM", "rawLength": 2, "firstByteTag": "AB", "raw": "abcd"}),
        ),
        ("3100ab", json!({"type": "UNKNOWN", "raw": "ab"})),
        (
            "0d0001",
            json!({"type": "ACK", "error": "too short", "raw": "01"}),
        ),
        (
            "110001",
            json!({"type": "ADVERT", "error": "too short for advert", "raw": "01"}),
        ),
    ];
    for (raw, expected) in cases {
        assert_eq!(decoded_hex(raw, &ChannelKeys::new()), expected, "{raw}");
    }
}

#[test]
fn hops_and_channel_hash_are_upper_case() {
    let keys = ChannelKeys::new();
    let bytes = hex::decode("1541abcdfa0102aa").unwrap();
    let frame = Frame::decode(&bytes).unwrap();
    let analysis = Analysis::new(&frame, &keys);
    assert_eq!(hops(&frame, &analysis.payload), ["ABCD"]);
    assert_eq!(path_json(&frame, &analysis.payload), r#"["ABCD"]"#);
    assert_eq!(channel_hash(&analysis).as_deref(), Some("enc_FA"));
    let trace = hex::decode("260119000000000000000000e0a6").unwrap();
    let frame = Frame::decode(&trace).unwrap();
    assert_eq!(path_json(&frame, &frame.decode_payload()), r#"["E0","A6"]"#);
}
