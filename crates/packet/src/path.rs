//! The path of a frame and the byte that announces it (section 1.3 of the protocol document).

use crate::error::{EncodeError, FrameError};
use crate::limits::{MAX_PATH_COUNT, MAX_PATH_LEN};

/// A list of 0 to 63 entries of 1, 2 or 3 bytes, at most 64 bytes in all. An entry is the prefix
/// of a repeater's public key, except in TRACE frames, where it is a signal value.
///
/// ```text
/// path_len byte:  bits 6-7 entry size - 1 | bits 0-5 number of entries
/// ```
///
/// The entry size is kept also with no entries: a fresh flood announces the size that its
/// repeaters shall append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path<'a> {
    /// 1 to 3.
    hash_size: u8,
    /// A multiple of `hash_size`, at most 64 bytes and 63 entries.
    bytes: &'a [u8],
}

impl<'a> Path<'a> {
    /// A path of entries of `hash_size` bytes each.
    ///
    /// # Errors
    ///
    /// When the size is not 1 to 3, when `bytes` is no multiple of it, or when there are more than
    /// 64 bytes or 63 entries.
    pub fn new(hash_size: usize, bytes: &'a [u8]) -> Result<Self, EncodeError> {
        let size = match hash_size {
            1 => 1,
            2 => 2,
            3 => 3,
            size => return Err(EncodeError::PathHashSize { size }),
        };
        let len = bytes.len();
        if !len.is_multiple_of(hash_size) {
            return Err(EncodeError::PathMisaligned {
                len,
                size: hash_size,
            });
        }
        if len > MAX_PATH_LEN || len / hash_size > MAX_PATH_COUNT {
            return Err(EncodeError::PathTooLong {
                len,
                size: hash_size,
            });
        }
        Ok(Self {
            hash_size: size,
            bytes,
        })
    }

    /// No entries, with an entry size of one byte: the path length byte is 0.
    pub fn empty() -> Path<'static> {
        Path {
            hash_size: 1,
            bytes: &[],
        }
    }

    /// Takes the path that `path_len` announces from the front of `bytes`, and gives the rest.
    ///
    /// # Errors
    ///
    /// `reserved_hash_size`, `path_too_long` or `truncated_path`, checked in this order.
    pub fn split(path_len: u8, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FrameError> {
        let hash_size = (path_len >> 6) + 1;
        if hash_size == 4 {
            return Err(FrameError::ReservedHashSize { path_len });
        }
        let need = usize::from(hash_size) * usize::from(path_len & 0x3f);
        if need > MAX_PATH_LEN {
            return Err(FrameError::PathTooLong { path_len });
        }
        let (path, rest) = bytes
            .split_at_checked(need)
            .ok_or(FrameError::TruncatedPath {
                len: bytes.len(),
                need,
            })?;
        Ok((
            Self {
                hash_size,
                bytes: path,
            },
            rest,
        ))
    }

    /// Bytes in one entry, 1 to 3.
    pub fn hash_size(&self) -> usize {
        usize::from(self.hash_size)
    }

    /// Number of entries, 0 to 63.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.hash_size()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The byte that announces this path on the wire.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a path has at most 63 entries"
    )]
    pub fn len_byte(&self) -> u8 {
        (self.hash_size - 1) << 6 | self.count() as u8
    }

    /// All entries in a row, in wire order.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The entries in wire order, each `hash_size` bytes long.
    pub fn entries(&self) -> std::slice::ChunksExact<'a, u8> {
        self.bytes.chunks_exact(self.hash_size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_byte_holds_size_and_count() {
        let bytes = [7; 64];
        for (path_len, size, count) in [
            (0x00, 1, 0),
            (0x05, 1, 5),
            (0x45, 2, 5),
            (0x8a, 3, 10),
            (0x40, 2, 0),
            (0x80, 3, 0),
        ] {
            let (path, rest) = Path::split(path_len, &bytes).unwrap();
            assert_eq!((path.hash_size(), path.count()), (size, count));
            assert_eq!(path.len_byte(), path_len);
            assert_eq!(path.entries().count(), count);
            assert_eq!(rest.len(), 64 - size * count);
            assert_eq!(Path::new(size, path.as_bytes()), Ok(path));
        }
    }

    #[test]
    fn limits_are_those_of_the_table() {
        let bytes = [7; 200];
        for (path_len, kind) in [
            (0xc0, "reserved_hash_size"),
            (0xff, "reserved_hash_size"),
            (0x61, "path_too_long"),
            (0x96, "path_too_long"),
        ] {
            assert_eq!(Path::split(path_len, &bytes).unwrap_err().kind(), kind);
        }
        for path_len in [0x3f, 0x60, 0x95] {
            assert!(Path::split(path_len, &bytes).is_ok());
        }
        assert_eq!(Path::split(2, &[1]).unwrap_err().kind(), "truncated_path");
    }

    #[test]
    fn new_refuses_what_the_byte_cannot_say() {
        let bytes = [7; 66];
        assert_eq!(Path::new(0, &[]).unwrap_err().kind(), "path_hash_size");
        assert_eq!(Path::new(4, &[]).unwrap_err().kind(), "path_hash_size");
        assert_eq!(
            Path::new(2, &bytes[..3]).unwrap_err().kind(),
            "path_misaligned"
        );
        assert_eq!(
            Path::new(1, &bytes[..64]).unwrap_err().kind(),
            "path_too_long"
        );
        assert_eq!(Path::new(2, &bytes).unwrap_err().kind(), "path_too_long");
    }
}
