//! The app data of an advert: type, place and name of the node (section 7).

use super::NodeType;
use crate::bytes::{Reader, split_at_nul};
use crate::error::EncodeError;
use crate::limits::MAX_APP_DATA_LEN;

const HAS_LOCATION: u8 = 0x10;
const HAS_FEAT1: u8 = 0x20;
const HAS_FEAT2: u8 = 0x40;
const HAS_NAME: u8 = 0x80;

/// A position in millionths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Latitude, degrees x 1,000,000, north positive.
    pub lat_e6: i32,
    /// Longitude, degrees x 1,000,000, east positive.
    pub lon_e6: i32,
    /// Whether both are on the globe: within 90 and 180 degrees.
    pub in_range: bool,
}

impl Location {
    /// A position; any integers are kept, and judged by `in_range`.
    pub fn new(lat_e6: i32, lon_e6: i32) -> Self {
        let in_range = lat_e6.unsigned_abs() <= 90_000_000 && lon_e6.unsigned_abs() <= 180_000_000;
        Self {
            lat_e6,
            lon_e6,
            in_range,
        }
    }

    /// Whether both are exactly 0, which nodes without a position send.
    pub fn is_unset(&self) -> bool {
        self.lat_e6 == 0 && self.lon_e6 == 0
    }

    /// Latitude and longitude in degrees.
    pub fn degrees(&self) -> (f64, f64) {
        (f64::from(self.lat_e6) / 1e6, f64::from(self.lon_e6) / 1e6)
    }
}

/// Decoded app data, or app data to encode.
///
/// ```text
/// flags(1) | latitude(4) longitude(4) | feature 1(2) | feature 2(2) | name
/// ```
///
/// All parts behind the flags are optional; the high four bits of the flags say which are there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppData<'a> {
    /// The flags byte; `None` when there is no app data at all.
    pub flags: Option<u8>,
    /// What the node is; `None` when there is no app data at all.
    pub node_type: Option<NodeType>,
    /// Where it is.
    pub location: Option<Location>,
    /// Reserved.
    pub feat1: Option<u16>,
    /// Reserved.
    pub feat2: Option<u16>,
    /// The name for people: invalid UTF-8 replaced, control characters removed, never empty.
    pub name: Option<String>,
    /// The bytes of the name up to the first NUL, never empty.
    pub name_raw: Option<&'a [u8]>,
    /// Whether the app data is as long as its flags demand. If not, only `flags` and `node_type`
    /// are given.
    pub valid: bool,
}

impl<'a> AppData<'a> {
    /// Reads app data, of which only the first 32 bytes count.
    pub fn decode(bytes: &'a [u8]) -> Self {
        let bytes = counted(bytes);
        let invalid = Self {
            flags: bytes.first().copied(),
            node_type: bytes.first().map(|flags| NodeType::from_bits(*flags)),
            location: None,
            feat1: None,
            feat2: None,
            name: None,
            name_raw: None,
            valid: false,
        };
        invalid.fields(bytes).unwrap_or(invalid)
    }

    /// The fields behind the flags, or `None` when there are too few bytes.
    fn fields(&self, bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u8()?;
        let mut data = Self {
            valid: true,
            ..self.clone()
        };
        if flags & HAS_LOCATION != 0 {
            data.location = Some(Location::new(reader.i32()?, reader.i32()?));
        }
        if flags & HAS_FEAT1 != 0 {
            data.feat1 = Some(reader.u16()?);
        }
        if flags & HAS_FEAT2 != 0 {
            data.feat2 = Some(reader.u16()?);
        }
        if flags & HAS_NAME != 0 {
            let (name, _) = split_at_nul(reader.rest());
            data.name_raw = (!name.is_empty()).then_some(name);
            data.name = clean_name(name);
        }
        Some(data)
    }

    /// App data with nothing but a node type, to build on.
    pub fn new(node_type: NodeType) -> Self {
        Self {
            flags: Some(node_type.code()),
            node_type: Some(node_type),
            location: None,
            feat1: None,
            feat2: None,
            name: None,
            name_raw: None,
            valid: true,
        }
    }

    /// Adds a position in millionths of a degree.
    #[must_use]
    pub fn with_location(mut self, lat_e6: i32, lon_e6: i32) -> Self {
        self.location = Some(Location::new(lat_e6, lon_e6));
        self.with_flag(HAS_LOCATION)
    }

    /// Adds the two reserved values that are given.
    #[must_use]
    pub fn with_features(mut self, feat1: Option<u16>, feat2: Option<u16>) -> Self {
        (self.feat1, self.feat2) = (feat1, feat2);
        let flag1 = if feat1.is_some() { HAS_FEAT1 } else { 0 };
        let flag2 = if feat2.is_some() { HAS_FEAT2 } else { 0 };
        self.with_flag(flag1 | flag2)
    }

    /// Adds a name, up to its first NUL; an empty one is no name.
    #[must_use]
    pub fn with_name(mut self, name: &'a str) -> Self {
        let (name, _) = split_at_nul(name.as_bytes());
        self.name = clean_name(name);
        self.name_raw = (!name.is_empty()).then_some(name);
        let flag = if name.is_empty() { 0 } else { HAS_NAME };
        self.with_flag(flag)
    }

    fn with_flag(mut self, flag: u8) -> Self {
        self.flags = Some(self.flags.unwrap_or(0) | flag);
        self
    }

    /// Bytes that a name may take beside the other fields.
    pub fn room_for_name(&self) -> usize {
        let location = if self.location.is_some() { 8 } else { 0 };
        let feat1 = if self.feat1.is_some() { 2 } else { 0 };
        let feat2 = if self.feat2.is_some() { 2 } else { 0 };
        MAX_APP_DATA_LEN - 1 - location - feat1 - feat2
    }

    /// The bytes on the wire. The flags byte follows from the fields that are there, and the name
    /// is taken from `name_raw`.
    ///
    /// # Errors
    ///
    /// When the name does not fit; [`cut_name`] shortens one as nodes do.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let name = self.name_raw.unwrap_or(&[]);
        let room = self.room_for_name();
        if name.len() > room {
            return Err(EncodeError::AppDataTooLong {
                len: MAX_APP_DATA_LEN - room + name.len(),
            });
        }
        let mut flags = self.node_type.map_or(0, NodeType::code);
        let mut out = Vec::with_capacity(MAX_APP_DATA_LEN);
        out.push(0);
        if let Some(location) = self.location {
            flags |= HAS_LOCATION;
            out.extend(location.lat_e6.to_le_bytes());
            out.extend(location.lon_e6.to_le_bytes());
        }
        if let Some(feat1) = self.feat1 {
            flags |= HAS_FEAT1;
            out.extend(feat1.to_le_bytes());
        }
        if let Some(feat2) = self.feat2 {
            flags |= HAS_FEAT2;
            out.extend(feat2.to_le_bytes());
        }
        if !name.is_empty() {
            flags |= HAS_NAME;
            out.extend(name);
        }
        if let Some(first) = out.first_mut() {
            *first = flags;
        }
        Ok(out)
    }
}

/// The longest start of `name` that has at most `max_len` bytes and cuts no character in two.
pub fn cut_name(name: &str, max_len: usize) -> &str {
    let end = name.floor_char_boundary(max_len);
    name.get(..end).unwrap_or(name)
}

/// The part of the app data that counts, for decoding as for the signature.
pub(super) fn counted(bytes: &[u8]) -> &[u8] {
    bytes.get(..MAX_APP_DATA_LEN).unwrap_or(bytes)
}

/// The name as text: lossily decoded, without U+0000-U+001F and U+007F, or nothing.
fn clean_name(raw: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(raw);
    let name: String = text.chars().filter(|c| !c.is_ascii_control()).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(raw: &[u8]) -> Option<String> {
        let bytes = [&[0x81], raw].concat();
        AppData::decode(&bytes).name
    }

    #[test]
    fn names_end_at_nul_and_lose_control_characters() {
        assert_eq!(name_of(b"Hill\0xyz").as_deref(), Some("Hill"));
        assert_eq!(name_of(b" a\tb\x7f ").as_deref(), Some(" ab "));
        assert_eq!(name_of(b"\xf0\x9f\x9a").as_deref(), Some("\u{fffd}"));
        assert_eq!(name_of(b"\x01\x02"), None);
        assert_eq!(name_of(b"\0abc"), None);
        assert_eq!(name_of(b""), None);
        let bytes = [0x81, 1, 2];
        assert_eq!(AppData::decode(&bytes).name_raw, Some(&[1, 2][..]));
    }

    #[test]
    fn short_app_data_gives_only_flags_and_type() {
        let short = AppData::decode(&[0x92, 1, 2, 3]);
        assert_eq!((short.valid, short.flags), (false, Some(0x92)));
        assert_eq!(
            (short.node_type, short.location),
            (Some(NodeType::REPEATER), None)
        );
        let empty = AppData::decode(&[]);
        assert_eq!(
            (empty.valid, empty.flags, empty.node_type),
            (false, None, None)
        );
        assert!(AppData::decode(&[0x82]).valid);
    }

    #[test]
    fn only_32_bytes_count() {
        let bytes = [&[0x81][..], &[b'a'; 40]].concat();
        assert_eq!(AppData::decode(&bytes).name_raw.map(<[u8]>::len), Some(31));
        // The flags demand 9 bytes more than the 32nd byte allows for, if the excess counted.
        assert!(AppData::decode(&[0xf2; 13]).valid);
        assert!(!AppData::decode(&[0xf2; 12]).valid);
    }

    #[test]
    fn out_of_range_positions_are_kept_and_marked() {
        assert!(Location::new(90_000_000, -180_000_000).in_range);
        assert!(!Location::new(90_000_001, 0).in_range);
        assert!(!Location::new(0, i32::MIN).in_range);
    }

    #[test]
    fn building_gives_the_example_of_section_7() {
        let data = AppData::new(NodeType::REPEATER)
            .with_location(-33_500_000, 151_250_000)
            .with_name("Hill");
        let bytes = data.encode().unwrap();
        assert_eq!(hex::encode(&bytes), "92a0d400fe50e4030948696c6c");
        assert_eq!(AppData::decode(&bytes), data);
        assert_eq!(data.room_for_name(), 23);
    }

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(cut_name("abc\u{e9}", 4), "abc");
        assert_eq!(cut_name("abc", 4), "abc");
        let long = "x".repeat(32);
        let data = AppData::new(NodeType::CHAT).with_name(&long);
        assert_eq!(data.encode(), Err(EncodeError::AppDataTooLong { len: 33 }));
    }
}
