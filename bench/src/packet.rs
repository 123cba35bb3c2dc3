//! Frames: decoding and the packet hash; signatures and decryption on lines of their own.
//!
//! The limit of decoding is one SHA-256 of the same bytes: whoever computes the hash can't be faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ed25519_dalek::{Signature, VerifyingKey};
use meshcore_packet::{Advert, ChannelKey, ChannelKeys, Frame, Opened, Payload, PayloadType};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Options;
use crate::measure::{Samples, rate};
use crate::table::Figure;

/// The frames whose every field is agreed upon.
const FIXTURES: &str = include_str!("../../fixtures/packets.jsonl");

/// What we want of one core with SHA instructions.
const DECODES: f64 = 2e6;

/// A frame that decodes, and the secret of its payload, if that is known.
struct Fixture {
    raw: Vec<u8>,
    channels: ChannelKeys,
    secret: Option<[u8; 32]>,
}

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let fixtures = fixtures()?;
    Ok(vec![
        decoding(options, &fixtures),
        signatures(options, &fixtures)?,
        decryption(options, &fixtures)?,
    ])
}

fn decoding(options: &Options, fixtures: &[Fixture]) -> Figure {
    let hashed: Vec<Vec<u8>> = fixtures
        .iter()
        .filter_map(|fixture| {
            let frame = Frame::decode(&fixture.raw).ok()?;
            Some([&[frame.payload_type.code()], frame.payload].concat())
        })
        .collect();
    let (mut decoded, mut digested) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds() {
        decoded.push(per_second(options, fixtures, |fixture| {
            let Ok(frame) = Frame::decode(black_box(&fixture.raw)) else {
                return;
            };
            if let Ok(payload) = black_box(frame.decode_payload())
                && let Payload::Advert(advert) = &payload
            {
                black_box(advert.app_data());
            }
            black_box(frame.packet_hash());
        }));
        digested.push(per_second(options, &hashed, |bytes| {
            black_box(Sha256::digest(black_box(bytes)));
        }));
    }
    let bytes: usize = fixtures.iter().map(|f| f.raw.len()).sum();
    let name = format!(
        "decode and hash a frame ({} frames, {} bytes on average)",
        fixtures.len(),
        bytes / fixtures.len().max(1)
    );
    Figure::rates(name, &decoded, &digested, "one SHA-256 of the same bytes")
        .target("≥ 2 M/s", decoded.median() >= DECODES)
}

fn signatures(options: &Options, fixtures: &[Fixture]) -> Result<Figure> {
    let adverts: Vec<Advert<'_>> = fixtures
        .iter()
        .filter_map(|fixture| match decode(fixture) {
            Some((_, Payload::Advert(advert))) => Some(advert),
            _ => None,
        })
        .collect();
    let bare: Vec<(VerifyingKey, Signature, Vec<u8>)> = adverts
        .iter()
        .filter_map(|advert| {
            let key = VerifyingKey::from_bytes(advert.public_key.as_bytes()).ok()?;
            let signed = advert.app_data.get(..32).unwrap_or(advert.app_data);
            let message = [
                advert.public_key.as_bytes().as_slice(),
                &advert.timestamp.to_le_bytes(),
                signed,
            ]
            .concat();
            Some((key, Signature::from_bytes(&advert.signature), message))
        })
        .collect();
    ensure!(!bare.is_empty(), "the fixtures have no adverts");
    let (mut verified, mut limit) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds() {
        verified.push(per_second(options, &adverts, |advert| {
            black_box(black_box(advert).signature_valid());
        }));
        limit.push(per_second(options, &bare, |(key, signature, message)| {
            black_box(key.verify_strict(black_box(message), signature).is_ok());
        }));
    }
    Ok(Figure::rates(
        "verify an advert's signature",
        &verified,
        &limit,
        "ed25519-dalek with the key ready",
    ))
}

fn decryption(options: &Options, fixtures: &[Fixture]) -> Result<Figure> {
    let sealed: Vec<&Fixture> = fixtures.iter().filter(|fixture| open(fixture)).collect();
    ensure!(!sealed.is_empty(), "the fixtures have nothing to open");
    let mut opened = Samples::default();
    for _ in 0..options.rounds() {
        opened.push(per_second(options, &sealed, |fixture| {
            black_box(open(black_box(fixture)));
        }));
    }
    let name = format!("decode and decrypt ({} frames)", sealed.len());
    Ok(Figure::new(name, crate::table::per_second(opened.median())).spread(&opened))
}

/// Decodes a frame and opens its payload with the secret it came with.
fn open(fixture: &Fixture) -> bool {
    let Some((_, payload)) = decode(fixture) else {
        return false;
    };
    match (&payload, &fixture.secret) {
        (Payload::GroupText(group) | Payload::GroupData(group), _) => {
            matches!(group.open(&fixture.channels), Opened::Ok { .. })
        }
        (
            Payload::Request(sealed)
            | Payload::Response(sealed)
            | Payload::Text(sealed)
            | Payload::Path(sealed),
            Some(secret),
        ) => sealed.open(secret).is_some(),
        (Payload::AnonRequest(request), Some(secret)) => request.open(secret).is_some(),
        _ => false,
    }
}

fn decode(fixture: &Fixture) -> Option<(PayloadType, Payload<'_>)> {
    let frame = Frame::decode(&fixture.raw).ok()?;
    Some((frame.payload_type, frame.decode_payload().ok()?))
}

/// How many times a second `work` is done, over all of `items` in turn.
fn per_second<T>(options: &Options, items: &[T], mut work: impl FnMut(&T)) -> f64 {
    let time = Duration::from_millis(if options.quick { 60 } else { 600 });
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < time {
        // The clock is read once in many turns.
        for _ in 0..16 {
            items.iter().for_each(&mut work);
            done += items.len();
        }
    }
    rate(done, started.elapsed())
}

fn fixtures() -> Result<Vec<Fixture>> {
    let mut fixtures = Vec::new();
    for line in FIXTURES.lines().filter(|line| !line.is_empty()) {
        let json: Value = serde_json::from_str(line)?;
        let raw = hex::decode(
            json["raw_hex"]
                .as_str()
                .context("a fixture without a frame")?,
        )?;
        if json.get("expect_error").is_some() {
            continue;
        }
        let mut channels = ChannelKeys::new();
        for key in json["channel_keys"].as_array().into_iter().flatten() {
            let (name, secret) = (key["name"].as_str(), key["key_hex"].as_str());
            let (name, secret) = name.zip(secret).context("a channel without a key")?;
            channels.push(ChannelKey::parse(name, secret)?);
        }
        let secret = match json["shared_secret_hex"].as_str() {
            Some(text) => {
                let mut secret = [0; 32];
                hex::decode_to_slice(text, &mut secret)?;
                Some(secret)
            }
            None => None,
        };
        let fixture = Fixture {
            raw,
            channels,
            secret,
        };
        ensure!(decode(&fixture).is_some(), "a good fixture does not decode");
        fixtures.push(fixture);
    }
    Ok(fixtures)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fixtures_have_something_of_everything() {
        let fixtures = super::fixtures().unwrap();
        assert!(fixtures.len() > 40);
        assert!(fixtures.iter().filter(|f| super::open(f)).count() > 10);
    }
}
