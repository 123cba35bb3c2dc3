//! Payload types, bits 2-5 of the header byte (section 1.1 of the protocol document).

use std::fmt;

/// What the payload of a frame is. The four bits allow 16 values, all of which are here; the
/// three without a meaning are named as reserved and decode as opaque bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "the names are those of the protocol document, see `name`"
)]
pub enum PayloadType {
    Request = 0x00,
    Response = 0x01,
    Text = 0x02,
    Ack = 0x03,
    Advert = 0x04,
    GroupText = 0x05,
    GroupData = 0x06,
    AnonRequest = 0x07,
    Path = 0x08,
    Trace = 0x09,
    Multipart = 0x0a,
    Control = 0x0b,
    Reserved0C = 0x0c,
    Reserved0D = 0x0d,
    Reserved0E = 0x0e,
    RawCustom = 0x0f,
}

impl PayloadType {
    /// All types, in the order of their codes.
    pub const ALL: [Self; 16] = [
        Self::Request,
        Self::Response,
        Self::Text,
        Self::Ack,
        Self::Advert,
        Self::GroupText,
        Self::GroupData,
        Self::AnonRequest,
        Self::Path,
        Self::Trace,
        Self::Multipart,
        Self::Control,
        Self::Reserved0C,
        Self::Reserved0D,
        Self::Reserved0E,
        Self::RawCustom,
    ];

    /// The type in the low four bits of `bits`; the other bits are ignored.
    pub fn from_bits(bits: u8) -> Self {
        match bits & 0x0f {
            0x00 => Self::Request,
            0x01 => Self::Response,
            0x02 => Self::Text,
            0x03 => Self::Ack,
            0x04 => Self::Advert,
            0x05 => Self::GroupText,
            0x06 => Self::GroupData,
            0x07 => Self::AnonRequest,
            0x08 => Self::Path,
            0x09 => Self::Trace,
            0x0a => Self::Multipart,
            0x0b => Self::Control,
            0x0c => Self::Reserved0C,
            0x0d => Self::Reserved0D,
            0x0e => Self::Reserved0E,
            _ => Self::RawCustom,
        }
    }

    /// The type with this number, or `None` above 15.
    pub fn from_code(code: u8) -> Option<Self> {
        (code <= 0x0f).then(|| Self::from_bits(code))
    }

    /// The number on the wire, 0 to 15.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The name in the protocol document, for example `TXT_MSG`; `RESERVED_0C` and so on for the
    /// types without a meaning.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "REQ",
            Self::Response => "RESPONSE",
            Self::Text => "TXT_MSG",
            Self::Ack => "ACK",
            Self::Advert => "ADVERT",
            Self::GroupText => "GRP_TXT",
            Self::GroupData => "GRP_DATA",
            Self::AnonRequest => "ANON_REQ",
            Self::Path => "PATH",
            Self::Trace => "TRACE",
            Self::Multipart => "MULTIPART",
            Self::Control => "CONTROL",
            Self::Reserved0C => "RESERVED_0C",
            Self::Reserved0D => "RESERVED_0D",
            Self::Reserved0E => "RESERVED_0E",
            Self::RawCustom => "RAW_CUSTOM",
        }
    }

    /// Whether the protocol gives this type no meaning yet (0x0C to 0x0E).
    pub fn is_reserved(self) -> bool {
        matches!(self, Self::Reserved0C | Self::Reserved0D | Self::Reserved0E)
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for (code, payload_type) in (0u8..).zip(PayloadType::ALL) {
            assert_eq!(payload_type.code(), code);
            assert_eq!(PayloadType::from_code(code), Some(payload_type));
        }
        assert_eq!(PayloadType::from_code(16), None);
    }
}
