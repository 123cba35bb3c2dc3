//! Why bytes are not a frame or a payload, and why a value has no wire form.

use thiserror::Error;

use crate::payload_type::PayloadType;

/// The bytes are not a frame (section 2 of the protocol document). Checked in the order that the
/// document gives, so equal bytes always give the same error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// There are not enough bytes for the header, the transport codes and the path length.
    #[error("a frame of {len} bytes is too short: the fixed part needs {need}")]
    TooShort {
        /// Bytes present.
        len: usize,
        /// Bytes that the fixed part needs.
        need: usize,
    },
    /// Header bits 6-7 are not 0.
    #[error("payload version {version} is not supported")]
    UnsupportedVersion {
        /// The version bits, 1 to 3.
        version: u8,
    },
    /// Bits 6-7 of the path length byte are 3, a size that is reserved.
    #[error("path length byte {path_len:#04x} uses the reserved entry size")]
    ReservedHashSize {
        /// The byte as received.
        path_len: u8,
    },
    /// The path length byte asks for more than 64 path bytes.
    #[error("path length byte {path_len:#04x} asks for more than 64 path bytes")]
    PathTooLong {
        /// The byte as received.
        path_len: u8,
    },
    /// The frame ends inside the path.
    #[error("the frame ends inside the path: {need} bytes announced, {len} present")]
    TruncatedPath {
        /// Path bytes present.
        len: usize,
        /// Path bytes announced.
        need: usize,
    },
    /// More than 184 bytes follow the path.
    #[error("a payload of {len} bytes is longer than 184")]
    PayloadTooLong {
        /// Payload bytes present.
        len: usize,
    },
}

impl FrameError {
    /// The stable short name of section 2, for metrics and fixtures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::ReservedHashSize { .. } => "reserved_hash_size",
            Self::PathTooLong { .. } => "path_too_long",
            Self::TruncatedPath { .. } => "truncated_path",
            Self::PayloadTooLong { .. } => "payload_too_long",
        }
    }
}

/// The payload of a well-formed frame does not decode (section 2). The frame stays usable: route,
/// path, payload bytes and packet hash are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The payload is shorter than its type demands.
    #[error("a {payload_type} payload of {len} bytes is too short: it needs {need}")]
    TooShort {
        /// Type of the payload.
        payload_type: PayloadType,
        /// Bytes present.
        len: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The path of a TRACE holds signal values, but its entry size is not one byte.
    #[error("path length byte {path_len:#04x} is not a plain count, as TRACE needs")]
    TraceBadPathLen {
        /// The byte as received.
        path_len: u8,
    },
    /// The hash bytes of a TRACE are no multiple of its entry size.
    #[error("{len} hash bytes in a TRACE are no multiple of the entry size {hash_size}")]
    TraceMisaligned {
        /// Hash bytes present.
        len: usize,
        /// Entry size from the flags.
        hash_size: usize,
    },
}

impl PayloadError {
    /// The stable short name of section 2, for metrics and fixtures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "payload_too_short",
            Self::TraceBadPathLen { .. } => "trace_bad_path_len",
            Self::TraceMisaligned { .. } => "trace_misaligned",
        }
    }
}

/// Decrypted bytes do not decode (sections 8.2 to 8.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaintextError {
    /// There are fewer bytes than the fixed part needs.
    #[error("a plaintext of {len} bytes is too short: it needs {need}")]
    TooShort {
        /// Bytes present.
        len: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The path inside a PATH payload has a reserved entry size, is too long, or is cut off.
    #[error("path length byte {path_len:#04x} does not fit the plaintext")]
    BadPathLen {
        /// The byte as received.
        path_len: u8,
    },
    /// A group datagram announces more data than there is.
    #[error("{need} data bytes announced, {len} present")]
    BadDataLen {
        /// Bytes present, padding included.
        len: usize,
        /// Bytes announced.
        need: usize,
    },
}

impl PlaintextError {
    /// The stable short name, for metrics and fixtures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "plaintext_too_short",
            Self::BadPathLen { .. } => "bad_path_len",
            Self::BadDataLen { .. } => "bad_data_len",
        }
    }
}

/// A value has no wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A path entry has 1, 2 or 3 bytes.
    #[error("path entries have 1 to 3 bytes, not {size}")]
    PathHashSize {
        /// The size asked for.
        size: usize,
    },
    /// The path bytes are no multiple of the entry size.
    #[error("{len} path bytes are no multiple of the entry size {size}")]
    PathMisaligned {
        /// Path bytes given.
        len: usize,
        /// Entry size.
        size: usize,
    },
    /// A path has at most 63 entries and 64 bytes.
    #[error("a path of {len} bytes with {size}-byte entries is too long")]
    PathTooLong {
        /// Path bytes given.
        len: usize,
        /// Entry size.
        size: usize,
    },
    /// A payload has at most 184 bytes.
    #[error("a payload of {len} bytes is longer than 184")]
    PayloadTooLong {
        /// Payload bytes given.
        len: usize,
    },
    /// Transport codes are given for a route without them, or missing on a route that has them.
    #[error("the transport codes do not fit the route")]
    TransportCodes,
    /// App data of an advert has at most 32 bytes.
    #[error("app data of {len} bytes is longer than 32")]
    AppDataTooLong {
        /// Bytes that the fields take.
        len: usize,
    },
    /// A field holds a value or a length that its place on the wire cannot hold.
    #[error("{field} does not fit its place on the wire")]
    Field {
        /// Name of the field.
        field: &'static str,
    },
}

impl EncodeError {
    /// A stable short name, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PathHashSize { .. } => "path_hash_size",
            Self::PathMisaligned { .. } => "path_misaligned",
            Self::PathTooLong { .. } => "path_too_long",
            Self::PayloadTooLong { .. } => "payload_too_long",
            Self::TransportCodes => "transport_codes",
            Self::AppDataTooLong { .. } => "app_data_too_long",
            Self::Field { .. } => "field",
        }
    }
}

/// A key or its text form cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is neither hexadecimal nor Base64. The text itself may be a secret and is left out.
    #[error("the key is neither hexadecimal nor Base64")]
    Encoding,
    /// The key has the wrong number of bytes.
    #[error("a key of {len} bytes has the wrong length")]
    Length {
        /// Bytes given.
        len: usize,
    },
    /// The name is empty.
    #[error("the name is empty")]
    EmptyName,
    /// A region whose name starts with `$` has a key of its own that no name gives.
    #[error("a private region needs its key, not only its name")]
    PrivateRegion,
}
