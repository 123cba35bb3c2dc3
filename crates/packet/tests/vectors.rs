//! Every field of every line of the fixture files (section 15 of the protocol document).
//!
//! Objects are compared whole, so a field that the files expect and the code does not give, or the
//! other way round, is a failure. Further files can be named in `MESHCORE_VECTORS`, separated by
//! colons. The file of real captures is not part of this repository: without it the test says so,
//! and fails when `CI` is `true`.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use meshcore_packet::plaintext::{
    AnonMessage, GroupDatagram, GroupMessage, Request, Response, ReturnedPath, TextMessage,
};
use meshcore_packet::view::{Inputs, view};
use meshcore_packet::{
    Analysis, ChannelKey, ChannelKeys, Frame, Identity, Opened, Payload, PublicKey, RegionKey,
    RegionKeys, breakdown, corescope, envelope,
};
use serde_json::{Map, Value};

/// Keys that say where a line comes from; all others must be understood.
const ABOUT: [&str; 5] = ["name", "source", "agreed_by", "disagreements", "note"];
const INPUTS: [&str; 5] = [
    "raw_hex",
    "channel_keys",
    "region_names",
    "shared_secret_hex",
    "ecdh",
];
const EXPECTATIONS: [&str; 4] = ["expect", "expect_error", "stage", "expect_frame"];
const NOTED_CHECKSUM: &str = "expected ACK checksum ";

#[test]
fn generated_vectors() {
    let checked = check_file(&repository().join("fixtures/packets.jsonl"));
    assert!(checked >= 84, "only {checked} lines");
}

#[test]
fn real_vectors() {
    let file = repository().join("../shared/fixtures/packets-real.jsonl");
    if file.exists() {
        assert!(check_file(&file) >= 50);
        return;
    }
    eprintln!("*** NOT TESTED: {} is missing ***", file.display());
    assert_ne!(
        env::var("CI").as_deref(),
        Ok("true"),
        "the real captures must be there in CI"
    );
}

#[test]
fn further_vectors() {
    let files = env::var_os("MESHCORE_VECTORS").unwrap_or_default();
    for file in env::split_paths(&files).filter(|file| !file.as_os_str().is_empty()) {
        assert!(check_file(&file) > 0, "{} is empty", file.display());
    }
}

/// Root of the repository, two levels above this crate.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Checks all lines, reports every one that fails, and gives their number.
fn check_file(file: &Path) -> usize {
    let text = fs::read_to_string(file)
        .unwrap_or_else(|err| panic!("cannot read {}: {err}", file.display()));
    let mut failures = Vec::new();
    let mut checked = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let vector: Map<String, Value> = serde_json::from_str(line).expect("a JSON object");
        if let Err(message) = Vector(&vector).check() {
            failures.push(format!("{}: {message}", vector["name"]));
        }
        checked += 1;
    }
    assert!(
        failures.is_empty(),
        "{}:\n{}",
        file.display(),
        failures.join("\n")
    );
    checked
}

/// One line of a fixture file.
struct Vector<'v>(&'v Map<String, Value>);

impl Vector<'_> {
    fn check(&self) -> Result<(), String> {
        let known = [&ABOUT[..], &INPUTS, &EXPECTATIONS].concat();
        if let Some(key) = self.0.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("no comparison for {key:?}"));
        }
        let bytes = hex(&self.0["raw_hex"]);
        let frame = match (Frame::decode(&bytes), self.error_at("frame")) {
            (Err(err), Some(kind)) => return same("frame error", &err.kind().into(), kind),
            (Err(err), None) => return Err(format!("frame refused: {err}")),
            (Ok(_), Some(kind)) => return Err(format!("frame accepted, expected {kind}")),
            (Ok(frame), None) => frame,
        };
        self.check_frame(&frame)?;
        let bytes_again = frame.encode().map_err(|err| err.to_string())?;
        same(
            "frame bytes",
            &hex::encode(bytes_again).into(),
            &hex::encode(&bytes).into(),
        )?;
        let covered: usize = breakdown(&bytes).iter().map(|field| field.len).sum();
        same(
            "bytes in the breakdown",
            &covered.into(),
            &bytes.len().into(),
        )
    }

    /// The error kind that is expected at a stage.
    fn error_at(&self, stage: &str) -> Option<&Value> {
        (self.0.get("stage")? == stage).then(|| self.0.get("expect_error"))?
    }

    fn check_frame(&self, frame: &Frame<'_>) -> Result<(), String> {
        let keys = self.channel_keys();
        let regions = self.region_keys();
        let secret = self.shared_secret()?;
        let analysis = Analysis::new(frame, &keys);
        let inputs = Inputs {
            regions: regions.as_ref(),
            shared_secret: secret.as_ref(),
        };
        let mut seen = serde_json::to_value(view(frame, &analysis, &inputs)).unwrap();
        let error = seen.as_object_mut().unwrap().remove("payload_error");
        if let Some(kind) = self.error_at("payload") {
            same("payload error", &error.unwrap_or_default()["kind"], kind)?;
            return same("frame", &seen, &self.0["expect_frame"]);
        }
        same("payload error", &error.unwrap_or_default(), &Value::Null)?;
        same(
            "frame",
            &seen,
            self.0.get("expect").ok_or("nothing is expected")?,
        )?;
        let json = corescope::decoded_json(frame, &analysis.payload, &keys);
        same(
            "CoreScope error",
            json.get("error").unwrap_or(&Value::Null),
            &Value::Null,
        )?;
        let payload = analysis.payload.map_err(|err| err.to_string())?;
        let payload_again = payload.encode().map_err(|err| err.to_string())?;
        same(
            "payload bytes",
            &hex::encode(payload_again).into(),
            &hex::encode(frame.payload).into(),
        )?;
        if let Some(Opened::Ok { channel, plaintext }) = &analysis.opened {
            self.check_sealing(&payload, channel.secret(), plaintext)?;
        }
        let opened = secret.and_then(|secret| Some((secret, open(&payload, &secret)?)));
        opened.map_or(Ok(()), |(secret, text)| {
            self.check_sealing(&payload, &secret, &text)
        })
    }

    /// Decodes a plaintext, encodes and encrypts it again, and compares.
    fn check_sealing(
        &self,
        payload: &Payload<'_>,
        secret: &[u8; 32],
        plaintext: &[u8],
    ) -> Result<(), String> {
        let (mac, ciphertext, encoded) = match payload {
            Payload::Text(text) => {
                let message = TextMessage::decode(plaintext).unwrap();
                self.check_noted_checksum(&message)?;
                (text.mac, text.ciphertext, message.encode().unwrap())
            }
            Payload::Request(request) => {
                let again = Request::decode(plaintext).unwrap().encode();
                (request.mac, request.ciphertext, again)
            }
            Payload::Response(response) => {
                let again = Response::decode(plaintext).unwrap().encode();
                (response.mac, response.ciphertext, again)
            }
            Payload::Path(path) => match ReturnedPath::decode(plaintext) {
                Ok(returned) => (path.mac, path.ciphertext, returned.encode()),
                Err(_) => return Ok(()),
            },
            Payload::AnonRequest(request) => {
                let again = AnonMessage::decode(plaintext).unwrap().encode();
                (request.mac, request.ciphertext, again)
            }
            Payload::GroupText(group) => {
                let message = GroupMessage::decode(plaintext).unwrap();
                if message.text.is_none() {
                    return Ok(());
                }
                (group.mac, group.ciphertext, message.encode().unwrap())
            }
            Payload::GroupData(group) => match GroupDatagram::decode(plaintext) {
                Ok(datagram) => (group.mac, group.ciphertext, datagram.encode().unwrap()),
                Err(_) => return Ok(()),
            },
            other => return Err(format!("{} was opened", other.payload_type())),
        };
        let sealed = envelope::seal(secret, &encoded);
        if sealed != (mac, ciphertext.to_vec()) {
            return Err(format!("sealing again gave {sealed:02x?}"));
        }
        Ok(())
    }

    /// Some texts have the checksum of the ACK that answers them in their note.
    fn check_noted_checksum(&self, message: &TextMessage<'_>) -> Result<(), String> {
        let note = self
            .0
            .get("note")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(expected) = note.strip_prefix(NOTED_CHECKSUM) else {
            return Ok(());
        };
        let sender: PublicKey = self.0["ecdh"]["remote_pub_hex"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let checksum = message.ack_checksum(&sender).unwrap().to_string();
        same("ACK checksum", &checksum.into(), &expected.into())
    }

    fn channel_keys(&self) -> ChannelKeys {
        let keys = self.0.get("channel_keys").and_then(Value::as_array);
        keys.into_iter()
            .flatten()
            .map(|key| {
                let name = key["name"].as_str().unwrap();
                ChannelKey::parse(name, key["key_hex"].as_str().unwrap()).unwrap()
            })
            .collect()
    }

    fn region_keys(&self) -> Option<RegionKeys> {
        let names = self.0.get("region_names")?.as_array().unwrap();
        Some(
            names
                .iter()
                .map(|name| RegionKey::from_name(name.as_str().unwrap()).unwrap())
                .collect(),
        )
    }

    /// The given secret, checked against the keys that it comes from.
    fn shared_secret(&self) -> Result<Option<[u8; 32]>, String> {
        let Some(given) = self.0.get("shared_secret_hex") else {
            return Ok(None);
        };
        let secret: [u8; 32] = hex(given).try_into().unwrap();
        if let Some(ecdh) = self.0.get("ecdh").and_then(Value::as_object) {
            let known = ["local_prv_hex", "local_pub_hex", "remote_pub_hex"];
            if let Some(key) = ecdh.keys().find(|key| !known.contains(&key.as_str())) {
                return Err(format!("no comparison for ecdh.{key}"));
            }
            let local = Identity::from_expanded(hex(&ecdh["local_prv_hex"]).try_into().unwrap());
            let remote: PublicKey = ecdh["remote_pub_hex"].as_str().unwrap().parse().unwrap();
            if let Some(public) = ecdh.get("local_pub_hex") {
                same(
                    "local public key",
                    &local.public_key().to_string().into(),
                    public,
                )?;
            }
            let computed = local.shared_secret(&remote).map(hex::encode);
            same("shared secret", &computed.into(), given)?;
        }
        Ok(Some(secret))
    }
}

/// The plaintext of a payload between two nodes.
fn open(payload: &Payload<'_>, secret: &[u8; 32]) -> Option<Vec<u8>> {
    match payload {
        Payload::Request(wrapper)
        | Payload::Response(wrapper)
        | Payload::Text(wrapper)
        | Payload::Path(wrapper) => wrapper.open(secret),
        Payload::AnonRequest(request) => request.open(secret),
        _ => None,
    }
}

fn hex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// Compares whole values; the message shows every difference at its place.
fn same(what: &str, seen: &Value, expected: &Value) -> Result<(), String> {
    let mut differences = Vec::new();
    differ(what, seen, expected, &mut differences);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join("; "))
    }
}

fn differ(at: &str, seen: &Value, expected: &Value, out: &mut Vec<String>) {
    match (seen, expected) {
        (Value::Object(seen), Value::Object(expected)) => {
            for (key, value) in seen {
                match expected.get(key) {
                    Some(expected) => differ(&format!("{at}.{key}"), value, expected, out),
                    None => out.push(format!("{at}.{key}: {value} is not expected")),
                }
            }
            for (key, value) in expected.iter().filter(|(key, _)| !seen.contains_key(*key)) {
                out.push(format!("{at}.{key}: {value} is missing"));
            }
        }
        _ if seen == expected => {}
        _ => out.push(format!("{at}: {seen}, expected {expected}")),
    }
}
