//! What the ingestor asks the store to write: one [`Record`] for each message that came in.

use std::borrow::Cow;

/// One message's worth of writing. Messages that store nothing are sent too ([`Record::Nothing`]), so that
/// acknowledgements keep the order of arrival.
#[derive(Debug, Clone)]
pub enum Record {
    /// A packet that an observer heard.
    Reception(Box<Reception>),
    /// An observer's report about itself.
    Status(Box<Status>),
    /// A message that must not vanish without a trace: a dead letter.
    Dropped(Box<Dropped>),
    /// A position report of a mobile receiver.
    ClientReception(Box<ClientReception>),
    /// An observer's table of direct neighbours.
    Neighbors(Box<Neighbors>),
    /// Metadata of a packet that an observer sent itself: no reception, only a sign of life.
    SignOfLife(Box<Observer>),
    /// Nothing to store.
    Nothing,
}

/// Where an observation's `timestamp` is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TimeSource {
    /// Arrival at the ingestor, in live operation.
    Arrival = 0,
    /// The feeder's zoned time stamp, for a message delivered after an outage of ours.
    Feeder = 1,
    /// Arrival of a message that was held back: the mesh heard it earlier, when exactly isn't known.
    BacklogArrival = 2,
}

/// The observer behind a record.
#[derive(Debug, Clone, Default)]
pub struct Observer {
    /// The id as sent. Ids of 64 hex digits match whatever their case.
    pub id: String,
    /// Its name; `None` leaves the stored one alone.
    pub name: Option<String>,
    /// Its region code; `None` leaves the stored one alone.
    pub iata: Option<String>,
    /// When this was a sign of life, unix seconds; `None` for a retained message, which is none.
    pub seen_at: Option<i64>,
    /// Its clock against ours in seconds (positive: it runs ahead), if this message told.
    pub clock_skew_seconds: Option<i64>,
    /// Whether this message carried a time stamp without a zone.
    pub naive_clock: bool,
}

/// A packet that an observer heard.
#[derive(Debug, Clone)]
pub struct Reception {
    /// The packet hash (protocol document, section 10).
    pub hash: [u8; 8],
    /// The frame as received; empty for a message that never was a frame (companion bridge).
    pub raw: Vec<u8>,
    /// Route type, 0 to 3.
    pub route_type: u8,
    /// Payload type, 0 to 15.
    pub payload_type: u8,
    /// The path as v3 stores it: a JSON array of upper-case hex hops.
    pub path_json: String,
    /// Whether `path_json` holds the frame's path (it does not for TRACE), so that the frame can be rebuilt
    /// from the transmission's.
    pub path_is_frame_path: bool,
    /// Who heard it.
    pub observer: Observer,
    /// `rx` or `tx`, if the feeder said.
    pub direction: Option<&'static str>,
    /// Signal to noise, dB.
    pub snr: Option<f64>,
    /// Signal strength, dBm.
    pub rssi: Option<f64>,
    /// The firmware's reception score, 0 to 1000.
    pub score: Option<i64>,
    /// Airtime as the feeder reported it, milliseconds.
    pub duration_ms: Option<u32>,
    /// When the mesh heard it, as well as we know, unix seconds.
    pub heard_at: i64,
    /// Where `heard_at` is from.
    pub time_source: TimeSource,
    /// When it arrived here, unix milliseconds.
    pub arrived_at_ms: i64,
    /// The feeder's own time stamp, unix milliseconds.
    pub feeder_time_ms: Option<i64>,
    /// What is known of the packet without decoding the frame (companion bridge); else it is asked of
    /// [`Describe`] when the packet is new.
    pub description: Option<Box<Description>>,
}

/// What is stored once for each packet. Made only for packets that are new, which few are.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// Payload version bits.
    pub payload_version: u8,
    /// CoreScope's `decoded_json`.
    pub decoded_json: String,
    /// The public key of the node that sent it, where the packet says so, lower-case hex.
    pub from_pubkey: Option<String>,
    /// The channel's name, or `enc_<HH>`; only for group texts.
    pub channel_hash: Option<String>,
    /// `#region`, `""` for an unknown region, `None` when the packet is not scoped.
    pub scope_name: Option<String>,
    /// The node that a good advert tells about.
    pub node: Option<NodeAdvert>,
    /// Whether this was an advert with a wrong signature.
    pub bad_signature: bool,
}

/// What an advert with a good signature says about its node.
#[derive(Debug, Clone)]
pub struct NodeAdvert {
    /// Lower-case hex.
    pub public_key: String,
    /// `None` leaves the stored name alone.
    pub name: Option<String>,
    /// `companion`, `repeater`, `room`, `sensor`, `none` or `type-N`.
    pub role: String,
    /// Degrees, latitude and longitude; `None` leaves the stored position alone.
    pub position: Option<(f64, f64)>,
    /// Whether it is outside the area that the mesh is in.
    pub is_foreign: bool,
    /// The advert's own time, unix seconds, by the node's clock.
    pub timestamp: i64,
}

/// Describes a packet that the store has not seen before.
pub trait Describe: Send + Sync {
    /// What is stored once for the packet of `reception`.
    fn describe(&self, reception: &Reception) -> Description;
}

impl<F: Fn(&Reception) -> Description + Send + Sync> Describe for F {
    fn describe(&self, reception: &Reception) -> Description {
        self(reception)
    }
}

/// An observer's report about itself. `None` leaves the stored value alone.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Who reports.
    pub observer: Observer,
    /// `online` or `offline`.
    pub online: Option<bool>,
    /// Hardware model.
    pub model: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Feeder program and version.
    pub client_version: Option<String>,
    /// `freq,bw,sf,cr`.
    pub radio: Option<String>,
    /// Whether it also repeats.
    pub can_relay: Option<bool>,
    /// Battery, millivolts.
    pub battery_mv: Option<i64>,
    /// Uptime, seconds.
    pub uptime_secs: Option<i64>,
    /// Noise floor, dBm.
    pub noise_floor: Option<f64>,
    /// Air time sent, seconds.
    pub tx_air_secs: Option<i64>,
    /// Air time received, seconds.
    pub rx_air_secs: Option<i64>,
    /// Reception errors.
    pub recv_errors: Option<i64>,
    /// Packets sent.
    pub packets_sent: Option<i64>,
    /// Packets received.
    pub packets_recv: Option<i64>,
    /// When the sample counts, unix seconds, rounded to the sample interval; `None` writes no sample.
    pub sample_at: Option<i64>,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// Why, from a bounded set: a frame error's kind, or `store:…`.
    pub reason: Cow<'static, str>,
    /// The packet hash, if there is one.
    pub hash: Option<[u8; 8]>,
    /// What came in, at most [`MAX_DROPPED_RAW`] bytes of it are kept.
    pub raw: Vec<u8>,
    /// Who sent it.
    pub observer_id: Option<String>,
    /// The name it gave.
    pub observer_name: Option<String>,
}

/// How many bytes of a dead letter are kept.
pub const MAX_DROPPED_RAW: usize = 512;

/// A packet heard by a mobile receiver at a known position.
#[derive(Debug, Clone)]
pub struct ClientReception {
    /// The receiver's public key, or a prefix of it, lower-case hex.
    pub rx_pubkey: String,
    /// Whom it heard: a key or a prefix, lower-case hex.
    pub heard_key: String,
    /// `advert` (full key) or `rxlog` (last hop).
    pub src: &'static str,
    /// Signal strength, dBm.
    pub rssi: Option<f64>,
    /// Signal to noise, dB.
    pub snr: Option<f64>,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
    /// Accuracy of the position, metres.
    pub accuracy_m: Option<f64>,
    /// When it was heard, unix seconds.
    pub rx_at: i64,
}

/// An observer's direct neighbours.
#[derive(Debug, Clone)]
pub struct Neighbors {
    /// Who reports.
    pub observer: Observer,
    /// Public keys of the neighbours, lower-case hex.
    pub neighbors: Vec<String>,
}

/// What one commit did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// New packets.
    pub transmissions: u64,
    /// New observations.
    pub observations: u64,
    /// Observations that were there already.
    pub duplicates: u64,
    /// New adverts with a wrong signature.
    pub bad_signatures: u64,
    /// Dead letters, by reason.
    pub dropped: Vec<(String, u64)>,
}

impl Outcome {
    pub(crate) fn merge(&mut self, other: Self) {
        let Self {
            transmissions,
            observations,
            duplicates,
            bad_signatures,
            dropped,
        } = other;
        self.transmissions += transmissions;
        self.observations += observations;
        self.duplicates += duplicates;
        self.bad_signatures += bad_signatures;
        for (reason, n) in dropped {
            self.count_dropped(&reason, n);
        }
    }

    pub(crate) fn count_dropped(&mut self, reason: &str, n: u64) {
        match self.dropped.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += n,
            None => self.dropped.push((reason.to_owned(), n)),
        }
    }
}

/// The form of an observer id that two spellings of the same observer share.
pub(crate) fn observer_key(id: &str) -> Cow<'_, str> {
    // Without an early end these loops take 16 bytes at a time; nearly every id is a key.
    let is_hex = || id.bytes().fold(true, |all, b| all & b.is_ascii_hexdigit());
    let has_lower_case = || {
        id.bytes()
            .fold(false, |any, b| any | b.is_ascii_lowercase())
    };
    if id.len() == 64 && is_hex() && has_lower_case() {
        Cow::Owned(id.to_ascii_uppercase())
    } else {
        Cow::Borrowed(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_match_whatever_their_case_and_other_ids_do_not() {
        let key = "ab".repeat(32);
        assert_eq!(observer_key(&key), observer_key(&key.to_uppercase()));
        assert_ne!(observer_key("Kpabap"), observer_key("kpabap"));
    }
}
