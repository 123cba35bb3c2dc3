//! As much of MQTT's wire format as the proxy needs to follow a conversation, for 3.1.1 and 5 alike.

use anyhow::{Context, Result, ensure};

/// The control packets that matter to an oracle of acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// CONNECT, with its protocol level (4 or 5).
    Connect {
        level: u8,
        clean: bool,
        client_id: String,
    },
    /// PUBLISH at QoS 1 or 2.
    Publish {
        id: u16,
        topic: String,
        payload: Vec<u8>,
    },
    /// PUBACK.
    PubAck { id: u16 },
    /// DISCONNECT.
    Disconnect,
    /// Anything else.
    Other,
}

/// Cuts whole control packets off the front of a byte stream.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
}

impl Framer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet, as its bytes.
    pub(crate) fn next_packet(&mut self) -> Option<Vec<u8>> {
        let mut length = 0_usize;
        for n in 0..4 {
            let byte = *self.buffer.get(1 + n)?;
            length |= usize::from(byte & 0x7F) << (7 * n);
            if byte & 0x80 == 0 {
                let end = 2 + n + length;
                return (self.buffer.len() >= end).then(|| self.buffer.drain(..end).collect());
            }
        }
        None
    }
}

/// Reads a whole control packet; `level` is the conversation's protocol level.
pub(crate) fn read(packet: &[u8], level: u8) -> Result<Packet> {
    let (&first, rest) = packet.split_first().context("an empty packet")?;
    let body = rest
        .iter()
        .position(|b| b & 0x80 == 0)
        .and_then(|end| rest.get(end + 1..))
        .context("no length")?;
    Ok(match first >> 4 {
        1 => {
            let (_name, rest) = text(body)?;
            let (&[level, flags, ..], rest) = rest
                .split_first_chunk::<4>()
                .context("no protocol level, flags and keep alive")?;
            let rest = if level >= 5 {
                skip_properties(rest)?
            } else {
                rest
            };
            Packet::Connect {
                level,
                clean: flags & 2 != 0,
                client_id: text(rest)?.0,
            }
        }
        3 if (first >> 1) & 3 > 0 => {
            let (topic, rest) = text(body)?;
            let (id, rest) = number(rest)?;
            let payload = if level >= 5 {
                skip_properties(rest)?
            } else {
                rest
            };
            Packet::Publish {
                id,
                topic,
                payload: payload.to_vec(),
            }
        }
        4 => Packet::PubAck {
            id: number(body)?.0,
        },
        14 => Packet::Disconnect,
        _ => Packet::Other,
    })
}

fn number(bytes: &[u8]) -> Result<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk().context("two bytes expected")?;
    Ok((u16::from_be_bytes(*head), rest))
}

fn text(bytes: &[u8]) -> Result<(String, &[u8])> {
    let (length, rest) = number(bytes)?;
    let (text, rest) = rest
        .split_at_checked(usize::from(length))
        .context("a cut text")?;
    Ok((String::from_utf8_lossy(text).into_owned(), rest))
}

fn skip_properties(bytes: &[u8]) -> Result<&[u8]> {
    let mut length = 0_usize;
    for (n, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            ensure!(bytes.len() > n + length, "cut properties");
            return Ok(&bytes[n + 1 + length..]);
        }
    }
    anyhow::bail!("a length of properties without an end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_and_read_whatever_the_pieces() {
        let publish = [
            0x32, 11, 0, 3, b'a', b'/', b'b', 0x12, 0x34, b'h', b'e', b'y', b'!',
        ];
        let ack = [0x40, 2, 0x12, 0x34];
        let mut framer = Framer::default();
        let mut seen = Vec::new();
        for byte in publish.iter().chain(&ack) {
            framer.push(&[*byte]);
            while let Some(packet) = framer.next_packet() {
                seen.push(read(&packet, 4).unwrap());
            }
        }
        assert_eq!(
            seen,
            [
                Packet::Publish {
                    id: 0x1234,
                    topic: "a/b".into(),
                    payload: b"hey!".to_vec()
                },
                Packet::PubAck { id: 0x1234 }
            ]
        );
    }

    #[test]
    fn properties_of_version_5_are_no_payload() {
        let publish = [0x32, 11, 0, 1, b'a', 0, 7, 3, 1, 2, 3, b'x', b'y'];
        assert_eq!(
            read(&publish, 5).unwrap(),
            Packet::Publish {
                id: 7,
                topic: "a".into(),
                payload: b"xy".to_vec()
            }
        );
    }
}
