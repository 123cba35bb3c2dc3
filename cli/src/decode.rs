//! `meshcore decode`: what is in a frame.

mod input;
mod text;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use meshcore_packet::view::{self, ErrorView, FrameView, Inputs};
use meshcore_packet::{Analysis, ChannelKey, ChannelKeys, Frame, RegionKey, RegionKeys};
use serde::Serialize;

use input::parse_hex;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    meshcore decode 0E01E022C4B99D07\n  \
    meshcore decode '0e 01 e0 22 c4 b9 9d 07' --json\n  \
    meshcore decode - --channel '#test' --channel club=00112233445566778899aabbccddeeff < frames.txt")]
pub(crate) struct DecodeArgs {
    /// Frames in hex; spaces, 0x and upper case are fine. - reads one frame per line from standard
    /// input.
    #[arg(required = true, value_name = "HEX")]
    frames: Vec<String>,

    /// Print one JSON object per frame and line.
    #[arg(long)]
    json: bool,

    /// A channel to decrypt, beside the public one: #hashtag, or NAME=KEY with the key in hex or
    /// Base64. May be repeated.
    #[arg(long = "channel", value_name = "NAME=KEY|#HASHTAG", value_parser = parse_channel)]
    channels: Vec<ChannelKey>,

    /// A region whose scope is to be recognized. May be repeated.
    #[arg(long = "region", value_name = "NAME", value_parser = RegionKey::from_name)]
    regions: Vec<RegionKey>,

    /// The secret that the two nodes of an encrypted payload share: 64 hex digits.
    #[arg(long, value_name = "HEX")]
    secret: Option<Secret>,
}

/// A pairwise secret; it shows in no `Debug` output.
#[derive(Clone)]
struct Secret([u8; 32]);

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let bytes = parse_hex(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a shared secret has 64 hex digits")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn parse_channel(text: &str) -> Result<ChannelKey, String> {
    if let Some((name, key)) = text.split_once('=') {
        if name.is_empty() {
            return Err("there is no name before the =".to_owned());
        }
        return ChannelKey::parse(name, key).map_err(|err| err.to_string());
    }
    if text.len() > 1 && text.starts_with('#') {
        return Ok(ChannelKey::hashtag(text));
    }
    Err("write #hashtag, or NAME=KEY with a key of 32 or 64 hex digits or in Base64".to_owned())
}

pub(crate) fn run(args: DecodeArgs) -> anyhow::Result<ExitCode> {
    let DecodeArgs {
        frames,
        json,
        channels,
        regions,
        secret,
    } = args;
    let mut keys = ChannelKeys::new();
    keys.push(ChannelKey::public());
    keys.extend(channels);
    let decoder = Decoder {
        keys,
        regions: regions.into_iter().collect(),
        secret: secret.map(|Secret(secret)| secret),
        json,
    };
    let out = io::BufWriter::new(io::stdout().lock());
    match decoder.decode_all(&frames, out) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // The reader has seen enough.
        Err(err) if is_broken_pipe(&err) => Ok(ExitCode::SUCCESS),
        Err(err) => Err(err),
    }
}

fn is_broken_pipe(err: &anyhow::Error) -> bool {
    let io_error = err.downcast_ref::<io::Error>();
    io_error.is_some_and(|err| err.kind() == io::ErrorKind::BrokenPipe)
}

/// All that is known beside the frames.
struct Decoder {
    keys: ChannelKeys,
    regions: RegionKeys,
    secret: Option<[u8; 32]>,
    json: bool,
}

/// The JSON of a frame.
#[derive(Serialize)]
struct FrameJson<'a> {
    raw_hex: String,
    #[serde(flatten)]
    view: FrameView<'a>,
}

/// The JSON of what is no frame.
#[derive(Serialize)]
struct ErrorJson<'a> {
    input: &'a str,
    error: ErrorView,
}

impl Decoder {
    /// Decodes arguments and, where one is `-`, lines. Gives whether all of them were frames.
    fn decode_all(&self, frames: &[String], mut out: impl Write) -> anyhow::Result<bool> {
        let mut all_good = true;
        let mut count = 0;
        for frame in frames {
            if frame != "-" {
                all_good &= self.decode(frame, count, &mut out)?;
                count += 1;
                continue;
            }
            for line in io::stdin().lock().lines() {
                let line = line.context("cannot read standard input")?;
                if !line.trim().is_empty() {
                    all_good &= self.decode(&line, count, &mut out)?;
                    count += 1;
                }
            }
        }
        out.flush()?;
        Ok(all_good)
    }

    /// Decodes one frame, the one after `count` others. Gives whether it is one.
    fn decode(&self, input: &str, count: u64, out: &mut impl Write) -> anyhow::Result<bool> {
        if count > 0 && !self.json {
            writeln!(out)?;
        }
        let bytes = match parse_hex(input) {
            Ok(bytes) => bytes,
            Err(message) => {
                let kind = "not_hex";
                self.report(input, ErrorView { kind, message }, &[], out)?;
                return Ok(false);
            }
        };
        let frame = match Frame::decode(&bytes) {
            Ok(frame) => frame,
            Err(err) => {
                let (kind, message) = (err.kind(), err.to_string());
                self.report(input, ErrorView { kind, message }, &bytes, out)?;
                return Ok(false);
            }
        };
        let analysis = Analysis::new(&frame, &self.keys);
        let inputs = Inputs {
            regions: (!self.regions.is_empty()).then_some(&self.regions),
            shared_secret: self.secret.as_ref(),
        };
        let view = view::view(&frame, &analysis, &inputs);
        if self.json {
            let raw_hex = hex::encode(&bytes);
            serde_json::to_writer(&mut *out, &FrameJson { raw_hex, view })?;
            writeln!(out)?;
        } else {
            text::frame(&bytes, &view, out)?;
        }
        Ok(true)
    }

    fn report(
        &self,
        input: &str,
        error: ErrorView,
        bytes: &[u8],
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *out, &ErrorJson { input, error })?;
            writeln!(out)?;
        } else {
            writeln!(out, "Not a frame: {} ({})", error.message, error.kind)?;
            text::fields(bytes, out)?;
        }
        Ok(())
    }
}
