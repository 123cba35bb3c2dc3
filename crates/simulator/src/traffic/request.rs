//! Requests to repeaters, rooms and sensors, logins, and the answers.

use meshcore_packet::plaintext::{AnonMessage, Request, Response};
use meshcore_packet::{AnonRequest, PayloadType};

use super::Scene;
use crate::node::Role;
use crate::propagation::arrival;

const SERVERS: [Role; 3] = [Role::Repeater, Role::Room, Role::Sensor];

impl Scene<'_> {
    /// A companion asks a node for its status, telemetry, neighbours and so on.
    pub(super) fn request(&mut self, at_us: u64) -> Option<()> {
        let client = self.any(&[Role::Companion])?;
        let server = self.neighbour(client, &SERVERS)?;
        let kind = match self.node(server)?.role {
            Role::Sensor => *self.rng.pick(&[1, 3, 3, 4, 5])?,
            Role::Repeater => *self.rng.pick(&[1, 1, 3, 5, 6, 7])?,
            _ => *self.rng.pick(&[1, 3, 5])?,
        };
        let timestamp = self.timestamp(client, at_us);
        let data = self.request_data(kind);
        let plaintext = Request {
            timestamp,
            data: &data,
        }
        .encode();
        let payload = self.seal(client, server, &plaintext)?;
        let answer = self.response_data(kind);
        let answer = Response {
            tag: timestamp,
            data: &answer,
        }
        .encode();
        let floods = self.rng.chance(0.3);
        self.ask(
            client,
            server,
            PayloadType::Request,
            payload,
            &answer,
            floods,
            at_us,
        )
    }

    /// A companion logs in to a repeater, room or sensor.
    pub(super) fn login(&mut self, at_us: u64) -> Option<()> {
        let client = self.any(&[Role::Companion])?;
        let server = self.neighbour(client, &SERVERS)?;
        let timestamp = self.timestamp(client, at_us);
        let mut data = Vec::new();
        if self.node(server)?.role == Role::Room {
            data.extend(timestamp.saturating_sub(3_600).to_le_bytes());
        }
        data.extend(b"hello");
        let plaintext = AnonMessage {
            timestamp,
            data: &data,
        }
        .encode();
        let dest = self.node(server)?.public_key;
        let sender = &self.node(client)?.identity;
        let payload = AnonRequest::seal(&dest, sender, &plaintext).ok()?;
        let mut accepted = vec![0, 0, 0, 2];
        accepted.extend(self.rng.bytes::<4>());
        accepted.push(1);
        let tag = self.timestamp(server, at_us);
        let answer = Response {
            tag,
            data: &accepted,
        }
        .encode();
        let floods = self.rng.chance(0.6);
        self.ask(
            client,
            server,
            PayloadType::AnonRequest,
            payload,
            &answer,
            floods,
            at_us,
        )
    }

    /// Sends a question and its answer: direct both ways when the way is known; else by flood, and
    /// the answer comes bundled with the path.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of them describe one exchange"
    )]
    fn ask(
        &mut self,
        client: usize,
        server: usize,
        payload_type: PayloadType,
        payload: Vec<u8>,
        answer: &[u8],
        floods: bool,
        at_us: u64,
    ) -> Option<()> {
        if floods {
            let copies = self.flood(at_us, client, payload_type, payload, false)?;
            let there = arrival(self.world, &copies, server)?;
            let at_us = there.at_us + self.pause(300, 800);
            let extra_type = PayloadType::Response.code();
            self.return_path(server, client, &there.via, extra_type, answer, at_us)?;
            return Some(());
        }
        let via = self.way(client, server)?;
        let arrived_us = self.direct(at_us, client, &via, payload_type, payload)?;
        let back: Vec<usize> = via.iter().rev().copied().collect();
        let payload = self.seal(server, client, answer)?;
        let answer_us = arrived_us + self.pause(300, 800);
        self.direct(answer_us, server, &back, PayloadType::Response, payload)?;
        Some(())
    }

    /// Request type and parameters.
    fn request_data(&mut self, kind: u8) -> Vec<u8> {
        let mut data = vec![kind];
        match kind {
            3 => data.push(0),
            4 => {
                data.extend(86_400_u32.to_le_bytes());
                data.extend([0; 4 + 2]);
            }
            5 => data.extend([0, 0]),
            6 => data.extend([0, 10, 0, 0, 0, 4]),
            _ => data.extend([0; 4]),
        }
        // Keeps the packet hash unique.
        data.extend(self.rng.bytes::<4>());
        data
    }

    /// An answer of the right size with plausible numbers.
    fn response_data(&mut self, kind: u8) -> Vec<u8> {
        match kind {
            1 => self.repeater_stats(),
            // CayenneLPP: voltage on channel 1, temperature on channel 2.
            3 => vec![1, 116, 0x01, 0x9b, 2, 103, 0x00, self.rng.bytes::<1>()[0]],
            5 => {
                let mut list = self.rng.bytes::<6>().to_vec();
                list.push(3);
                list
            }
            6 => {
                let mut list = vec![5, 0, 5, 0];
                for _ in 0..5 {
                    list.extend(self.rng.bytes::<4>());
                    list.extend([self.rng.bytes::<1>()[0], 1, 0, 0]);
                    list.extend((self.rng.bytes::<1>()[0] % 40).to_le_bytes());
                }
                list
            }
            7 => b"Simulated Operator\nmesh@example.org".to_vec(),
            _ => self.rng.bytes::<16>().to_vec(),
        }
    }

    /// The 52 bytes behind the tag of a repeater's status.
    fn repeater_stats(&mut self) -> Vec<u8> {
        let uptime_secs = self.rng.next_u32() % 4_000_000;
        let mut stats = Vec::with_capacity(52);
        let battery_mv = u16::try_from(self.rng.between(3_600, 4_150)).unwrap_or(4_000);
        stats.extend(battery_mv.to_le_bytes());
        stats.extend(0_u16.to_le_bytes());
        stats.extend((-112_i16).to_le_bytes());
        stats.extend((-87_i16).to_le_bytes());
        for share in [9, 40, 90, 1, 60, 120, 15, 30] {
            stats.extend((uptime_secs / share).to_le_bytes());
        }
        stats.extend(0_u16.to_le_bytes());
        stats.extend(29_i16.to_le_bytes());
        stats.extend(3_u16.to_le_bytes());
        stats.extend(812_u16.to_le_bytes());
        stats.extend((uptime_secs / 14).to_le_bytes());
        stats
    }
}
