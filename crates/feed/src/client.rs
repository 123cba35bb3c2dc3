//! Receptions of phones that move about and say where they are.

use crate::fields::Fields;
use crate::ignored::Ignored;
use crate::reception::{self, Direction};
use crate::time::FeederTime;
use crate::topic::Topic;

/// A point on the globe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// How far off it may be, in metres.
    pub accuracy_m: Option<f64>,
}

impl Position {
    /// Reads `lat`/`lon` or `latitude`/`longitude`; `None` out of range, and for 0/0, which means
    /// "not set".
    pub(crate) fn read(fields: Fields<'_>) -> Option<Self> {
        let latitude = fields.number(&["lat", "latitude"], -90.0..=90.0)?.value;
        let longitude = fields
            .number(&["lon", "lng", "longitude"], -180.0..=180.0)?
            .value;
        let accuracy_m = fields
            .number(&["acc_m", "accuracy"], 0.0..=1e6)
            .map(|n| n.value);
        let is_set = latitude != 0.0 || longitude != 0.0;
        is_set.then_some(Self {
            latitude,
            longitude,
            accuracy_m,
        })
    }
}

/// A packet that a phone heard at a known place.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientReception {
    /// The phone's key or a prefix of it, lower-case hexadecimal, 2 to 64 digits.
    pub client_key: String,
    /// The frame.
    pub raw: Vec<u8>,
    /// Signal to noise in dB.
    pub snr: Option<f64>,
    /// Signal strength in dBm.
    pub rssi: Option<f64>,
    /// Where the phone was.
    pub position: Position,
    /// The phone's clock.
    pub feeder_time: Option<FeederTime>,
}

/// Reads a client reception.
pub(crate) fn read(topic: &Topic<'_>, fields: Fields<'_>) -> Result<ClientReception, Ignored> {
    let client_key = topic.observer.unwrap_or_default().to_ascii_lowercase();
    if client_key.is_empty() {
        return Err(Ignored::EmptyObserver);
    }
    let is_hex = client_key.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hex || !(2..=64).contains(&client_key.len()) {
        return Err(Ignored::BadObserverId);
    }
    if Direction::read(fields) == Some(Direction::Tx) {
        return Err(Ignored::ClientNotRx);
    }
    let raw = reception::frame_bytes(fields)?;
    let position = fields.object("gps").and_then(|gps| Position::read(gps));
    let (snr, rssi) = reception::signal(fields);
    Ok(ClientReception {
        client_key,
        raw,
        snr: snr.map(|(value, _)| value),
        rssi,
        position: position.ok_or(Ignored::ClientNoPosition)?,
        feeder_time: reception::time(fields),
    })
}
