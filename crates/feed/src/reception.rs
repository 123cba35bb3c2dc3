//! Packets that an observer heard, and records of packets that it sent.

use std::borrow::Cow;

use crate::fields::{Fields, text, whole};
use crate::frame::{FrameClaims, FrameOutline};
use crate::identity::Identity;
use crate::ignored::Ignored;
use crate::time::FeederTime;
use crate::topic::{Kind, Topic};
use crate::value::Value;
use crate::{Message, ParseOptions, hex};

/// What a LoRa radio can report, in dB, with room to spare.
const SNR_RANGE_DB: std::ops::RangeInclusive<f64> = -60.0..=60.0;

/// What a LoRa radio can report, in dBm, with room to spare.
const RSSI_RANGE_DBM: std::ops::RangeInclusive<f64> = -200.0..=50.0;

/// What old ESP32 builds write, both at once, when they do not know.
const UNKNOWN_SNR_DB: f64 = 12.5;
const UNKNOWN_RSSI_DBM: f64 = -65.0;

/// The longest airtime believed, in milliseconds; the longest frame at the slowest setting takes 15 s.
const MAX_DURATION_MS: i64 = 600_000;

/// Most radios of one node that are kept.
const MAX_RADIOS: usize = 16;

/// The longest radio id or radio description, in characters.
const MAX_RADIO_CHARS: usize = 64;

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received.
    Rx,
    /// Transmitted.
    Tx,
}

impl Direction {
    /// `rx` or `tx`, as in the `direction` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }

    pub(crate) fn read(fields: Fields<'_>) -> Option<Self> {
        fields
            .all(&["direction", "Direction"])
            .find_map(|value| match value.as_str()?.trim() {
                direction if direction.eq_ignore_ascii_case("rx") => Some(Self::Rx),
                direction if direction.eq_ignore_ascii_case("tx") => Some(Self::Tx),
                _ => None,
            })
    }
}

/// Which topic a reception came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A packet record with whatever the feeder measured.
    Packets,
    /// A raw record: frame and time, no SNR and no RSSI.
    ///
    /// Some feeders publish each packet here as well as on `packets`, for others this is all there
    /// is; one message does not tell which. So it is a reception like any other, and the store's
    /// uniqueness of (transmission, observer, path) folds the two into one observation. The first to
    /// arrive stays: a writer that has both in one batch should put [`SourceKind::Packets`] first.
    Raw,
}

/// A packet that an observer heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Reception {
    /// The observer as it calls itself: from the topic, else from `origin_id`, else its name.
    pub observer_id: String,
    /// The observer's name, without control characters, at most 64 characters.
    pub observer_name: Option<String>,
    /// The region, upper case; the payload's `region` beats the topic.
    pub iata: Option<String>,
    /// The frame. Its length is not checked here.
    pub raw: Vec<u8>,
    /// Signal to noise in dB.
    pub snr: Option<f64>,
    /// True if the SNR was written without a fraction: some feeders cut it to whole dB.
    pub snr_is_integer: bool,
    /// Signal strength in dBm.
    pub rssi: Option<f64>,
    /// The firmware's reception score, 0 to 1000.
    pub score: Option<i64>,
    /// Airtime in milliseconds, as the feeder reckons.
    pub duration_ms: Option<u32>,
    /// Missing when the feeder does not say; never [`Direction::Tx`], which is a [`TransmitRecord`].
    pub direction: Option<Direction>,
    /// The feeder's clock.
    pub feeder_time: Option<FeederTime>,
    /// The packet hash as the feeder computed it, for comparison only.
    pub feeder_hash: Option<String>,
    /// Which of the observer's radios heard it.
    pub rx_radio_id: Option<String>,
    /// On which of its radios the observer sent it on.
    pub tx_radio_ids: Vec<String>,
    /// Radio settings, if the record has them: `freq,bw,sf,cr`.
    pub radio: Option<String>,
    /// Which topic it came by.
    pub source_kind: SourceKind,
}

impl Reception {
    /// The frame in upper-case hexadecimal without white space, as most feeders write it.
    pub fn raw_hex(&self) -> String {
        ::hex::encode_upper(&self.raw)
    }
}

/// A packet that an observer sent.
///
/// Not a reception. Feeders that read a serial console print no frame for what was sent and attach
/// the last *received* one instead, so `raw` is kept only if its length, type, route and payload
/// length all agree with what the record says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct TransmitRecord {
    /// The observer, as in [`Reception::observer_id`].
    pub observer_id: String,
    /// The observer's name.
    pub observer_name: Option<String>,
    /// The region, upper case.
    pub iata: Option<String>,
    /// The frame, only if the claims vouch for it.
    pub raw: Option<Vec<u8>>,
    /// True if there was a frame and the claims spoke against it.
    pub raw_rejected: bool,
    /// What the record says about its frame.
    pub claims: FrameClaims,
    /// Airtime in milliseconds.
    pub duration_ms: Option<u32>,
    /// The feeder's clock.
    pub feeder_time: Option<FeederTime>,
    /// The packet hash as the feeder computed it.
    pub feeder_hash: Option<String>,
    /// The radios that sent it.
    pub tx_radio_ids: Vec<String>,
}

/// Reads a packet or raw record.
pub(crate) fn read(
    topic: &Topic<'_>,
    fields: Fields<'_>,
    declared: &str,
    options: &ParseOptions,
) -> Result<Message, Ignored> {
    let is_raw = topic.kind == Kind::Raw || declared.eq_ignore_ascii_case("RAW");
    if is_raw && !options.raw_topic {
        return Err(Ignored::DuplicateRawTopic);
    }
    let identity = Identity::read(topic, fields)?;
    let direction = Direction::read(fields);
    if direction == Some(Direction::Tx) {
        return Ok(Message::Transmit(transmit(identity, fields)));
    }
    let (snr, rssi) = signal(fields);
    Ok(Message::Reception(Reception {
        observer_id: identity.id,
        observer_name: identity.name,
        iata: identity.iata,
        raw: frame_bytes(fields)?,
        snr: snr.map(|(value, _)| value),
        snr_is_integer: snr.is_some_and(|(_, is_integer)| is_integer),
        rssi,
        score: score(fields),
        duration_ms: duration_ms(fields),
        direction,
        feeder_time: time(fields),
        feeder_hash: feeder_hash(fields),
        rx_radio_id: fields.text(&["rx_radio_id"], MAX_RADIO_CHARS),
        tx_radio_ids: tx_radio_ids(fields),
        radio: fields.text(&["radio"], MAX_RADIO_CHARS),
        source_kind: if is_raw {
            SourceKind::Raw
        } else {
            SourceKind::Packets
        },
    }))
}

fn transmit(identity: Identity, fields: Fields<'_>) -> TransmitRecord {
    let claims = FrameClaims::read(fields);
    let bytes = frame_bytes(fields);
    let had_frame = !matches!(bytes, Err(Ignored::NoRaw));
    let raw = bytes
        .ok()
        .filter(|raw| FrameOutline::of(raw).is_some_and(|outline| claims.match_frame(&outline)));
    TransmitRecord {
        observer_id: identity.id,
        observer_name: identity.name,
        iata: identity.iata,
        raw_rejected: had_frame && raw.is_none(),
        raw,
        claims,
        duration_ms: duration_ms(fields),
        feeder_time: time(fields),
        feeder_hash: feeder_hash(fields),
        tx_radio_ids: tx_radio_ids(fields),
    }
}

/// The frame: `raw`, or `data` where a feeder puts it there. White space does not count.
pub(crate) fn frame_bytes(fields: Fields<'_>) -> Result<Vec<u8>, Ignored> {
    let mut error = Ignored::NoRaw;
    for value in fields.all(&["raw", "data"]) {
        match value.as_str().and_then(hex::decode) {
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => return Ok(bytes),
            None => error = Ignored::BadRawHex,
        }
    }
    Err(error)
}

/// SNR (with "was it a whole number") and RSSI; both gone if they are the pair that means unknown.
pub(crate) fn signal(fields: Fields<'_>) -> (Option<(f64, bool)>, Option<f64>) {
    let snr = fields.number(&["SNR", "snr"], SNR_RANGE_DB);
    let rssi = fields
        .number(&["RSSI", "rssi"], RSSI_RANGE_DBM)
        .map(|number| number.value);
    if snr.is_some_and(|snr| snr.value == UNKNOWN_SNR_DB) && rssi == Some(UNKNOWN_RSSI_DBM) {
        return (None, None);
    }
    (snr.map(|number| (number.value, number.is_integer)), rssi)
}

/// The score: 0 to 1000, or a fraction of one that a feeder forgot to multiply.
fn score(fields: Fields<'_>) -> Option<i64> {
    let number = fields.number(&["score", "Score"], 0.0..=1000.0)?;
    let is_fraction = !number.is_integer && number.value > 0.0 && number.value < 1.0;
    whole(if is_fraction {
        number.value * 1000.0
    } else {
        number.value
    })
}

fn duration_ms(fields: Fields<'_>) -> Option<u32> {
    fields.integer(&["duration"], 0..=MAX_DURATION_MS)
}

/// The feeder's time stamp.
pub(crate) fn time(fields: Fields<'_>) -> Option<FeederTime> {
    fields.all(&["timestamp"]).find_map(FeederTime::read)
}

fn feeder_hash(fields: Fields<'_>) -> Option<String> {
    let hash = fields.borrowed_text(&["hash"], 65)?;
    (hash.len() <= 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())).then(|| hash.into_owned())
}

fn tx_radio_ids(fields: Fields<'_>) -> Vec<String> {
    let ids = fields.array("tx_radio_ids").iter();
    ids.filter_map(|value: &Value<'_>| text(value, MAX_RADIO_CHARS).map(Cow::into_owned))
        .take(MAX_RADIOS)
        .collect()
}
