//! Route types, bits 0-1 of the header byte (section 1.1 of the protocol document).

use std::fmt;

/// How a frame travels, and so what its path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// A flood limited to a region: transport codes are in the frame, and the path lists the
    /// repeaters passed so far, oldest first.
    TransportFlood = 0,
    /// A flood; the path lists the repeaters passed so far, oldest first.
    Flood = 1,
    /// A direct frame; the path lists the repeaters still to pass, next one first.
    Direct = 2,
    /// A direct frame with transport codes.
    TransportDirect = 3,
}

impl Route {
    /// All route types, in the order of their codes.
    pub const ALL: [Self; 4] = [
        Self::TransportFlood,
        Self::Flood,
        Self::Direct,
        Self::TransportDirect,
    ];

    /// The route in bits 0-1 of `bits`; the other bits are ignored.
    pub fn from_bits(bits: u8) -> Self {
        match bits & 0x03 {
            0 => Self::TransportFlood,
            1 => Self::Flood,
            2 => Self::Direct,
            _ => Self::TransportDirect,
        }
    }

    /// The number on the wire, 0 to 3.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The name in the protocol document, for example `TRANSPORT_FLOOD`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TransportFlood => "TRANSPORT_FLOOD",
            Self::Flood => "FLOOD",
            Self::Direct => "DIRECT",
            Self::TransportDirect => "TRANSPORT_DIRECT",
        }
    }

    /// Whether repeaters append themselves to the path.
    pub fn is_flood(self) -> bool {
        matches!(self, Self::TransportFlood | Self::Flood)
    }

    /// Whether repeaters remove themselves from the path.
    pub fn is_direct(self) -> bool {
        !self.is_flood()
    }

    /// Whether four bytes of transport codes follow the header.
    pub fn has_transport_codes(self) -> bool {
        matches!(self, Self::TransportFlood | Self::TransportDirect)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_ignore_other_bits() {
        for route in Route::ALL {
            assert_eq!(Route::from_bits(route.code()), route);
            assert_eq!(Route::from_bits(route.code() | 0xfc), route);
        }
    }
}
