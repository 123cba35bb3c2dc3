//! Who sends what: each activity is one packet or a whole exchange between nodes.

mod advert;
mod channel;
mod direct;
mod probe;
mod request;

use std::collections::BTreeMap;

use jiff::Timestamp;
use meshcore_packet::{Encrypted, PayloadType, Route};

use crate::node::{Node, Role};
use crate::propagation::{self, Arrival, Heard, Packet, Transmission, arrival, observe, prefixes};
use crate::radio::Radio;
use crate::rng::Rng;
use crate::world::World;

/// The state of all nodes that the traffic depends on.
#[derive(Debug)]
pub(crate) struct Traffic {
    radio: Radio,
    start_secs: i64,
    /// The last timestamp that each node used; nodes never use one twice.
    last_timestamps: Vec<u32>,
    /// The secrets of pairs that talked already. Bounded, since nodes talk to few others.
    secrets: BTreeMap<(usize, usize), [u8; 32]>,
    /// Nodes in a random order, and how many of them have advertised; a mesh is dull until then.
    introductions: Vec<usize>,
    introduced: usize,
}

impl Traffic {
    pub(crate) fn new(rng: &mut Rng, world: &World, start: Timestamp) -> Self {
        let mut introductions: Vec<usize> = (0..world.nodes().len()).collect();
        for last in (1..introductions.len()).rev() {
            introductions.swap(last, rng.index(last + 1));
        }
        Self {
            radio: Radio::new(),
            start_secs: start.as_second(),
            last_timestamps: vec![0; world.nodes().len()],
            secrets: BTreeMap::new(),
            introductions,
            introduced: 0,
        }
    }

    /// Lets a random node begin something at a time, and gives what observers hear of it.
    pub(crate) fn act(
        &mut self,
        world: &World,
        rng: &mut Rng,
        at_us: u64,
        receptions_per_packet: f64,
    ) -> Vec<Heard> {
        let mut scene = Scene {
            traffic: self,
            world,
            rng,
            receptions_per_packet,
            heard: Vec::new(),
        };
        scene.act(at_us);
        scene.heard
    }
}

/// One activity while it unfolds. The functions that play it give `None` when it cannot go on,
/// for example because somebody is out of reach; what was heard until then stays heard.
pub(crate) struct Scene<'a> {
    traffic: &'a mut Traffic,
    world: &'a World,
    rng: &'a mut Rng,
    receptions_per_packet: f64,
    heard: Vec<Heard>,
}

impl<'a> Scene<'a> {
    fn act(&mut self, at_us: u64) -> Option<()> {
        if self.traffic.introduced < self.traffic.introductions.len() && self.rng.chance(0.5) {
            let node = self
                .traffic
                .introductions
                .get(self.traffic.introduced)
                .copied()?;
            self.traffic.introduced += 1;
            return self.flood_advert(node, at_us);
        }
        match self.rng.below(100) {
            0..=13 => self.advert(at_us),
            14..=43 => self.channel_text(at_us),
            44..=46 => self.channel_data(at_us),
            47..=63 => self.conversation(at_us),
            64..=69 => self.room_post(at_us),
            70..=80 => self.request(at_us),
            81..=86 => self.login(at_us),
            87..=92 => self.trace(at_us),
            93..=97 => self.discover(at_us),
            _ => self.raw_custom(at_us),
        }
    }

    fn node(&self, index: usize) -> Option<&'a Node> {
        self.world.nodes().get(index)
    }

    /// A random node of one of the given roles; `None` when luck does not find one.
    fn any(&mut self, roles: &[Role]) -> Option<usize> {
        let nodes = self.world.nodes();
        (0..64).find_map(|_| {
            let index = self.rng.index(nodes.len());
            nodes
                .get(index)
                .filter(|node| roles.contains(&node.role))
                .map(|_| index)
        })
    }

    /// A node of one of the given roles in the same region as `near`, which it is not.
    fn neighbour(&mut self, near: usize, roles: &[Role]) -> Option<usize> {
        let region = self.node(near)?.region;
        (0..16).find_map(|_| {
            self.any(roles)
                .filter(|other| *other != near)
                .filter(|other| self.node(*other).is_some_and(|node| node.region == region))
        })
    }

    /// What a node's clock shows, and always later than what it showed before.
    fn timestamp(&mut self, node: usize, at_us: u64) -> u32 {
        let skew_secs = self.node(node).map_or(0, |node| node.clock_skew_secs);
        let elapsed_secs = i64::try_from(at_us / 1_000_000).unwrap_or(i64::MAX);
        let now = self
            .traffic
            .start_secs
            .saturating_add(elapsed_secs)
            .saturating_add(skew_secs);
        let now = u32::try_from(now.max(1)).unwrap_or(u32::MAX);
        let Some(last) = self.traffic.last_timestamps.get_mut(node) else {
            return now;
        };
        *last = now.max(last.saturating_add(1));
        *last
    }

    /// The secret of two nodes.
    fn secret(&mut self, from: usize, to: usize) -> Option<[u8; 32]> {
        let pair = (from.min(to), from.max(to));
        if let Some(secret) = self.traffic.secrets.get(&pair) {
            return Some(*secret);
        }
        let secret = self
            .node(from)?
            .identity
            .shared_secret(&self.node(to)?.public_key)?;
        // Any pair may come up in a large mesh; a few thousand are enough to save the work.
        if self.traffic.secrets.len() < 4_096 {
            self.traffic.secrets.insert(pair, secret);
        }
        Some(secret)
    }

    /// The payload of a plaintext between two nodes.
    fn seal(&mut self, from: usize, to: usize, plaintext: &[u8]) -> Option<Vec<u8>> {
        let secret = self.secret(from, to)?;
        let (dest, src) = (self.node(to)?.public_key, self.node(from)?.public_key);
        Encrypted::seal(&dest, &src, &secret, plaintext).ok()
    }

    /// A packet as `origin` makes it.
    fn packet(
        &self,
        origin: usize,
        route: Route,
        payload_type: PayloadType,
        payload: Vec<u8>,
    ) -> Option<Packet> {
        Some(Packet {
            route,
            payload_type,
            transport_codes: None,
            hash_size: self.node(origin)?.path_hash_size,
            payload,
            scope: None,
        })
    }

    /// Floods a packet, limited to the region of `origin` if asked to, and gives all its copies.
    fn flood(
        &mut self,
        at_us: u64,
        origin: usize,
        payload_type: PayloadType,
        payload: Vec<u8>,
        is_scoped: bool,
    ) -> Option<Vec<Transmission>> {
        let mut packet = self.packet(origin, Route::Flood, payload_type, payload)?;
        if is_scoped {
            let region = self.node(origin)?.region;
            let code = self
                .world
                .scopes()
                .get(region)?
                .code(payload_type, &packet.payload);
            packet.route = Route::TransportFlood;
            packet.transport_codes = Some([code, 0]);
            packet.scope = Some(region);
        }
        let radio = self.traffic.radio;
        let copies = propagation::flood(self.world, self.rng, radio, &packet, origin, at_us);
        self.observe(&packet, origin, &copies);
        Some(copies)
    }

    /// Sends a packet along a way, and gives the time when it comes to its end.
    fn direct(
        &mut self,
        at_us: u64,
        origin: usize,
        via: &[usize],
        payload_type: PayloadType,
        payload: Vec<u8>,
    ) -> Option<u64> {
        let packet = self.packet(origin, Route::Direct, payload_type, payload)?;
        self.carry(at_us, origin, via, &packet)
    }

    /// Sends any packet along a way, and gives the time when it comes to its end.
    fn carry(&mut self, at_us: u64, origin: usize, via: &[usize], packet: &Packet) -> Option<u64> {
        let radio = self.traffic.radio;
        let copies = propagation::direct(self.world, radio, packet, origin, via, at_us);
        self.observe(packet, origin, &copies);
        copies.last().map(|copy| copy.end_us)
    }

    fn observe(&mut self, packet: &Packet, origin: usize, copies: &[Transmission]) {
        let most = (self.receptions_per_packet * self.rng.range(0.6, 2.2)).max(1.0);
        let heard = observe(self.world, self.rng, packet, origin, copies, whole(most));
        self.heard.extend(heard);
    }

    /// The way from one node to another that a flood would find, or `None` when there is none.
    /// Nothing is sent.
    fn way(&mut self, from: usize, to: usize) -> Option<Vec<usize>> {
        let packet = self.packet(from, Route::Flood, PayloadType::Ack, vec![0; 4])?;
        let radio = self.traffic.radio;
        let copies = propagation::flood(self.world, self.rng, radio, &packet, from, 0);
        arrival(self.world, &copies, to).map(|Arrival { via, .. }| via)
    }

    /// Path bytes for some hops, in the entry size of `origin`.
    fn path_bytes(&self, origin: usize, via: &[usize]) -> Option<(usize, Vec<u8>)> {
        let size = self.node(origin)?.path_hash_size;
        Some((size, prefixes(self.world, via, size)))
    }

    /// A short while, in microseconds.
    fn pause(&mut self, low_ms: u64, high_ms: u64) -> u64 {
        self.rng.between(low_ms, high_ms) * 1_000
    }
}

/// A number of receptions; there is no mesh with more than 1,000 observers in reach.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is 1 to 1000"
)]
fn whole(receptions: f64) -> usize {
    receptions.clamp(1.0, 1_000.0).round() as usize
}
