//! What a feeder claims about a frame, and the header arithmetic that checks it.

use crate::fields::Fields;

/// The lengths and types of a frame, from its first bytes alone.
///
/// ```text
/// header(1) | transport codes(4, routes 0 and 3) | path_len(1) | path | payload
/// header = version << 6 | payload_type << 2 | route;  path_len = (size - 1) << 6 | count
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameOutline {
    /// Bytes of the whole frame.
    pub frame_len: usize,
    /// Bits 2 to 5 of the header.
    pub payload_type: u8,
    /// Bits 0 and 1 of the header: 0 transport flood, 1 flood, 2 direct, 3 transport direct.
    pub route: u8,
    /// Bytes behind the path.
    pub payload_len: usize,
}

impl FrameOutline {
    /// Outlines a frame; `None` when its header does not add up.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let (header, rest) = frame.split_first()?;
        let route = header & 0b11;
        let codes_len = if matches!(route, 0 | 3) { 4 } else { 0 };
        let (path_len, rest) = rest.get(codes_len..)?.split_first()?;
        let entry_size = usize::from(path_len >> 6) + 1;
        let path_bytes = entry_size * usize::from(path_len & 0x3F);
        if entry_size > 3 || path_bytes > 64 {
            return None;
        }
        let payload = rest.get(path_bytes..)?;
        Some(Self {
            frame_len: frame.len(),
            payload_type: (header >> 2) & 0x0F,
            route,
            payload_len: payload.len(),
        })
    }
}

/// The route as a feeder writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteClaim {
    /// `F`: flood, with or without transport codes.
    Flood,
    /// `D`: direct, with or without transport codes (firmware), or without (scripts).
    Direct,
    /// `T`: with transport codes.
    Transport,
    /// A digit: the route bits themselves.
    Bits(u8),
}

impl RouteClaim {
    fn read(text: &str) -> Option<Self> {
        match text {
            "F" | "f" => Some(Self::Flood),
            "D" | "d" => Some(Self::Direct),
            "T" | "t" => Some(Self::Transport),
            "0" | "1" | "2" | "3" => text.parse().ok().map(Self::Bits),
            // `U` says that the feeder does not know.
            _ => None,
        }
    }

    fn covers(self, route: u8) -> bool {
        match self {
            Self::Flood => matches!(route, 0 | 1),
            Self::Direct => matches!(route, 2 | 3),
            Self::Transport => matches!(route, 0 | 3),
            Self::Bits(bits) => bits == route,
        }
    }
}

/// What a feeder says about a frame beside the frame itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameClaims {
    /// `len`: bytes of the frame.
    pub len: Option<u32>,
    /// `packet_type`: the payload type in decimal.
    pub packet_type: Option<u8>,
    /// `route`.
    pub route: Option<RouteClaim>,
    /// `payload_len`: bytes of the payload.
    pub payload_len: Option<u32>,
}

impl FrameClaims {
    pub(crate) fn read(fields: Fields<'_>) -> Self {
        Self {
            len: fields.integer(&["len"], 0..=65_535),
            packet_type: fields.integer(&["packet_type"], 0..=15),
            route: fields
                .borrowed_text(&["route"], 8)
                .as_deref()
                .and_then(RouteClaim::read),
            payload_len: fields.integer(&["payload_len"], 0..=65_535),
        }
    }

    /// True if all four claims were made and fit the frame.
    pub fn match_frame(&self, outline: &FrameOutline) -> bool {
        let fits = |claim: Option<u32>, len: usize| claim.map(|n| n as usize) == Some(len);
        fits(self.len, outline.frame_len)
            && self.packet_type == Some(outline.payload_type)
            && self.route.is_some_and(|route| route.covers(outline.route))
            && fits(self.payload_len, outline.payload_len)
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameClaims, FrameOutline, RouteClaim};

    #[test]
    fn outlines_follow_the_header() {
        let outline = |hex: &str| {
            FrameOutline::of(&::hex::decode(hex).unwrap())
                .map(|o| (o.frame_len, o.payload_type, o.route, o.payload_len))
        };
        assert_eq!(outline("1500AABB"), Some((4, 5, 1, 2)));
        assert_eq!(outline("2502AABBDEADBEEF"), Some((8, 9, 1, 4)));
        assert_eq!(outline("0A41AABBDEAD"), Some((6, 2, 2, 2)));
        assert_eq!(outline("1401020304"), None, "no path length");
        assert_eq!(outline("140102030400FF"), Some((7, 5, 0, 1)));
        assert_eq!(outline(""), None);
        assert_eq!(outline("15"), None);
        assert_eq!(outline("15C0"), None, "reserved entry size");
        assert_eq!(outline("1561"), None, "path over 64 bytes");
        assert_eq!(outline("1503AABB"), None, "cut inside the path");
    }

    #[test]
    fn letters_cover_the_routes_that_their_writers_mean() {
        let cases = [
            ("F", "1100"),
            ("D", "0011"),
            ("T", "1001"),
            ("2", "0010"),
            ("0", "1000"),
        ];
        for (letter, expected) in cases {
            let claim = RouteClaim::read(letter).unwrap();
            let covered: String = (0..4)
                .map(|route| if claim.covers(route) { '1' } else { '0' })
                .collect();
            assert_eq!(covered, expected, "{letter}");
        }
        assert_eq!(RouteClaim::read("U"), None);
        assert_eq!(RouteClaim::read("4"), None);
    }

    #[test]
    fn one_missing_or_wrong_claim_is_enough_to_fail() {
        let frame = FrameOutline {
            frame_len: 4,
            payload_type: 5,
            route: 1,
            payload_len: 2,
        };
        let good = FrameClaims {
            len: Some(4),
            packet_type: Some(5),
            route: Some(RouteClaim::Flood),
            payload_len: Some(2),
        };
        assert!(good.match_frame(&frame));
        for wrong in [
            FrameClaims { len: None, ..good },
            FrameClaims {
                len: Some(5),
                ..good
            },
            FrameClaims {
                packet_type: Some(4),
                ..good
            },
            FrameClaims {
                route: Some(RouteClaim::Direct),
                ..good
            },
            FrameClaims {
                route: None,
                ..good
            },
            FrameClaims {
                payload_len: Some(1),
                ..good
            },
        ] {
            assert!(!wrong.match_frame(&frame), "{wrong:?}");
        }
    }
}
