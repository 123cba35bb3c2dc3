//! What the simulation puts out.

use std::time::Duration;

use meshcore_packet::{PacketHash, PayloadType, Route};

/// One MQTT message, and what it really is.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedMessage {
    /// When the feeder publishes it, from the start of the simulation. Never less than that of the
    /// message before.
    pub at: Duration,
    /// `meshcore/{IATA}/{PUBLIC KEY}/packets` or `…/status`.
    pub topic: String,
    /// A JSON object in the shape of the observer's feeder.
    pub payload: Vec<u8>,
    /// Whether the feeder asks the broker to keep it.
    pub retain: bool,
    /// What a consumer should find in it.
    pub truth: Truth,
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// An observer heard a packet.
    Reception(Reception),
    /// An observer tells how it is.
    Status {
        /// Index of the observer.
        observer: usize,
    },
}

impl Truth {
    /// Index of the observer.
    pub fn observer(&self) -> usize {
        match self {
            Self::Reception(reception) => reception.observer,
            Self::Status { observer } => *observer,
        }
    }

    /// The reception, if it is one.
    pub fn reception(&self) -> Option<&Reception> {
        match self {
            Self::Reception(reception) => Some(reception),
            Self::Status { .. } => None,
        }
    }
}

/// One copy of a packet at one observer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reception {
    /// Index of the observer.
    pub observer: usize,
    /// Index of the node that made the packet.
    pub origin: usize,
    /// Index of the node from which the observer heard it.
    pub sender: usize,
    /// The packet's hash, the same for all copies (but those of a TRACE).
    pub packet_hash: PacketHash,
    /// What the packet is.
    pub payload_type: PayloadType,
    /// How it travels.
    pub route: Route,
    /// Entries in the path of this copy.
    pub path_len: usize,
    /// The frame as it was on the air.
    pub raw: Vec<u8>,
    /// Signal-to-noise ratio in dB, in quarters; some feeders publish less.
    pub snr_db: f64,
    /// Signal strength in dBm.
    pub rssi_dbm: i32,
}
