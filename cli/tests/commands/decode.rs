//! `meshcore decode` as people call it.

use std::io::Write;
use std::process::Stdio;

use crate::common::{meshcore, run, stderr, stdout};
use serde_json::Value;

const ADVERT: &str = "110003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8\
    00f153657ebe223635a6532f05f4662463470f1bf7b3147af8bc95bfa93bb4b22440b7337e5c81b460c5985e\
    28a7cb43c4d57351bc094abe24dbb855afbf62960d039c0992a0d400fe50e4030948696c6c";
/// A text "hi" from node A to node B of the protocol document, and the secret of the two.
const TEXT: &str = "0a00 29 03 cca8 e16f81a9f987acd3a79b290dab43a741";
const SECRET: &str = "f6f92efb32945aff683324a1c984c5001f46aaea513f3453138d740b3a604b7d";

fn json(args: &[&str]) -> Value {
    let output = run(&[&["decode", "--json"], args].concat());
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn the_table_shows_every_field_and_the_signature() {
    let output = run(&["decode", ADVERT]);
    let text = stdout(&output);
    assert!(output.status.success());
    assert!(
        text.starts_with("ADVERT, FLOOD, 0 hops, 115 bytes, packet hash"),
        "{text}"
    );
    for part in [
        "public key",
        "1700000000",
        "-33.5",
        "151.25",
        "\"Hill\"",
        "signature          valid",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn hex_may_be_written_in_any_usual_way() {
    let plain = run(&["decode", "0e01e022c4b99d07"]).stdout;
    for text in [
        "0E01E022C4B99D07",
        "0x0e01e022c4b99d07",
        "0e 01 e0 22 c4 b9 9d 07",
    ] {
        assert_eq!(run(&["decode", text]).stdout, plain, "{text}");
    }
}

#[test]
fn json_has_the_names_of_the_typed_view() {
    let advert = json(&[ADVERT]);
    assert_eq!(advert["payload_type_name"], "ADVERT");
    assert_eq!(advert["payload"]["signature_valid"], true);
    assert_eq!(advert["payload"]["name"], "Hill");
    assert_eq!(advert["raw_hex"], ADVERT);
}

#[test]
fn a_secret_opens_a_direct_message() {
    let text = json(&[TEXT, "--secret", SECRET]);
    assert_eq!(text["payload"]["decryption"], "ok");
    assert_eq!(text["payload"]["decrypted"]["text"], "hi");
    let table = run(&["decode", TEXT, "--secret", SECRET]);
    assert!(
        stdout(&table).contains("text               hi"),
        "{}",
        stdout(&table)
    );
}

#[test]
fn channels_and_regions_are_tried_by_name() {
    use meshcore_packet::plaintext::GroupMessage;
    use meshcore_packet::{ChannelKey, Frame, GroupEncrypted, Path, PayloadType, RegionKey, Route};

    let message = GroupMessage {
        timestamp: 1_700_000_000,
        flags: 0,
        text: Some(b"Ana: hello"),
    };
    let key = ChannelKey::hashtag("#test");
    let payload = GroupEncrypted::seal(&key, &message.encode().unwrap()).unwrap();
    let region = RegionKey::from_name("#europe").unwrap();
    let frame = Frame {
        route: Route::TransportFlood,
        payload_type: PayloadType::GroupText,
        transport_codes: Some([region.code(PayloadType::GroupText, &payload), 0]),
        path: Path::empty(),
        payload: &payload,
    };
    let raw = hex::encode(frame.encode().unwrap());
    assert_eq!(json(&[&raw])["payload"]["decryption"], "no_key");
    let secret = format!("mine={}", hex::encode(&key.secret()[..16]));
    for (channel, name) in [("#test", "#test"), (secret.as_str(), "mine")] {
        let view = json(&[
            &raw,
            "--channel",
            channel,
            "--region",
            "alps",
            "--region",
            "europe",
        ]);
        assert_eq!(view["scope"], "europe");
        assert_eq!(view["payload"]["decrypted"]["channel"], name);
        assert_eq!(view["payload"]["decrypted"]["sender"], "Ana");
    }
}

#[test]
fn what_is_no_frame_is_said_with_its_kind_and_the_rest_goes_on() {
    let output = run(&["decode", "55000102", "0e01e022c4b99d07"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("(unsupported_version)"));
    assert!(stdout(&output).contains("ACK, DIRECT, 1 hop"));
    assert_eq!(json(&["0dc0"])["error"]["kind"], "reserved_hash_size");
    assert_eq!(json(&["xyz"])["error"]["kind"], "not_hex");
    assert_eq!(json(&[""])["error"]["kind"], "too_short");
}

#[test]
fn a_payload_error_leaves_the_frame() {
    let output = run(&["decode", "--json", "0d000102"]);
    let view: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(view["payload_type_name"], "ACK");
    assert_eq!(view["payload_error"]["kind"], "payload_too_short");
}

#[test]
fn lines_come_from_standard_input() {
    let mut child = meshcore(&["decode", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = format!("{ADVERT}\n\n0E 01 E0 22 C4 B9 9D 07\nnonsense\n");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let views: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(views.len(), 3);
    assert_eq!(views[1]["payload"]["checksum"], 2_646_197_282_u32);
    assert_eq!(views[2]["input"], "nonsense");
}

#[test]
fn wrong_options_are_usage_errors_with_a_cure() {
    for (args, cure) in [
        (&["decode"][..], "<HEX>"),
        (&["decode", "00", "--channel", "test"], "NAME=KEY"),
        (&["decode", "00", "--channel", "test=12"], "wrong length"),
        (&["decode", "00", "--secret", "1234"], "64 hex digits"),
        (&["decode", "00", "--region", "$mine"], "private region"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(cure),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}
