//! How a packet travels: floods through repeaters, direct packets along their path, traces that
//! collect signal values, and what observers hear of all that.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use meshcore_packet::limits::{MAX_PATH_COUNT, MAX_PATH_LEN};
use meshcore_packet::{Frame, PacketHash, Path, PayloadType, Route};

use crate::radio::{Radio, SNR_LIMIT_DB, reported_snr};
use crate::rng::Rng;
use crate::world::World;

/// Repeaters beyond this number stay silent in one flood; real meshes lose as many to collisions.
const MOST_FORWARDS: usize = 40;
/// Standard deviation of the fading from one reception to the next, in dB.
const FADING_DB: f64 = 1.5;
/// Time that a repeater takes to decide, in microseconds.
const PROCESSING_US: u64 = 30_000;

/// A packet before it has a path.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) route: Route,
    pub(crate) payload_type: PayloadType,
    pub(crate) transport_codes: Option<[u16; 2]>,
    /// Bytes of one path entry.
    pub(crate) hash_size: usize,
    pub(crate) payload: Vec<u8>,
    /// The region to which a flood is limited.
    pub(crate) scope: Option<usize>,
}

impl Packet {
    fn airtime_us(&self, radio: Radio, path_len: usize) -> u64 {
        let codes = if self.transport_codes.is_some() { 4 } else { 0 };
        radio.airtime_us(2 + codes + path_len + self.payload.len())
    }

    /// The frame on the air and its hash.
    fn encode(&self, path: &[u8]) -> Option<(Vec<u8>, PacketHash)> {
        let frame = Frame {
            route: self.route,
            payload_type: self.payload_type,
            transport_codes: self.transport_codes,
            path: Path::new(self.hash_size, path).ok()?,
            payload: &self.payload,
        };
        Some((frame.encode().ok()?, frame.packet_hash()))
    }
}

/// One node sending one copy.
#[derive(Clone, Debug)]
pub(crate) struct Transmission {
    pub(crate) sender: usize,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    /// Repeaters passed so far, this sender included unless it made the packet.
    via: Vec<usize>,
    /// The path bytes of this copy.
    path: Vec<u8>,
}

/// A frame on the air, shared by all observers that hear it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) origin: usize,
    pub(crate) sender: usize,
    pub(crate) raw: Vec<u8>,
    pub(crate) packet_hash: PacketHash,
    pub(crate) payload_type: PayloadType,
    pub(crate) route: Route,
    pub(crate) path: Vec<u8>,
    pub(crate) hash_size: usize,
    pub(crate) payload_len: usize,
    pub(crate) airtime_us: u64,
}

/// An observer received a frame.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// When the frame ended.
    pub(crate) at_us: u64,
    pub(crate) observer: usize,
    /// Margin of the link this time, in dB.
    pub(crate) link_db: f64,
    pub(crate) sent: Arc<Sent>,
}

/// Where and when a packet came, and through which repeaters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) at_us: u64,
    pub(crate) via: Vec<usize>,
}

/// The key prefixes of some nodes in a row.
pub(crate) fn prefixes(world: &World, nodes: &[usize], size: usize) -> Vec<u8> {
    let keys = nodes.iter().filter_map(|node| world.nodes().get(*node));
    keys.flat_map(|node| node.public_key.prefix(size).to_vec())
        .collect()
}

/// All copies of a flood, in the order of their times.
pub(crate) fn flood(
    world: &World,
    rng: &mut Rng,
    radio: Radio,
    packet: &Packet,
    origin: usize,
    start_us: u64,
) -> Vec<Transmission> {
    let mut seen = HashSet::from([origin]);
    let mut due = BinaryHeap::from([Reverse((start_us, origin, Vec::new()))]);
    let mut sent = Vec::new();
    while let Some(Reverse((start_us, sender, via))) = due.pop() {
        let path = prefixes(world, &via, packet.hash_size);
        let airtime_us = packet.airtime_us(radio, path.len());
        let end_us = start_us + airtime_us;
        let has_room = path.len() + packet.hash_size <= MAX_PATH_LEN && via.len() < MAX_PATH_COUNT;
        for (repeater, link_db) in world.repeaters_hearing(sender) {
            let region = world.nodes().get(*repeater).map(|node| node.region);
            let forwards = has_room
                && seen.len() <= MOST_FORWARDS
                && (packet.scope.is_none() || packet.scope == region)
                && link_db + rng.bell() * FADING_DB >= SNR_LIMIT_DB;
            if forwards && seen.insert(*repeater) {
                let wait_us = PROCESSING_US + rng.below(3 * airtime_us);
                let mut via = via.clone();
                via.push(*repeater);
                due.push(Reverse((end_us + wait_us, *repeater, via)));
            }
        }
        sent.push(Transmission {
            sender,
            start_us,
            end_us,
            via,
            path,
        });
    }
    sent
}

/// The first copy of a flood that reaches a node.
pub(crate) fn arrival(world: &World, flood: &[Transmission], dest: usize) -> Option<Arrival> {
    let first = flood
        .iter()
        .find(|copy| copy.sender == dest || world.link_db(copy.sender, dest).is_some())?;
    let mut via = first.via.clone();
    if first.sender == dest {
        via.pop();
    }
    Some(Arrival {
        at_us: first.end_us,
        via,
    })
}

/// All copies of a packet that takes a given way. Each repeater removes itself.
pub(crate) fn direct(
    world: &World,
    radio: Radio,
    packet: &Packet,
    origin: usize,
    via: &[usize],
    start_us: u64,
) -> Vec<Transmission> {
    let mut start_us = start_us;
    let mut sent = Vec::new();
    for hop in 0..=via.len() {
        let (done, left) = via.split_at(hop);
        let path = prefixes(world, left, packet.hash_size);
        let end_us = start_us + packet.airtime_us(radio, path.len());
        sent.push(Transmission {
            sender: done.last().copied().unwrap_or(origin),
            start_us,
            end_us,
            via: done.to_vec(),
            path,
        });
        start_us = end_us + PROCESSING_US;
    }
    sent
}

/// All copies of a trace. Each repeater adds the signal-to-noise ratio at which it heard the one
/// before.
pub(crate) fn trace(
    world: &World,
    radio: Radio,
    packet: &Packet,
    origin: usize,
    via: &[usize],
    start_us: u64,
) -> Vec<Transmission> {
    let mut snrs = Vec::new();
    let mut sent = direct(world, radio, packet, origin, via, start_us);
    let mut last = origin;
    for copy in &mut sent {
        if !copy.via.is_empty() {
            let link = world.link_db(last, copy.sender).unwrap_or(SNR_LIMIT_DB);
            let [snr] = reported_snr(link).to_le_bytes();
            snrs.push(snr);
        }
        last = copy.sender;
        copy.path.clone_from(&snrs);
    }
    sent
}

/// What the observers hear, at most `most` receptions, in the order of their times.
pub(crate) fn observe(
    world: &World,
    rng: &mut Rng,
    packet: &Packet,
    origin: usize,
    copies: &[Transmission],
    most: usize,
) -> Vec<Heard> {
    let mut heard = Vec::new();
    for copy in copies {
        let Some((raw, packet_hash)) = packet.encode(&copy.path) else {
            continue;
        };
        let sent = Arc::new(Sent {
            origin,
            sender: copy.sender,
            raw,
            packet_hash,
            payload_type: packet.payload_type,
            route: packet.route,
            path: copy.path.clone(),
            hash_size: packet.hash_size,
            payload_len: packet.payload.len(),
            airtime_us: copy.end_us - copy.start_us,
        });
        for (observer, mean_db) in world.observers_hearing(copy.sender) {
            let link_db = mean_db + rng.bell() * FADING_DB;
            if link_db >= SNR_LIMIT_DB {
                heard.push(Heard {
                    at_us: copy.end_us,
                    observer: *observer,
                    link_db,
                    sent: Arc::clone(&sent),
                });
            }
        }
    }
    while heard.len() > most {
        heard.swap_remove(rng.index(heard.len()));
    }
    heard.sort_by_key(|heard| (heard.at_us, heard.observer));
    heard
}
