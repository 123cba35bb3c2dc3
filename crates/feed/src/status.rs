//! An observer's report about itself.

use std::borrow::Cow;

use crate::client::Position;
use crate::fields::{Fields, text};
use crate::identity::Identity;
use crate::ignored::Ignored;
use crate::reception;
use crate::time::FeederTime;
use crate::topic::Topic;
use crate::value::Value;

/// The longest version, model or radio text, in characters.
const MAX_CHARS: usize = 128;

/// Most radios of one node that are kept.
const MAX_RADIOS: usize = 16;

/// Counters stop here: 32 bits in every firmware, but scripts add them up.
const COUNTER: std::ops::RangeInclusive<i64> = 0..=1_000_000_000_000;

/// Whether an observer is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// `online`.
    Online,
    /// `offline`, most often sent by the broker in the observer's stead.
    Offline,
}

/// An observer's status message.
///
/// A retained one may be months old and is no sign of life; only the MQTT layer can tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The observer, as in [`Reception::observer_id`](crate::Reception::observer_id).
    pub observer_id: String,
    /// The observer's name.
    pub observer_name: Option<String>,
    /// The region, upper case.
    pub iata: Option<String>,
    /// Missing when the feeder says neither.
    pub presence: Option<Presence>,
    /// The feeder's clock.
    pub feeder_time: Option<FeederTime>,
    /// Hardware model.
    pub model: Option<String>,
    /// Firmware version of the radio.
    pub firmware_version: Option<String>,
    /// Version of the feeder.
    pub client_version: Option<String>,
    /// Radio settings as sent: `freq,bw,sf,cr`.
    pub radio: Option<String>,
    /// The radios of a node that has several.
    pub radios: Vec<RadioEntry>,
    /// Whether the observer also repeats.
    pub repeat: Option<bool>,
    /// Where the observer says it is.
    pub position: Option<Position>,
    /// The program that feeds, where it names itself.
    pub source: Option<String>,
    /// Battery, airtime, counters.
    pub stats: StatusStats,
}

/// One radio of a node that has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RadioEntry {
    /// The id that packet records refer to.
    pub id: String,
    /// Settings as sent: `freq,bw,sf,cr`.
    pub radio: Option<String>,
}

/// The measurements of a status message; each may be missing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StatusStats {
    /// Battery in millivolts.
    pub battery_mv: Option<i64>,
    /// Seconds since the device started.
    pub uptime_secs: Option<i64>,
    /// Debug flags of the firmware.
    pub debug_flags: Option<i64>,
    /// Packets waiting to be sent.
    pub queue_len: Option<i64>,
    /// Noise floor in dBm.
    pub noise_floor: Option<f64>,
    /// Seconds spent sending since start.
    pub tx_air_secs: Option<i64>,
    /// Seconds spent receiving since start.
    pub rx_air_secs: Option<i64>,
    /// Frames received with errors.
    pub recv_errors: Option<i64>,
    /// Packets sent since start.
    pub packets_sent: Option<i64>,
    /// Packets received since start.
    pub packets_received: Option<i64>,
    /// Error flags or count, as the firmware defines it.
    pub errors: Option<i64>,
    /// Free heap in bytes.
    pub internal_heap: Option<i64>,
}

impl StatusStats {
    /// True if nothing was measured.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Radio settings in numbers, from the `freq,bw,sf,cr` text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RadioSettings {
    /// Centre frequency in MHz.
    pub frequency_mhz: f64,
    /// Bandwidth in kHz.
    pub bandwidth_khz: f64,
    /// Spreading factor, 5 to 12.
    pub spreading_factor: u8,
    /// Coding rate denominator, 5 to 8.
    pub coding_rate: u8,
}

impl RadioSettings {
    /// Reads `freq,bw,sf,cr`; `None` unless all four make sense.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(',').map(str::trim);
        let frequency_mhz = parts
            .next()?
            .parse()
            .ok()
            .filter(|f| (100.0..=3000.0).contains(f))?;
        let bandwidth_khz = parts
            .next()?
            .parse()
            .ok()
            .filter(|b| (5.0..=2000.0).contains(b))?;
        let spreading_factor = parts
            .next()?
            .parse()
            .ok()
            .filter(|sf| (5..=12).contains(sf))?;
        let coding_rate = parts
            .next()?
            .parse()
            .ok()
            .filter(|cr| (5..=8).contains(cr))?;
        let complete = parts.next().is_none();
        complete.then_some(Self {
            frequency_mhz,
            bandwidth_khz,
            spreading_factor,
            coding_rate,
        })
    }
}

/// Reads a status message.
pub(crate) fn read(topic: &Topic<'_>, fields: Fields<'_>) -> Result<Status, Ignored> {
    let identity = Identity::read(topic, fields)?;
    Ok(Status {
        observer_id: identity.id,
        observer_name: identity.name,
        iata: identity.iata,
        presence: presence(fields),
        feeder_time: reception::time(fields),
        model: fields.text(&["model"], MAX_CHARS),
        firmware_version: fields.text(&["firmware_version", "firmware"], MAX_CHARS),
        client_version: fields.text(&["client_version", "clientVersion"], MAX_CHARS),
        radio: fields.text(&["radio"], MAX_CHARS),
        radios: fields
            .array("radios")
            .iter()
            .filter_map(radio_entry)
            .take(MAX_RADIOS)
            .collect(),
        repeat: fields.boolean(&["repeat"]),
        position: fields
            .object("location")
            .and_then(|location| Position::read(location)),
        source: fields.text(&["source"], MAX_CHARS),
        stats: stats(fields),
    })
}

fn presence(fields: Fields<'_>) -> Option<Presence> {
    fields
        .all(&["status"])
        .find_map(|value| match value.as_str()?.trim() {
            word if word.eq_ignore_ascii_case("online") => Some(Presence::Online),
            word if word.eq_ignore_ascii_case("offline") => Some(Presence::Offline),
            _ => None,
        })
}

fn radio_entry(value: &Value<'_>) -> Option<RadioEntry> {
    let object = value.as_object()?;
    let id = Fields::new(object).text(&["id"], MAX_CHARS)?;
    // The settings are a text beside the id, never an object.
    let radio = object
        .get("radio")
        .and_then(|radio| text(radio, MAX_CHARS))
        .map(Cow::into_owned);
    Some(RadioEntry { id, radio })
}

/// The measurements, from `stats` or, where they are not there, from the top level.
fn stats(top: Fields<'_>) -> StatusStats {
    let nested = top.object("stats");
    let levels = || nested.into_iter().chain([top]);
    let counter =
        |names: &'static [&'static str]| levels().find_map(|fields| fields.integer(names, COUNTER));
    StatusStats {
        battery_mv: levels().find_map(|fields| fields.integer(&["battery_mv"], 0..=100_000)),
        uptime_secs: counter(&["uptime_secs"]),
        debug_flags: counter(&["debug_flags"]),
        queue_len: counter(&["queue_len"]),
        noise_floor: levels()
            .find_map(|fields| fields.number(&["noise_floor"], -200.0..=50.0))
            .map(|number| number.value),
        tx_air_secs: counter(&["tx_air_secs"]),
        rx_air_secs: counter(&["rx_air_secs"]),
        recv_errors: counter(&["recv_errors"]),
        packets_sent: counter(&["packets_sent"]),
        packets_received: counter(&["packets_received", "packets_recv"]),
        errors: counter(&["errors"]),
        internal_heap: counter(&["internal_heap"]),
    }
}

#[cfg(test)]
mod tests {
    use super::RadioSettings;

    #[test]
    fn radio_settings_need_all_four_numbers() {
        let settings = RadioSettings::from_text("869.618,62.5,8,8").unwrap();
        assert_eq!((settings.spreading_factor, settings.coding_rate), (8, 8));
        assert!((settings.frequency_mhz - 869.618).abs() < 1e-9);
        assert!(RadioSettings::from_text("910.525, 62.5, 7, 5").is_some());
        for bad in [
            "",
            "869.618",
            "869.618,62.5,8",
            "869.618,62.5,13,8",
            "NaN,62.5,8,8",
            "1,2,3,4,5",
        ] {
            assert_eq!(RadioSettings::from_text(bad), None, "{bad}");
        }
    }
}
