//! Node types, as adverts and discovery name them (section 7).

use std::fmt;

/// What a node is; four bits on the wire, of which five values have a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeType(u8);

impl NodeType {
    /// No type given.
    pub const NONE: Self = Self(0);
    /// A companion: a radio that a person chats with.
    pub const CHAT: Self = Self(1);
    /// A repeater.
    pub const REPEATER: Self = Self(2);
    /// A room server.
    pub const ROOM: Self = Self(3);
    /// A sensor.
    pub const SENSOR: Self = Self(4);

    /// The type in the low four bits of `bits`; the other bits are ignored.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & 0x0f)
    }

    /// The number on the wire, 0 to 15.
    pub fn code(self) -> u8 {
        self.0
    }

    /// `NONE`, `CHAT`, `REPEATER`, `ROOM`, `SENSOR`, or `TYPE_5` to `TYPE_15` for those that have
    /// no meaning yet.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "NONE",
            1 => "CHAT",
            2 => "REPEATER",
            3 => "ROOM",
            4 => "SENSOR",
            5 => "TYPE_5",
            6 => "TYPE_6",
            7 => "TYPE_7",
            8 => "TYPE_8",
            9 => "TYPE_9",
            10 => "TYPE_10",
            11 => "TYPE_11",
            12 => "TYPE_12",
            13 => "TYPE_13",
            14 => "TYPE_14",
            _ => "TYPE_15",
        }
    }
}

impl fmt::Display for NodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
