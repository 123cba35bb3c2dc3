//! TRACE: signal values along a given way (section 8.9).

use super::{need, payload_bytes};
use crate::bytes::Reader;
use crate::error::{EncodeError, PayloadError};
use crate::path::Path;
use crate::payload_type::PayloadType;

/// A TRACE payload, with the signal values that travel in the frame's path.
///
/// ```text
/// tag(4) | auth code(4) | flags(1) | hashes of the nodes to visit
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace<'a> {
    /// Chosen by the sender to recognise the answer.
    pub tag: u32,
    /// Authentication code, 0 when unused.
    pub auth_code: u32,
    /// Bits 0-1 are the exponent of the entry size; the others are unused.
    pub flags: u8,
    /// The nodes to visit, in order; a multiple of [`Trace::hash_size`].
    pub hashes: &'a [u8],
    /// One signed byte for each hop done: the SNR that its repeater measured, in dB x 4. On the
    /// wire this is the path of the frame, not a part of the payload.
    pub snrs: &'a [u8],
}

impl<'a> Trace<'a> {
    pub(super) fn decode(path: Path<'a>, bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let too_short = need(PayloadType::Trace, bytes, 9)?;
        if path.hash_size() != 1 {
            return Err(PayloadError::TraceBadPathLen {
                path_len: path.len_byte(),
            });
        }
        let mut reader = Reader::new(bytes);
        let trace = Self {
            tag: reader.u32().ok_or(too_short)?,
            auth_code: reader.u32().ok_or(too_short)?,
            flags: reader.u8().ok_or(too_short)?,
            hashes: reader.rest(),
            snrs: path.as_bytes(),
        };
        let (len, hash_size) = (trace.hashes.len(), trace.hash_size());
        if !len.is_multiple_of(hash_size) {
            return Err(PayloadError::TraceMisaligned { len, hash_size });
        }
        Ok(trace)
    }

    /// The payload bytes. The signal values are not in it; see [`Trace::path`].
    ///
    /// # Errors
    ///
    /// When the hashes are no multiple of the entry size, or the payload has more than 184 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if !self.hashes.len().is_multiple_of(self.hash_size()) {
            return Err(EncodeError::Field { field: "hashes" });
        }
        let tag = self.tag.to_le_bytes();
        payload_bytes(&[
            &tag,
            &self.auth_code.to_le_bytes(),
            &[self.flags],
            self.hashes,
        ])
    }

    /// The frame's path that holds the signal values.
    ///
    /// # Errors
    ///
    /// When there are more than 63.
    pub fn path(&self) -> Result<Path<'a>, EncodeError> {
        Path::new(1, self.snrs)
    }

    /// Bytes in one entry of `hashes`: 1, 2, 4 or 8.
    pub fn hash_size(&self) -> usize {
        1 << (self.flags & 0x03)
    }

    /// The nodes to visit, each [`Trace::hash_size`] bytes long.
    pub fn entries(&self) -> std::slice::ChunksExact<'a, u8> {
        self.hashes.chunks_exact(self.hash_size())
    }

    /// The measured signal-to-noise ratios in dB, in the order of the hops.
    pub fn snrs_db(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        self.snrs.iter().map(|byte| snr_db(byte.cast_signed()))
    }

    /// Number of nodes to visit.
    pub fn hops_total(&self) -> usize {
        self.hashes.len() / self.hash_size()
    }

    /// Number of nodes visited so far.
    pub fn hops_done(&self) -> usize {
        self.snrs.len()
    }
}

/// A signal-to-noise ratio in dB from its wire form, dB x 4.
pub(crate) fn snr_db(quarters: i8) -> f32 {
    f32::from(quarters) / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_size_comes_from_the_flags() {
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 0xfd, 1, 2, 3, 4];
        let trace = Trace::decode(Path::new(1, &[0x19, 0xf2]).unwrap(), &bytes).unwrap();
        assert_eq!(
            (trace.hash_size(), trace.hops_total(), trace.hops_done()),
            (2, 2, 2)
        );
        assert_eq!(trace.snrs_db().collect::<Vec<_>>(), [6.25, -3.5]);
        assert_eq!(trace.encode().unwrap(), bytes);
    }

    #[test]
    fn errors_are_those_of_section_8_9() {
        let wide = Path::new(2, &[]).unwrap();
        let kind = |path, bytes: &[u8]| Trace::decode(path, bytes).unwrap_err().kind();
        assert_eq!(kind(wide, &[0; 8]), "payload_too_short");
        assert_eq!(kind(wide, &[0; 9]), "trace_bad_path_len");
        assert_eq!(kind(Path::empty(), &[1; 10]), "trace_misaligned");
        assert!(Trace::decode(Path::empty(), &[0; 9]).is_ok());
    }
}
