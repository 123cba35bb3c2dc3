//! How well one place hears another, and the LoRa settings of the mesh.

use meshcore_packet::airtime::{LoraParams, airtime_us};

use crate::node::Node;

/// Spreading factor of the mesh.
pub(crate) const SF: u8 = 7;
/// The settings as feeders publish them: MHz, kHz, spreading factor, coding rate.
pub(crate) const RADIO: &str = "910.5250244,62.5,7,5";
/// Below this signal-to-noise ratio in dB nothing is received.
pub(crate) const SNR_LIMIT_DB: f64 = -7.5;
/// No radio reports more.
const SNR_MAX_DB: f64 = 13.5;
/// Noise floor in dBm.
pub(crate) const NOISE_FLOOR_DBM: f64 = -112.0;

/// Settings of the whole mesh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Radio(Option<LoraParams>);

impl Radio {
    pub(crate) fn new() -> Self {
        Self(LoraParams::new(SF, 62_500, 5).ok())
    }

    /// Time on air of a frame, in microseconds.
    pub(crate) fn airtime_us(self, len: usize) -> u64 {
        self.0.map_or(0, |params| airtime_us(len, &params))
    }
}

/// Distance in km; the earth is flat enough over the reach of a radio.
pub(crate) fn distance_km(a: &Node, b: &Node) -> f64 {
    let mean_lat = f64::midpoint(a.lat_deg, b.lat_deg).to_radians();
    let north = (a.lat_deg - b.lat_deg) * 111.2;
    let east = (a.lon_deg - b.lon_deg) * 111.2 * mean_lat.cos();
    north.hypot(east)
}

/// Mean margin of the link between two nodes: the signal-to-noise ratio in dB that a radio without
/// an upper limit would report.
pub(crate) fn link_db(a: &Node, b: &Node) -> f64 {
    let distance = distance_km(a, b).max(0.2);
    10.0 + a.role.antenna_db() + b.role.antenna_db() - 32.0 * distance.log10() + shadow_db(a, b)
}

/// What hills and houses between two nodes take or give, -6 to 6 dB; the same both ways.
fn shadow_db(a: &Node, b: &Node) -> f64 {
    let [first_a, second_a, ..] = a.public_key.0;
    let [first_b, second_b, ..] = b.public_key.0;
    f64::from((first_a ^ first_b) % 7) + f64::from((second_a ^ second_b) % 7) - 6.0
}

/// The signal-to-noise ratio that a radio reports, in quarters of a dB.
pub(crate) fn reported_snr(link_db: f64) -> i8 {
    quarters(link_db.clamp(-20.0, SNR_MAX_DB))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is within -20 to 13.5 dB"
)]
fn quarters(snr_db: f64) -> i8 {
    (snr_db * 4.0).round() as i8
}

/// The signal strength that a radio reports, in whole dBm.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is within -132 and -20 dBm"
)]
pub(crate) fn reported_rssi(link_db: f64) -> i32 {
    (NOISE_FLOOR_DBM + link_db).clamp(-132.0, -20.0).round() as i32
}
