//! The plaintexts of REQ, RESPONSE and `ANON_REQ` (sections 8.3, 8.4 and 8.7).

use super::too_short;
use crate::bytes::Reader;
use crate::error::PlaintextError;

/// A request to a node.
///
/// ```text
/// timestamp(4) | request type(1) | parameters
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request<'a> {
    /// Unix seconds by the sender's clock; responses repeat it as their tag.
    pub timestamp: u32,
    /// Request type and parameters, with whatever padding there is.
    pub data: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// When there are fewer than 4 bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PlaintextError> {
        let (timestamp, data) = split_u32(bytes)?;
        Ok(Self { timestamp, data })
    }

    /// The plaintext, unpadded.
    pub fn encode(&self) -> Vec<u8> {
        [&self.timestamp.to_le_bytes(), self.data].concat()
    }

    /// What is asked for; `None` when the parameters are missing.
    pub fn kind(&self) -> Option<RequestKind> {
        let mut reader = Reader::new(self.data);
        Some(match reader.u8()? {
            1 => RequestKind::Status,
            2 => RequestKind::KeepAlive {
                sync_since: reader.u32()?,
            },
            3 => RequestKind::Telemetry {
                inverse_permissions: reader.u8()?,
            },
            4 => RequestKind::MinMaxAverage {
                from_secs_ago: reader.u32()?,
                to_secs_ago: reader.u32()?,
            },
            5 => RequestKind::AccessList,
            6 => RequestKind::Neighbours {
                version: reader.u8()?,
                count: reader.u8()?,
                offset: reader.u16()?,
                order: reader.u8()?,
                prefix_len: reader.u8()?,
            },
            7 => RequestKind::OwnerInfo,
            other => RequestKind::Other(other),
        })
    }
}

/// What a [`Request`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// Counters and radio state.
    Status,
    /// A client of a room server is still there.
    KeepAlive {
        /// Unix seconds of the last post that the client has.
        sync_since: u32,
    },
    /// Sensor values.
    Telemetry {
        /// Permissions that are not wanted.
        inverse_permissions: u8,
    },
    /// Extremes and averages of a sensor.
    MinMaxAverage {
        /// Begin of the span, seconds ago.
        from_secs_ago: u32,
        /// End of the span, seconds ago.
        to_secs_ago: u32,
    },
    /// Who has which permissions.
    AccessList,
    /// Whom a repeater hears.
    Neighbours {
        /// Version of the request, 0.
        version: u8,
        /// Most entries wanted.
        count: u8,
        /// First entry wanted.
        offset: u16,
        /// Sort order.
        order: u8,
        /// Bytes of public key wanted for each entry.
        prefix_len: u8,
    },
    /// Who runs a repeater.
    OwnerInfo,
    /// A type that is not defined.
    Other(u8),
}

/// An answer to a request or login. What follows the tag depends on the question.
///
/// ```text
/// tag(4) | data
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Response<'a> {
    /// The timestamp of the request; for a login the server's own clock.
    pub tag: u32,
    /// The answer, with whatever padding there is.
    pub data: &'a [u8],
}

impl<'a> Response<'a> {
    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// When there are fewer than 4 bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PlaintextError> {
        let (tag, data) = split_u32(bytes)?;
        Ok(Self { tag, data })
    }

    /// The plaintext, unpadded.
    pub fn encode(&self) -> Vec<u8> {
        [&self.tag.to_le_bytes(), self.data].concat()
    }
}

/// A login or a question from a node that need not be known.
///
/// ```text
/// timestamp(4) | password, or sync-since(4) and password, or question
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnonMessage<'a> {
    /// Unix seconds by the sender's clock.
    pub timestamp: u32,
    /// The login or question, with whatever padding there is. Only the kind of the receiver tells
    /// a room server's login from a repeater's.
    pub data: &'a [u8],
}

impl<'a> AnonMessage<'a> {
    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// When there are fewer than 4 bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PlaintextError> {
        let (timestamp, data) = split_u32(bytes)?;
        Ok(Self { timestamp, data })
    }

    /// The plaintext, unpadded.
    pub fn encode(&self) -> Vec<u8> {
        [&self.timestamp.to_le_bytes(), self.data].concat()
    }

    /// The type of a question to a repeater: 1 regions, 2 owner, 3 clock. `None` for a login.
    pub fn question(&self) -> Option<u8> {
        self.data
            .first()
            .copied()
            .filter(|first| (1..=3).contains(first))
    }
}

fn split_u32(bytes: &[u8]) -> Result<(u32, &[u8]), PlaintextError> {
    let mut reader = Reader::new(bytes);
    let number = reader.u32().ok_or(too_short(bytes, 4))?;
    Ok((number, reader.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_by_type() {
        let kind = |data: &[u8]| Request { timestamp: 1, data }.kind();
        assert_eq!(kind(&[1]), Some(RequestKind::Status));
        assert_eq!(
            kind(&[2, 5, 0, 0, 0]),
            Some(RequestKind::KeepAlive { sync_since: 5 })
        );
        let neighbours = RequestKind::Neighbours {
            version: 0,
            count: 10,
            offset: 0x0102,
            order: 1,
            prefix_len: 4,
        };
        assert_eq!(kind(&[6, 0, 10, 2, 1, 1, 4, 9, 9, 9, 9]), Some(neighbours));
        assert_eq!(kind(&[9]), Some(RequestKind::Other(9)));
        assert_eq!(kind(&[2, 5]), None);
        assert_eq!(kind(&[]), None);
    }

    #[test]
    fn a_password_is_no_question() {
        let question = |data: &[u8]| AnonMessage { timestamp: 1, data }.question();
        assert_eq!(question(&[2, 0]), Some(2));
        assert_eq!(question(b"secret"), None);
        assert_eq!(question(&[0]), None);
        assert_eq!(
            AnonMessage::decode(&[1]).unwrap_err().kind(),
            "plaintext_too_short"
        );
    }
}
