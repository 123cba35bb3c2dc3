//! The resume token: where in which database a client is. It says all there is to know, so nothing has to be
//! remembered for a client that went away.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A position in the live feed; its text is the resume token, `<db_uuid>-<observation id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The database's name for itself.
    pub(crate) db_uuid: Arc<str>,
    /// The last observation that was sent; 0 before the first one.
    pub(crate) id: i64,
}

/// A token that this server did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a resume token")]
pub(crate) struct Malformed;

/// What a token may have in bytes; ours have 52 at most.
const MAX_TOKEN: usize = 100;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.db_uuid, self.id)
    }
}

impl FromStr for Position {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (db_uuid, id) = text.rsplit_once('-').ok_or(Malformed)?;
        let is_name = !db_uuid.is_empty()
            && text.len() <= MAX_TOKEN
            && db_uuid
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_number = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        if !(is_name && is_number) {
            return Err(Malformed);
        }
        Ok(Self {
            db_uuid: db_uuid.into(),
            id: id.parse().map_err(|_| Malformed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_its_position() {
        for db_uuid in ["00112233445566778899aabbccddeeff", "has-a-dash"] {
            for id in [0, 1, i64::MAX] {
                let position = Position {
                    db_uuid: db_uuid.into(),
                    id,
                };
                assert_eq!(position.to_string().parse(), Ok(position));
            }
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let long = format!("{}-1", "a".repeat(99));
        for text in [
            "",
            "-",
            "-1",
            "a-",
            "a",
            "a-+1",
            "a- 1",
            "a-1.5",
            "ä-1",
            "a\"-1",
            "a-9223372036854775808",
            &long,
        ] {
            assert_eq!(text.parse::<Position>(), Err(Malformed), "{text}");
        }
    }
}
