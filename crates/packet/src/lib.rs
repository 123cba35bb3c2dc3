//! The MeshCore wire format: from the bytes of one received LoRa frame to typed fields, and back.
//!
//! [`Frame::decode`] and [`Frame::packet_hash`] look at bytes only and allocate nothing;
//! [`Frame::decode_payload`] gives the payload by type. Verifying a signature
//! ([`Advert::signature_valid`]) and decrypting ([`ChannelKeys`], [`envelope`]) are separate
//! steps, since they cost a hundred times more and need not happen for every copy of a packet.
//!
//! [`Analysis`] does both at once, and [`view`] and [`corescope`] turn its result into JSON; for
//! people there is [`breakdown()`]. In the other direction every type has an `encode`.
//!
//! ```
//! use meshcore_packet::plaintext::GroupMessage;
//! use meshcore_packet::{
//!     ChannelKey, ChannelKeys, Frame, GroupEncrypted, Opened, Path, Payload, PayloadType, Route,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let channel = ChannelKey::hashtag("#test");
//! let message = GroupMessage { timestamp: 1_700_000_000, flags: 0, text: Some(b"Ann: hello") };
//! let payload = GroupEncrypted::seal(&channel, &message.encode()?)?;
//! let frame = Frame {
//!     route: Route::Flood,
//!     payload_type: PayloadType::GroupText,
//!     transport_codes: None,
//!     path: Path::empty(),
//!     payload: &payload,
//! };
//! let on_air = frame.encode()?;
//!
//! let keys: ChannelKeys = [channel].into_iter().collect();
//! let received = Frame::decode(&on_air)?;
//! let Payload::GroupText(group) = received.decode_payload()? else { unreachable!() };
//! let Opened::Ok { channel, plaintext } = group.open(&keys) else { unreachable!() };
//! assert_eq!(channel.name(), "#test");
//! assert_eq!(GroupMessage::decode(&plaintext)?, message);
//! # Ok(())
//! # }
//! ```
//!
//! Clause numbers in the documentation of items are those of the project's protocol document. No
//! input, however broken, makes this crate panic, and nothing is allocated by a length that the
//! wire only claims.

pub mod airtime;
mod analysis;
mod breakdown;
mod bytes;
mod channel;
pub mod corescope;
pub mod envelope;
mod error;
mod frame;
mod hex_view;
mod keys;
pub mod limits;
mod packet_hash;
mod path;
mod payload;
mod payload_type;
pub mod plaintext;
mod region;
mod route;
pub mod view;

pub use analysis::Analysis;
pub use breakdown::{Field, breakdown};
pub use channel::{ChannelKey, ChannelKeys, Opened};
pub use error::{EncodeError, FrameError, KeyError, PayloadError, PlaintextError};
pub use frame::Frame;
pub use keys::{Identity, PublicKey};
pub use packet_hash::PacketHash;
pub use path::Path;
pub use payload::{
    Ack, Advert, AnonRequest, AppData, Control, DiscoverRequest, DiscoverResponse, Encrypted,
    GroupEncrypted, Location, Multipart, NodeType, Payload, Trace, ack_checksum, cut_name,
};
pub use payload_type::PayloadType;
pub use region::{RegionKey, RegionKeys};
pub use route::Route;
