//! Adverts: flooded, to the neighbours only, and re-shared contacts.

use meshcore_packet::{Advert, PayloadType, Route};

use super::Scene;
use crate::node::Role;

impl Scene<'_> {
    /// Some node tells who it is.
    pub(super) fn advert(&mut self, at_us: u64) -> Option<()> {
        let roles = [Role::Companion, Role::Repeater, Role::Room, Role::Sensor];
        let node = self.any(&roles)?;
        match self.rng.below(10) {
            0..=5 => self.flood_advert(node, at_us),
            6..=8 => {
                let payload = self.advert_payload(node, at_us)?;
                self.direct(at_us, node, &[], PayloadType::Advert, payload)?;
                Some(())
            }
            _ => self.shared_contact(at_us),
        }
    }

    /// A node tells the whole mesh who it is.
    pub(super) fn flood_advert(&mut self, node: usize, at_us: u64) -> Option<()> {
        let payload = self.advert_payload(node, at_us)?;
        self.flood(at_us, node, PayloadType::Advert, payload, false)?;
        Some(())
    }

    /// A person passes on the advert of somebody else, which the codes (0, 0) mark.
    fn shared_contact(&mut self, at_us: u64) -> Option<()> {
        let sharer = self.any(&[Role::Companion])?;
        let shared = self.world.contacts(sharer).first().copied()?;
        let payload = self.advert_payload(shared, at_us)?;
        let route = Route::TransportDirect;
        let mut packet = self.packet(sharer, route, PayloadType::Advert, payload)?;
        packet.transport_codes = Some([0, 0]);
        self.carry(at_us, sharer, &[], &packet)?;
        Some(())
    }

    fn advert_payload(&mut self, node: usize, at_us: u64) -> Option<Vec<u8>> {
        let timestamp = self.timestamp(node, at_us);
        let node = self.node(node)?;
        let app_data = node.app_data().encode().ok()?;
        Advert::sign(&node.identity, timestamp, &app_data)
            .encode()
            .ok()
    }
}
