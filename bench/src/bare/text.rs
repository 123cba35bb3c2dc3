//! Times and frames in the forms of the v3 schema, without the cost of the general way.

use jiff::Timestamp;

/// Times as text. Most ask for the second that was asked for last.
#[derive(Default)]
pub(super) struct Clock {
    second: i64,
    text: String,
}

impl Clock {
    /// The time as v3 stores it.
    pub(super) fn text(&mut self, second: i64) -> &str {
        if self.second != second || self.text.is_empty() {
            let time = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
            self.text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            self.second = second;
        }
        &self.text
    }
}

/// Bytes as upper-case hex.
pub(super) fn upper_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
