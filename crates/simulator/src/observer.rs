//! Observers: nodes with a feeder that publishes what they hear.

use crate::node::Role;
use crate::rng::Rng;

/// The feeder software of an observer, and so the shape of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// meshcoretomqtt: all strings, whole dB, score and duration, `path` as `C2 -> E2`.
    MeshcoreToMqtt,
    /// meshcoretomqtt before June 2026: the same, with timestamps that have no zone.
    MeshcoreToMqttNaive,
    /// meshcore-packet-capture: quarters of a dB, no score and duration, timestamps without zone,
    /// `path` as hops joined by commas.
    PacketCapture,
    /// The ESP32 observer firmware: `path` is an array of hops, routes T and U.
    Esp32,
    /// `openhop_repeater`: all strings, quarters of a dB, the id of the receiving radio.
    Openhop,
    /// meshcore-ha: lower-case keys and numbers that are numbers.
    HomeAssistant,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 6] = [
        Self::MeshcoreToMqtt,
        Self::MeshcoreToMqttNaive,
        Self::PacketCapture,
        Self::Esp32,
        Self::Openhop,
        Self::HomeAssistant,
    ];

    /// What the feeder calls itself in its status.
    pub fn client_version(self) -> &'static str {
        match self {
            Self::MeshcoreToMqtt => "meshcoretomqtt/1.4.0",
            Self::MeshcoreToMqttNaive => "meshcoretomqtt/1.1.2",
            Self::PacketCapture => "meshcore-packet-capture/1.3.0",
            Self::Esp32 => "esp32-observer/2.1",
            Self::Openhop => "openhop_repeater/0.9.4",
            Self::HomeAssistant => "meshcore-ha/2.2.5",
        }
    }

    /// The dialect of the observer with this number: the common ones first, then all in turn.
    pub(crate) fn of(number: usize, role: Role) -> Self {
        let repeater = [
            Self::MeshcoreToMqtt,
            Self::Esp32,
            Self::MeshcoreToMqtt,
            Self::Openhop,
            Self::MeshcoreToMqttNaive,
        ];
        let other = [Self::PacketCapture, Self::HomeAssistant, Self::Esp32];
        let list = match role {
            Role::Repeater => &repeater[..],
            _ => &other[..],
        };
        list.get(number % list.len())
            .copied()
            .unwrap_or(Self::MeshcoreToMqtt)
    }
}

/// A node with a feeder.
#[derive(Clone, Debug, PartialEq)]
pub struct Observer {
    /// Index of the node; its key names the observer in topics, its region is the feed's.
    pub node: usize,
    /// The shape of its JSON.
    pub dialect: Dialect,
    /// How far the feeder's clock is ahead, in milliseconds.
    pub clock_skew_ms: i64,
    /// From the end of the frame to the publish, in microseconds.
    pub(crate) latency_us: u64,
    /// When its first periodic status is due, in microseconds.
    pub(crate) status_phase_us: u64,
    /// The board, as statuses name it.
    pub(crate) model: &'static str,
    /// How long it was running before the simulation began, in seconds.
    pub(crate) uptime_secs: u64,
}

impl Observer {
    pub(crate) fn new(rng: &mut Rng, number: usize, node: usize, role: Role) -> Self {
        const MODELS: [&str; 5] = [
            "Heltec V3",
            "RAK4631",
            "Station G2",
            "Xiao S3 WIO",
            "LilyGo T-Beam",
        ];
        Self {
            node,
            dialect: Dialect::of(number / 2, role),
            // Most feeders run on computers with NTP, some on boards that drift.
            clock_skew_ms: if rng.chance(0.2) {
                i64::from(rng.next_u32() % 6_000) - 3_000
            } else {
                i64::from(rng.next_u32() % 80) - 40
            },
            latency_us: rng.between(15_000, 180_000),
            status_phase_us: rng.between(20_000_000, 300_000_000),
            model: rng.pick(&MODELS).copied().unwrap_or("Heltec V3"),
            uptime_secs: rng.between(600, 4_000_000),
        }
    }
}
