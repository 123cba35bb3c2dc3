//! Short hashes in names.

use sha2::{Digest, Sha256};

/// The first hexadecimal digits of the hash of `text`.
pub(super) fn hex(text: &str, digits: usize) -> String {
    let mut hex = hex::encode(Sha256::digest(text.as_bytes()));
    hex.truncate(digits);
    hex
}
