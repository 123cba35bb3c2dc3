//! A frame byte by byte, for people: what `meshcore decode` prints.

mod payload;

use std::ops::Range;

use crate::frame::Frame;
use crate::hex_view::Hex;
use crate::payload_type::PayloadType;
use crate::route::Route;

/// Some bytes of a frame and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Position of the first byte in the frame.
    pub offset: usize,
    /// Number of bytes; 0 only for an error at the end of the bytes.
    pub len: usize,
    /// What the bytes are, for example `timestamp`; `error` where decoding ends.
    pub name: &'static str,
    /// What they say, for people.
    pub value: String,
}

impl Field {
    /// The bytes of the frame that this field covers.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// Splits a frame into its fields. Together they cover every byte once and in order, also when the
/// bytes do not decode: then the last field is an `error` that covers the rest.
pub fn breakdown(bytes: &[u8]) -> Vec<Field> {
    let mut walk = Walk {
        rest: bytes,
        offset: 0,
        fields: Vec::new(),
    };
    match Frame::decode(bytes) {
        Ok(frame) => {
            head(&mut walk);
            hops(&mut walk, &frame);
            payload::walk(&mut walk, &frame);
        }
        Err(err) => {
            head(&mut walk);
            walk.fail(err.to_string());
        }
    }
    walk.fields
}

/// The unread bytes, and the fields made of those before.
struct Walk<'a> {
    rest: &'a [u8],
    offset: usize,
    fields: Vec<Field>,
}

impl<'a> Walk<'a> {
    /// Makes a field of the next `len` bytes, if there are so many.
    fn field(&mut self, len: usize, name: &'static str, value: impl FnOnce(&'a [u8]) -> String) {
        if let Some((bytes, rest)) = self.rest.split_at_checked(len) {
            self.fields.push(Field {
                offset: self.offset,
                len,
                name,
                value: value(bytes),
            });
            self.rest = rest;
            self.offset += len;
        }
    }

    /// Makes a field whose value is its bytes in hex.
    fn hex(&mut self, len: usize, name: &'static str) {
        self.field(len, name, |bytes| Hex(bytes).to_string());
    }

    /// Makes a field of a little-endian number of up to four bytes.
    fn number(&mut self, len: usize, name: &'static str) {
        self.field(len, name, |bytes| little_endian(bytes).to_string());
    }

    /// Makes a field of all that is left, if anything is.
    fn remainder(&mut self, name: &'static str) {
        if !self.rest.is_empty() {
            self.hex(self.rest.len(), name);
        }
    }

    /// Covers what is left by an error.
    fn fail(&mut self, message: String) {
        self.field(self.rest.len(), "error", |_| message);
    }
}

/// A little-endian number; of more than four bytes the first four count.
fn little_endian(bytes: &[u8]) -> u32 {
    let mut number = [0; 4];
    for (to, from) in number.iter_mut().zip(bytes) {
        *to = *from;
    }
    u32::from_le_bytes(number)
}

/// Header, transport codes and path length byte, as far as they are there.
fn head(walk: &mut Walk<'_>) {
    let Some(header) = walk.rest.first().copied() else {
        return;
    };
    let (route, payload_type) = (
        Route::from_bits(header),
        PayloadType::from_bits(header >> 2),
    );
    walk.field(1, "header", |_| {
        format!("version {}, {payload_type}, {route}", header >> 6)
    });
    if header >> 6 != 0 {
        return;
    }
    if route.has_transport_codes() {
        walk.field(2, "transport code 0", |bytes| {
            format!("0x{:04x}", little_endian(bytes))
        });
        walk.field(2, "transport code 1", |bytes| {
            format!("0x{:04x}", little_endian(bytes))
        });
        if walk.offset < 5 {
            return;
        }
    }
    walk.field(1, "path length", |bytes| {
        let byte = little_endian(bytes);
        match byte >> 6 {
            3 => "reserved entry size".to_owned(),
            size => format!("{} entries of {} bytes", byte & 0x3f, size + 1),
        }
    });
}

/// The entries of the path.
fn hops(walk: &mut Walk<'_>, frame: &Frame<'_>) {
    for _ in 0..frame.path.count() {
        if frame.payload_type == PayloadType::Trace && frame.path.hash_size() == 1 {
            walk.field(1, "hop SNR", payload::snr);
        } else {
            walk.hex(frame.path.hash_size(), "hop");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_values(raw: &str) -> Vec<(&'static str, String)> {
        let bytes = hex::decode(raw).unwrap();
        let fields = breakdown(&bytes);
        let covered: Vec<usize> = fields.iter().flat_map(Field::range).collect();
        assert_eq!(covered, (0..bytes.len()).collect::<Vec<_>>());
        fields
            .into_iter()
            .map(|field| (field.name, field.value))
            .collect()
    }

    fn names(raw: &str) -> Vec<&'static str> {
        names_and_values(raw)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn an_ack_with_hops_and_codes() {
        let fields = names_and_values("0c3412000042e0eca6e6c00014d30405");
        let expected = [
            ("header", "version 0, ACK, TRANSPORT_FLOOD"),
            ("transport code 0", "0x1234"),
            ("transport code 1", "0x0000"),
            ("path length", "2 entries of 2 bytes"),
            ("hop", "e0ec"),
            ("hop", "a6e6"),
            ("checksum", "3541303488"),
            ("extra", "0405"),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
    }

    #[test]
    fn broken_frames_end_in_an_error() {
        assert_eq!(names(""), ["error"]);
        assert_eq!(names("55000102"), ["header", "error"]);
        assert_eq!(names("100102"), ["header", "transport code 0", "error"]);
        assert_eq!(names("0dc001"), ["header", "path length", "error"]);
        assert_eq!(names("0d0501"), ["header", "path length", "error"]);
        assert_eq!(names("0d000102"), ["header", "path length", "error"]);
    }

    #[test]
    fn an_advert_shows_what_its_flags_announce() {
        let head = format!("1100{}", "11".repeat(100));
        let fixed = [
            "header",
            "path length",
            "public key",
            "timestamp",
            "signature",
        ];
        let all = format!("{head}f2{}4869003132{}", "01".repeat(12), "00".repeat(20));
        let mut expected = fixed.to_vec();
        expected.extend([
            "flags",
            "latitude",
            "longitude",
            "feature 1",
            "feature 2",
            "name",
            "ignored",
        ]);
        assert_eq!(names(&all), expected);
        let mut short = fixed.to_vec();
        short.extend(["flags", "invalid app data"]);
        assert_eq!(names(&format!("{head}920102")), short);
        assert_eq!(names(&head), fixed);
    }
}
