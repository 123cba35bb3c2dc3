//! What people and machines send to channels.

use meshcore_packet::limits::MAX_TEXT_LEN;
use meshcore_packet::plaintext::{GroupDatagram, GroupMessage};
use meshcore_packet::{ChannelKey, GroupEncrypted, PayloadType, cut_name};

use super::Scene;
use crate::chatter::channel_text;
use crate::node::Role;

impl Scene<'_> {
    /// Somebody writes to a channel; now and then others answer.
    pub(super) fn channel_text(&mut self, at_us: u64) -> Option<()> {
        let channel = self.channel()?;
        let mut at_us = at_us;
        let mut author = self.any(&[Role::Companion])?;
        let is_scoped = self.rng.chance(0.3);
        loop {
            let text = format!("{}: {}", self.node(author)?.name, channel_text(self.rng));
            let plaintext = GroupMessage {
                timestamp: self.timestamp(author, at_us),
                flags: 0,
                text: Some(cut_name(&text, MAX_TEXT_LEN).as_bytes()),
            }
            .encode()
            .ok()?;
            let payload = GroupEncrypted::seal(&channel, &plaintext).ok()?;
            self.flood(at_us, author, PayloadType::GroupText, payload, is_scoped)?;
            if !self.rng.chance(0.25) {
                return Some(());
            }
            author = self.neighbour(author, &[Role::Companion])?;
            at_us += self.pause(2_000, 12_000);
        }
    }

    /// A sensor or an app sends a datagram to a channel.
    pub(super) fn channel_data(&mut self, at_us: u64) -> Option<()> {
        let author = self.any(&[Role::Sensor, Role::Companion])?;
        let channel = self.channel()?;
        let timestamp = self.timestamp(author, at_us);
        let mut data = timestamp.to_le_bytes().to_vec();
        data.extend(self.rng.bytes::<12>());
        let plaintext = GroupDatagram {
            data_type: if self.rng.chance(0.5) { 0xff01 } else { 0x0120 },
            data: &data,
        }
        .encode()
        .ok()?;
        let payload = GroupEncrypted::seal(&channel, &plaintext).ok()?;
        self.flood(at_us, author, PayloadType::GroupData, payload, false)?;
        Some(())
    }

    /// Half of the traffic is on the public channel.
    fn channel(&mut self) -> Option<ChannelKey> {
        let channels = self.world.channels();
        let channel = if self.rng.chance(0.5) {
            channels.first()
        } else {
            self.rng.pick(channels)
        };
        channel.cloned()
    }
}
