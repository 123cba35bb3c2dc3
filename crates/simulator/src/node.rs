//! A node of the mesh.

use meshcore_packet::{AppData, Identity, NodeType, PublicKey, cut_name};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A radio that a person chats with.
    Companion,
    /// A node that forwards what it hears.
    Repeater,
    /// A room server, which keeps posts and sends them on.
    Room,
    /// A sensor, which answers with measurements.
    Sensor,
}

impl Role {
    /// The type that the node's adverts carry.
    pub fn node_type(self) -> NodeType {
        match self {
            Self::Companion => NodeType::CHAT,
            Self::Repeater => NodeType::REPEATER,
            Self::Room => NodeType::ROOM,
            Self::Sensor => NodeType::SENSOR,
        }
    }

    /// What the place of its antenna is worth, in dB, for sending and for receiving.
    pub(crate) fn antenna_db(self) -> f64 {
        match self {
            Self::Repeater => 12.0,
            Self::Room => 4.0,
            Self::Companion | Self::Sensor => 2.0,
        }
    }
}

/// A node with real keys.
#[derive(Debug)]
pub struct Node {
    /// Signs adverts and agrees on secrets.
    pub identity: Identity,
    /// The public half of `identity`.
    pub public_key: PublicKey,
    /// What the node does.
    pub role: Role,
    /// The name in its adverts.
    pub name: String,
    /// Index of its region.
    pub region: usize,
    /// Latitude in degrees.
    pub lat_deg: f64,
    /// Longitude in degrees.
    pub lon_deg: f64,
    /// Whether its adverts tell the position.
    pub shares_location: bool,
    /// Bytes of key prefix that repeaters append to its floods: 1, 2 or 3.
    pub path_hash_size: usize,
    /// How far its clock is ahead, in seconds.
    pub clock_skew_secs: i64,
}

impl Node {
    /// The app data of the node's adverts.
    pub fn app_data(&self) -> AppData<'_> {
        let mut data = AppData::new(self.role.node_type());
        if self.shares_location {
            data = data.with_location(micro_degrees(self.lat_deg), micro_degrees(self.lon_deg));
        }
        let room = data.room_for_name();
        data.with_name(cut_name(&self.name, room))
    }
}

/// Degrees as the wire has them, truncated toward zero as senders do.
#[expect(
    clippy::cast_possible_truncation,
    reason = "positions are on the globe, and the cast truncates as intended"
)]
fn micro_degrees(degrees: f64) -> i32 {
    (degrees * 1e6) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_data_fits_its_32_bytes_whatever_the_name() {
        let identity = Identity::from_seed([7; 32]);
        let node = Node {
            public_key: identity.public_key(),
            identity,
            role: Role::Repeater,
            name: "Ünïcödé ".repeat(8),
            region: 0,
            lat_deg: 37.123_456_7,
            lon_deg: -121.5,
            shares_location: true,
            path_hash_size: 1,
            clock_skew_secs: 0,
        };
        let bytes = node.app_data().encode().unwrap();
        assert!(bytes.len() <= 32);
        let decoded = AppData::decode(&bytes);
        assert!(decoded.valid && decoded.name.is_some());
        assert_eq!(decoded.location.unwrap().lat_e6, 37_123_456);
    }
}
