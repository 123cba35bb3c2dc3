//! What encrypted payloads say once they are opened (sections 8.2 to 8.8).
//!
//! Plaintexts come out of [`crate::envelope`] with zero padding behind them, since their length is
//! not transmitted. Every decoder here takes the padded bytes; every encoder gives them unpadded.

mod group_data;
mod group_text;
mod request;
mod returned_path;
mod text;

pub use group_data::GroupDatagram;
pub use group_text::{GroupMessage, split_sender};
pub use request::{AnonMessage, Request, RequestKind, Response};
pub use returned_path::ReturnedPath;
pub use text::TextMessage;

use crate::error::{EncodeError, PlaintextError};
use crate::limits::MAX_TEXT_LEN;

/// The error of a plaintext that has fewer bytes than its fixed part.
fn too_short(bytes: &[u8], need: usize) -> PlaintextError {
    PlaintextError::TooShort {
        len: bytes.len(),
        need,
    }
}

/// Checks that a text can be sent: at most 160 bytes, and no NUL, which would end it.
fn check_text(text: &[u8]) -> Result<(), EncodeError> {
    if text.len() > MAX_TEXT_LEN || text.contains(&0) {
        return Err(EncodeError::Field { field: "text" });
    }
    Ok(())
}
