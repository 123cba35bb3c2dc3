//! Traces, discovery of neighbours, and packets without a defined meaning.

use meshcore_packet::{Control, DiscoverRequest, DiscoverResponse, PayloadType, Route, Trace};

use super::Scene;
use crate::node::Role;
use crate::propagation::{self, prefixes};
use crate::radio::reported_snr;

impl Scene<'_> {
    /// A companion traces the way to some repeater and back.
    pub(super) fn trace(&mut self, at_us: u64) -> Option<()> {
        let origin = self.any(&[Role::Companion])?;
        let target = self.neighbour(origin, &[Role::Repeater])?;
        let there = self.way(origin, target)?;
        let mut via = there.clone();
        via.push(target);
        via.extend(there.into_iter().rev());
        // Exponent 0 or 1: entries of one or two bytes.
        let flags = u8::from(self.rng.chance(0.3));
        let hashes = prefixes(self.world, &via, 1 << flags);
        let payload = Trace {
            tag: self.rng.next_u32(),
            auth_code: 0,
            flags,
            hashes: &hashes,
            snrs: &[],
        }
        .encode()
        .ok()?;
        let mut packet = self.packet(origin, Route::Direct, PayloadType::Trace, payload)?;
        packet.hash_size = 1;
        let radio = self.traffic.radio;
        let copies = propagation::trace(self.world, radio, &packet, origin, &via, at_us);
        self.observe(&packet, origin, &copies);
        Some(())
    }

    /// A node asks who is in range, and some of those answer.
    pub(super) fn discover(&mut self, at_us: u64) -> Option<()> {
        let origin = self.any(&[Role::Companion, Role::Repeater])?;
        let tag = self.rng.next_u32();
        let filter = 1 << Role::Repeater.node_type().code();
        let mut request = DiscoverRequest::new(filter, tag);
        let prefix_only = self.rng.chance(0.4);
        request.flags |= u8::from(prefix_only);
        let payload = Control::DiscoverRequest(request).encode().ok()?;
        let asked_us = self.direct(at_us, origin, &[], PayloadType::Control, payload)?;
        let answering = self.world.repeaters_hearing(origin);
        for (repeater, link_db) in answering.iter().copied().take(5) {
            let node = self.node(repeater)?;
            let key = node.public_key;
            let key = key.prefix(if prefix_only { 8 } else { 32 });
            let snr = reported_snr(link_db);
            let response = DiscoverResponse::new(node.role.node_type(), snr, tag, key);
            let payload = Control::DiscoverResponse(response).encode().ok()?;
            let answer_us = asked_us + self.pause(100, 4_000);
            self.direct(answer_us, repeater, &[], PayloadType::Control, payload)?;
        }
        Some(())
    }

    /// An application of somebody's own.
    pub(super) fn raw_custom(&mut self, at_us: u64) -> Option<()> {
        let origin = self.any(&[Role::Companion, Role::Sensor])?;
        let payload = self.rng.bytes::<24>().to_vec();
        self.direct(at_us, origin, &[], PayloadType::RawCustom, payload)?;
        Some(())
    }
}
