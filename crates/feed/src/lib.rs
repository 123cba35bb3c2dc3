//! The feed envelope: an MQTT topic and its JSON payload become one typed [`Message`].
//!
//! This crate sits between the MQTT sources and the packet decoder. It does no I/O, knows no
//! clock and cannot fail: whatever arrives is either a message or an [`Ignored`] reason that the
//! caller counts. It never looks inside a frame, but for the lengths and types that unmask the
//! wrong `raw` of transmit records (see [`TransmitRecord`]).
//!
//! Feeders disagree about nearly everything, so the reader is lenient: numbers may be strings with
//! units, a second spelling is tried when the first one is bad, and a field that makes no sense is
//! dropped rather than the message. Three fields are never believed: `path` (it is source and
//! destination hash, not a path), `len` and its relatives, and the `hash`, which is kept for
//! comparison only.
//!
//! # Examples
//!
//! ```
//! use meshcore_feed::{Message, ParseOptions, parse};
//!
//! let payload = br#"{"origin":"Hill","direction":"rx","raw":"1500AABBCCDD","SNR":"-6"}"#;
//! let Message::Reception(reception) =
//!     parse("meshcore/SJC/0A1B/packets", payload, &ParseOptions::default())
//! else {
//!     panic!("a reception");
//! };
//! assert_eq!(reception.observer_id, "0A1B");
//! assert_eq!(reception.snr, Some(-6.0));
//! assert!(reception.snr_is_integer);
//! ```

mod client;
mod companion;
mod fields;
mod frame;
mod hex;
mod identity;
mod ignored;
mod neighbors;
mod reception;
mod status;
mod time;
mod topic;
mod value;

pub use self::client::{ClientReception, Position};
pub use self::companion::{CompanionMessage, CompanionTarget};
pub use self::frame::{FrameClaims, FrameOutline, RouteClaim};
pub use self::ignored::Ignored;
pub use self::neighbors::{Neighbor, NeighborStatus, Neighbors};
pub use self::reception::{Direction, Reception, SourceKind, TransmitRecord};
pub use self::status::{Presence, RadioEntry, RadioSettings, Status, StatusStats};
pub use self::time::FeederTime;

use self::fields::Fields;
use self::topic::{Kind, Topic};
use self::value::Value;

/// The largest payload that is read. Real ones stay under 10 KiB; whatever is bigger is
/// [`Ignored::TooLarge`].
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// The longest observer id in characters; a public key has 64.
pub const MAX_OBSERVER_ID_CHARS: usize = 128;

/// Where an observer's name is cut, in characters.
pub const MAX_NAME_CHARS: usize = 64;

/// What a caller may choose about parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseOptions {
    /// Read what phones publish under `meshcore/client/…`. It carries positions of people, so it is
    /// off unless asked for; off, such messages are [`Ignored::ClientRxDisabled`].
    pub client_reception: bool,
    /// Read the `raw` topic (the default). A feeder that publishes `packets` too sends everything
    /// twice, for others it is the only source; off, it is [`Ignored::DuplicateRawTopic`]. See
    /// [`SourceKind::Raw`].
    pub raw_topic: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            client_reception: false,
            raw_topic: true,
        }
    }
}

impl ParseOptions {
    /// Sets [`client_reception`](Self::client_reception).
    #[must_use]
    pub fn with_client_reception(mut self, on: bool) -> Self {
        self.client_reception = on;
        self
    }

    /// Sets [`raw_topic`](Self::raw_topic).
    #[must_use]
    pub fn with_raw_topic(mut self, on: bool) -> Self {
        self.raw_topic = on;
        self
    }
}

/// One message of the feed.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// An observer heard a packet.
    Reception(Reception),
    /// An observer sent a packet: metadata, since its `raw` is suspect.
    Transmit(TransmitRecord),
    /// An observer's own state: online or offline, versions, battery, airtime.
    Status(Status),
    /// An observer's table of neighbours.
    Neighbors(Neighbors),
    /// A text that a companion device had already decrypted.
    Companion(CompanionMessage),
    /// A phone heard a packet at a known place.
    ClientReception(ClientReception),
    /// Nothing to store, and why.
    Ignored(Ignored),
}

impl Message {
    /// A short stable word for metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Reception(_) => "reception",
            Self::Transmit(_) => "transmit",
            Self::Status(_) => "status",
            Self::Neighbors(_) => "neighbors",
            Self::Companion(_) => "companion",
            Self::ClientReception(_) => "client_reception",
            Self::Ignored(_) => "ignored",
        }
    }
}

/// Reads one MQTT publish.
///
/// Never panics, whatever the bytes are. Memory is bounded by the payload's own length (at most
/// [`MAX_PAYLOAD_BYTES`]); no length that the payload claims is believed. Topics that are ignored as
/// such, among them `internal` with its personal data, are ignored without reading the payload.
pub fn parse(topic: &str, payload: &[u8], options: &ParseOptions) -> Message {
    read(topic, payload, options).unwrap_or_else(Message::Ignored)
}

fn read(topic: &str, payload: &[u8], options: &ParseOptions) -> Result<Message, Ignored> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Ignored::TooLarge);
    }
    let topic = Topic::read(topic);
    refuse_by_topic(&topic, options)?;
    if payload.is_empty() {
        return Err(Ignored::Empty);
    }
    let text = std::str::from_utf8(payload).map_err(|_| Ignored::InvalidUtf8)?;
    let value = Value::parse(text).map_err(|_| Ignored::NotJson)?;
    let Value::Object(object) = &value else {
        return Err(Ignored::NotAnObject);
    };
    dispatch(&topic, Fields::new(object), options)
}

/// Refuses what the topic alone condemns.
fn refuse_by_topic(topic: &Topic<'_>, options: &ParseOptions) -> Result<(), Ignored> {
    match topic.kind {
        Kind::Internal => Err(Ignored::Internal),
        Kind::Debug => Err(Ignored::Debug),
        Kind::Serial => Err(Ignored::Serial),
        Kind::Events => Err(Ignored::Events),
        Kind::RepeaterReport => Err(Ignored::RepeaterReport),
        Kind::ClientPackets | Kind::ClientReport if !options.client_reception => {
            Err(Ignored::ClientRxDisabled)
        }
        Kind::ClientReport => Err(Ignored::ClientReport),
        Kind::Raw if !options.raw_topic => Err(Ignored::DuplicateRawTopic),
        _ => Ok(()),
    }
}

fn dispatch(
    topic: &Topic<'_>,
    fields: Fields<'_>,
    options: &ParseOptions,
) -> Result<Message, Ignored> {
    let declared = fields.borrowed_text(&["type"], 32).unwrap_or_default();
    match topic.kind {
        Kind::ClientPackets => client::read(topic, fields).map(Message::ClientReception),
        Kind::Channel | Kind::Direct | Kind::Decoded => {
            companion::read(topic, fields).map(Message::Companion)
        }
        Kind::Status => status::read(topic, fields).map(Message::Status),
        Kind::Neighbors => neighbors::read(topic, fields).map(Message::Neighbors),
        _ if declared.eq_ignore_ascii_case("DEBUG") => Err(Ignored::Debug),
        _ if declared.eq_ignore_ascii_case("DECODED_MESSAGE") => {
            companion::read(topic, fields).map(Message::Companion)
        }
        Kind::Packets | Kind::Raw => reception::read(topic, fields, &declared, options),
        // Self-made topic templates: whatever carries a frame is a packet.
        _ if fields.carries_frame() => reception::read(topic, fields, &declared, options),
        _ => Err(Ignored::UnknownTopic),
    }
}
