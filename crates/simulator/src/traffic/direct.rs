//! Messages between two people, and posts that a room server sends on.

use meshcore_packet::plaintext::{Request, ReturnedPath, TextMessage};
use meshcore_packet::{Ack, Multipart, Path, PayloadType, ack_checksum};

use super::Scene;
use crate::chatter::direct_text;
use crate::node::Role;
use crate::propagation::arrival;

impl Scene<'_> {
    /// Two people exchange some messages. The first one floods if the way is not known yet; the
    /// receiver returns the path together with its ACK, and from then on all goes direct.
    pub(super) fn conversation(&mut self, at_us: u64) -> Option<()> {
        let from = self.any(&[Role::Companion])?;
        let to = self.rng.pick(self.world.contacts(from)).copied()?;
        let mut at_us = at_us;
        let mut via = if self.rng.chance(0.5) {
            self.way(from, to)
        } else {
            None
        };
        let (mut author, mut reader) = (from, to);
        for _ in 0..self.rng.between(1, 3) {
            at_us = if let Some(via) = &via {
                self.direct_text(author, reader, via, at_us)?
            } else {
                let (found, done_us) = self.flooded_text(author, reader, at_us)?;
                via = Some(found);
                done_us
            };
            at_us += self.pause(1_000, 8_000);
            (author, reader) = (reader, author);
            via = via.map(|via| via.into_iter().rev().collect());
        }
        Some(())
    }

    /// A text along a known way, acknowledged the same way back; in a fifth of the cases twice.
    fn direct_text(&mut self, from: usize, to: usize, via: &[usize], at_us: u64) -> Option<u64> {
        let (payload, checksum) = self.text_payload(from, to, at_us)?;
        let arrived_us = self.direct(at_us, from, via, PayloadType::Text, payload)?;
        let back: Vec<usize> = via.iter().rev().copied().collect();
        let extra = [0, self.rng.bytes::<1>()[0]];
        let ack = Ack {
            checksum,
            extra: &extra,
        }
        .encode()
        .ok()?;
        let mut ack_us = arrived_us + self.pause(50, 200);
        if self.rng.chance(0.35) {
            let series = Multipart {
                remaining: 1,
                inner_type: PayloadType::Ack,
                inner: &ack,
            };
            let payload = series.encode().ok()?;
            ack_us = self.direct(ack_us, to, &back, PayloadType::Multipart, payload)? + 100_000;
        }
        self.direct(ack_us, to, &back, PayloadType::Ack, ack)
    }

    /// A text by flood, and the path that comes back by flood with the ACK in it. Gives the way
    /// that was found, and when the answer was there.
    fn flooded_text(&mut self, from: usize, to: usize, at_us: u64) -> Option<(Vec<usize>, u64)> {
        let (payload, checksum) = self.text_payload(from, to, at_us)?;
        let is_scoped = self.rng.chance(0.1);
        let copies = self.flood(at_us, from, PayloadType::Text, payload, is_scoped)?;
        let there = arrival(self.world, &copies, to)?;
        let extra = checksum.to_le_bytes();
        let answer_us = there.at_us + self.pause(200, 600);
        let done_us = self.return_path(
            to,
            from,
            &there.via,
            PayloadType::Ack.code(),
            &extra,
            answer_us,
        )?;
        Some((there.via, done_us))
    }

    /// Floods the way that a packet took back to its author, with something bundled, and gives the
    /// time when the author has it.
    pub(super) fn return_path(
        &mut self,
        from: usize,
        to: usize,
        via: &[usize],
        extra_type_byte: u8,
        extra: &[u8],
        at_us: u64,
    ) -> Option<u64> {
        let (size, path) = self.path_bytes(to, via)?;
        let plaintext = ReturnedPath {
            path: Path::new(size, &path).ok()?,
            extra_type_byte,
            extra,
        }
        .encode();
        let payload = self.seal(from, to, &plaintext)?;
        let copies = self.flood(at_us, from, PayloadType::Path, payload, false)?;
        arrival(self.world, &copies, to).map(|arrival| arrival.at_us)
    }

    fn text_payload(&mut self, from: usize, to: usize, at_us: u64) -> Option<(Vec<u8>, u32)> {
        let text = direct_text(self.rng);
        let attempt = u8::from(self.rng.chance(0.1));
        let message = TextMessage::plain(self.timestamp(from, at_us), attempt, &text);
        let checksum = message.ack_checksum(&self.node(from)?.public_key).ok()?;
        let payload = self.seal(from, to, &message.encode().ok()?)?;
        Some((payload, checksum))
    }

    /// A room server sends a post on to a reader, who acknowledges it; or a reader says that it is
    /// still there, and the server answers with an ACK that counts the posts left.
    pub(super) fn room_post(&mut self, at_us: u64) -> Option<()> {
        let room = self.any(&[Role::Room])?;
        let reader = self.neighbour(room, &[Role::Companion])?;
        let via = self.way(room, reader)?;
        let back: Vec<usize> = via.iter().rev().copied().collect();
        if self.rng.chance(0.3) {
            return self.keep_alive(reader, room, &back, at_us);
        }
        let author = self.neighbour(room, &[Role::Companion])?;
        let [a, b, c, d, ..] = self.node(author)?.public_key.0;
        let text = direct_text(self.rng);
        let message = TextMessage {
            timestamp: self.timestamp(room, at_us),
            flags: TextMessage::SIGNED << 2,
            sender_prefix: Some([a, b, c, d]),
            text: Some(text.as_bytes()),
            extended_attempt: None,
        };
        let checksum = message.ack_checksum(&self.node(reader)?.public_key).ok()?;
        let payload = self.seal(room, reader, &message.encode().ok()?)?;
        let arrived_us = self.direct(at_us, room, &via, PayloadType::Text, payload)?;
        let ack = Ack {
            checksum,
            extra: &[],
        }
        .encode()
        .ok()?;
        let ack_us = arrived_us + self.pause(50, 200);
        self.direct(ack_us, reader, &back, PayloadType::Ack, ack)?;
        Some(())
    }

    fn keep_alive(&mut self, reader: usize, room: usize, via: &[usize], at_us: u64) -> Option<()> {
        let timestamp = self.timestamp(reader, at_us);
        let mut data = vec![2];
        data.extend(timestamp.saturating_sub(600).to_le_bytes());
        let plaintext = Request {
            timestamp,
            data: &data,
        }
        .encode();
        let checksum = ack_checksum(&plaintext, &self.node(reader)?.public_key);
        let payload = self.seal(reader, room, &plaintext)?;
        let arrived_us = self.direct(at_us, reader, via, PayloadType::Request, payload)?;
        let left = self.rng.bytes::<1>().map(|byte| byte % 4);
        let ack = Ack {
            checksum,
            extra: &left,
        }
        .encode()
        .ok()?;
        let back: Vec<usize> = via.iter().rev().copied().collect();
        let ack_us = arrived_us + self.pause(100, 300);
        self.direct(ack_us, room, &back, PayloadType::Ack, ack)?;
        Some(())
    }
}
