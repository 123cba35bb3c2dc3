//! `POST /api/decode`.

use serde_json::{Value, json};

use crate::harness::Served;

fn hex(text: &str) -> Vec<u8> {
    json!({ "hex": text }).to_string().into_bytes()
}

#[tokio::test]
async fn a_frame_is_decoded_in_both_forms() {
    let served = Served::with(&[]).await;
    let answer = served.post("/api/decode", &hex("0d01 aa\n0000 0007"));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        json!({
            "decoded": {
                "header": {
                    "routeType": 1,
                    "routeTypeName": "FLOOD",
                    "payloadType": 3,
                    "payloadTypeName": "ACK",
                    "payloadVersion": 0,
                },
                "path": { "hashSize": 1, "hashCount": 1, "hops": ["AA"] },
                "payload": { "type": "ACK", "extraHash": "07000000", "ackLen": 4 },
            },
            "frame": {
                "route": "FLOOD",
                "payload_type": 3,
                "payload_type_name": "ACK",
                "version": 0,
                "transport_codes": null,
                "path_len_byte": 1,
                "path_hash_size": 1,
                "path_hash_count": 1,
                "path": ["aa"],
                "payload_len": 4,
                "packet_hash": "d28ca14b6f62d453",
                "payload": { "checksum": 117_440_512, "checksum_hex": "00000007", "extra_hex": "" },
            },
        })
    );
}

#[tokio::test]
async fn transport_codes_and_the_way_of_a_trace_are_told() {
    let served = Served::with(&[]).await;
    let decoded = |frame| served.post("/api/decode", &hex(frame)).body["decoded"].clone();
    // A TRACE with transport codes, two of its three hops behind it.
    let trace = decoded("271234567802283011223344556677 0000AABBCC");
    assert_eq!(
        trace["header"]["transportCodes"],
        json!({ "code1": "1234", "code2": "5678" })
    );
    assert_eq!(
        trace["path"],
        json!({ "hashSize": 1, "hashCount": 2, "hops": ["AA", "BB", "CC"], "hopsCompleted": 2 })
    );
    assert_eq!(trace["payload"]["type"], "TRACE");
}

#[tokio::test]
async fn texts_of_the_public_channel_are_opened() {
    let served = Served::with(&[]).await;
    let key = meshcore_packet::ChannelKey::public();
    let message = meshcore_packet::plaintext::GroupMessage {
        timestamp: 1_700_000_000,
        flags: 0,
        text: Some(b"Ann: hello"),
    };
    let sealed = meshcore_packet::GroupEncrypted::seal(&key, &message.encode().unwrap()).unwrap();
    let answer = served.post("/api/decode", &hex(&format!("1500{}", hex::encode(sealed))));
    let payload = &answer.body["decoded"]["payload"];
    assert_eq!(
        (&payload["type"], &payload["sender"], &payload["text"]),
        (&json!("CHAN"), &json!("Ann"), &json!("Ann: hello"))
    );
}

#[tokio::test]
async fn a_payload_that_does_not_decode_is_said_in_the_answer() {
    let served = Served::with(&[]).await;
    let answer = served.post("/api/decode", &hex("110001"));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body["decoded"]["payload"],
        json!({ "type": "ADVERT", "error": "too short for advert", "raw": "01" })
    );
    assert_eq!(
        answer.body["frame"]["payload_error"]["kind"],
        "payload_too_short"
    );
}

#[tokio::test]
async fn what_is_no_frame_is_refused_with_the_reason() {
    let served = Served::with(&[]).await;
    let form = "the body must be JSON like {\"hex\": \"1500…\"}: ";
    let too_long = format!("0D00{}", "00".repeat(185));
    for (body, sentence) in [
        (
            hex("0d"),
            "a frame of 1 bytes is too short: the fixed part needs 2".to_owned(),
        ),
        (
            hex(""),
            "a frame of 0 bytes is too short: the fixed part needs 2".to_owned(),
        ),
        (
            hex(&too_long),
            "a payload of 185 bytes is longer than 184".to_owned(),
        ),
        (
            hex("0dc0"),
            "path length byte 0xc0 uses the reserved entry size".to_owned(),
        ),
        (
            hex("0d0"),
            "\"hex\" is not hexadecimal: Odd number of digits".to_owned(),
        ),
        (
            hex("0x0d"),
            "\"hex\" is not hexadecimal: Invalid character 'x' at position 1".to_owned(),
        ),
        (
            hex("日本"),
            "\"hex\" is not hexadecimal: Invalid character 'æ' at position 0".to_owned(),
        ),
        (
            b"".to_vec(),
            format!("{form}EOF while parsing a value at line 1 column 0"),
        ),
        (
            b"hex=0d00".to_vec(),
            format!("{form}expected value at line 1 column 1"),
        ),
        (
            b"{}".to_vec(),
            format!("{form}missing field `hex` at line 1 column 2"),
        ),
        (
            b"[]".to_vec(),
            format!(
                "{form}invalid length 0, expected struct Request with 1 element at line 1 column 2"
            ),
        ),
        (
            b"{\"hex\":7}".to_vec(),
            format!("{form}invalid type: integer `7`, expected a string at line 1 column 8"),
        ),
        (
            b"{\"hex\":\"0d00\",\"key\":1}".to_vec(),
            format!("{form}unknown field `key`, expected `hex` at line 1 column 19"),
        ),
        (
            b"{\"hex\":\"\xff\"}".to_vec(),
            format!("{form}invalid unicode code point at line 1 column 9"),
        ),
    ] {
        let answer = served.post("/api/decode", &body);
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(answer.error(), (400, sentence), "{shown}");
    }
}

#[tokio::test]
async fn the_body_may_have_four_kibibytes() {
    let served = Served::with(&[]).await;
    let padded = |len: usize| {
        let mut body = hex("0D01AA00000007");
        body.resize(len, b' ');
        served.post("/api/decode", &body)
    };
    assert_eq!(padded(4096).status, 200);
    let sentence = "the body is longer than 4096 bytes".to_owned();
    assert_eq!(padded(4097).error(), (413, sentence.clone()));
    assert_eq!(padded(100_000).error(), (413, sentence));
    // Depth costs nothing either.
    let deep = [b"{\"hex\":".as_slice(), &[b'['; 4000]].concat();
    assert_eq!(served.post("/api/decode", &deep).status, 400);
    let _: Value = served.get("/api/stats");
}
