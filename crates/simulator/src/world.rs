//! The mesh itself: who is where, who hears whom, and which keys there are.

use meshcore_packet::{ChannelKey, Identity, RegionKey};

use crate::names::node_name;
use crate::node::{Node, Role};
use crate::observer::Observer;
use crate::options::{Region, SimulationOptions};
use crate::radio::{SNR_LIMIT_DB, link_db};
use crate::rng::Rng;

/// The roles of ten nodes, those first that a small mesh needs.
const ROLES: [Role; 10] = [
    Role::Repeater,
    Role::Companion,
    Role::Companion,
    Role::Room,
    Role::Repeater,
    Role::Sensor,
    Role::Companion,
    Role::Repeater,
    Role::Companion,
    Role::Companion,
];
/// How far nodes are from the centre of a region with [`FULL_REGION`] nodes or more, in km.
const REGION_RADIUS_KM: f64 = 24.0;
/// Fewer nodes than this live closer together, so that they hear each other.
const FULL_REGION: u32 = 20;
/// Only so many of the strongest links of a node are kept.
const MOST_LINKS: usize = 24;
/// A link this much below the limit still carries a packet now and then, in dB.
const FADE_DB: f64 = 3.0;
/// Other nodes that a companion talks to.
const CONTACTS: usize = 4;

/// Nodes, observers and keys. Nothing in it changes while the simulation runs.
#[derive(Debug)]
pub struct World {
    nodes: Vec<Node>,
    observers: Vec<Observer>,
    regions: Vec<Region>,
    scopes: Vec<RegionKey>,
    channels: Vec<ChannelKey>,
    /// For each node the repeaters that can hear it, with the margin of the link in dB.
    repeater_links: Vec<Vec<(usize, f64)>>,
    /// For each node the observers that can hear it, likewise.
    observer_links: Vec<Vec<(usize, f64)>>,
    /// For each node the companions that it talks to.
    contacts: Vec<Vec<usize>>,
}

impl World {
    /// The nodes; receptions name them by their index.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The observers; messages name them by their index.
    pub fn observers(&self) -> &[Observer] {
        &self.observers
    }

    /// The regions; nodes name them by their index.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The scopes of the regions, in the same order.
    pub fn scopes(&self) -> &[RegionKey] {
        &self.scopes
    }

    /// The channels that are written to: the public one, hashtag channels, and at the end a
    /// private one whose key no analyzer has unless it is given.
    pub fn channels(&self) -> &[ChannelKey] {
        &self.channels
    }

    pub(crate) fn new(options: &SimulationOptions, rng: &mut Rng) -> Self {
        let radius_km = radius_km(options.nodes, options.regions.len());
        let nodes: Vec<Node> = (0..options.nodes)
            .map(|index| new_node(rng, &options.regions, radius_km, index))
            .collect();
        let observers = new_observers(rng, &nodes, options.observers);
        let with_role = |role| -> Vec<usize> {
            (0..nodes.len())
                .filter(|index| nodes.get(*index).is_some_and(|node| node.role == role))
                .collect()
        };
        let (repeaters, companions) = (with_role(Role::Repeater), with_role(Role::Companion));
        let observer_nodes: Vec<usize> = observers.iter().map(|observer| observer.node).collect();
        let contacts = nodes
            .iter()
            .map(|node| new_contacts(rng, &nodes, &companions, node))
            .collect();
        Self {
            repeater_links: links(&nodes, &repeaters, |index| repeaters.get(index).copied()),
            observer_links: links(&nodes, &observer_nodes, Some),
            scopes: options
                .regions
                .iter()
                .filter_map(|region| RegionKey::from_name(&region.scope).ok())
                .collect(),
            channels: new_channels(rng),
            regions: options.regions.clone(),
            contacts,
            observers,
            nodes,
        }
    }

    /// The repeaters that can hear a node, strongest first, with the margin in dB.
    pub(crate) fn repeaters_hearing(&self, node: usize) -> &[(usize, f64)] {
        self.repeater_links.get(node).map_or(&[], Vec::as_slice)
    }

    /// The observers that can hear a node, likewise.
    pub(crate) fn observers_hearing(&self, node: usize) -> &[(usize, f64)] {
        self.observer_links.get(node).map_or(&[], Vec::as_slice)
    }

    /// The companions that a node talks to.
    pub(crate) fn contacts(&self, node: usize) -> &[usize] {
        self.contacts.get(node).map_or(&[], Vec::as_slice)
    }

    /// Margin of the link between two nodes in dB, or `None` when they are out of reach.
    pub(crate) fn link_db(&self, from: usize, to: usize) -> Option<f64> {
        let link = link_db(self.nodes.get(from)?, self.nodes.get(to)?);
        (link >= SNR_LIMIT_DB).then_some(link)
    }
}

/// The radius that keeps the density of nodes.
fn radius_km(nodes: usize, regions: usize) -> f64 {
    let nodes = u32::try_from(nodes / regions.max(1)).unwrap_or(FULL_REGION);
    let share = f64::from(nodes.clamp(1, FULL_REGION)) / f64::from(FULL_REGION);
    REGION_RADIUS_KM * share.sqrt()
}

fn new_node(rng: &mut Rng, regions: &[Region], radius_km: f64, index: usize) -> Node {
    let region = index % regions.len();
    let number = index / regions.len();
    // A mesh with many small regions must not consist of repeaters only.
    let role = ROLES.get((number + region) % ROLES.len()).copied();
    let role = role.unwrap_or(Role::Companion);
    let identity = usable_identity(rng);
    let (lat_deg, lon_deg) = place(rng, regions.get(region), radius_km);
    Node {
        public_key: identity.public_key(),
        identity,
        role,
        name: node_name(rng, role, index),
        region,
        lat_deg,
        lon_deg,
        shares_location: role != Role::Companion || rng.chance(0.4),
        path_hash_size: match rng.below(20) {
            0..=10 => 1,
            11..=17 => 2,
            _ => 3,
        },
        clock_skew_secs: match rng.below(20) {
            // A node that lost power and was never set, and one with the wrong time zone.
            0 if role == Role::Repeater => -20_000_000,
            1 => 3_600,
            _ => i64::from(rng.next_u32() % 40) - 20,
        },
    }
}

fn usable_identity(rng: &mut Rng) -> Identity {
    loop {
        let identity = Identity::from_seed(rng.bytes());
        if identity.public_key().is_usable() {
            return identity;
        }
    }
}

/// A random place within the region, denser at its centre.
fn place(rng: &mut Rng, region: Option<&Region>, radius_km: f64) -> (f64, f64) {
    let (lat_deg, lon_deg) = region.map_or((0.0, 0.0), |region| (region.lat_deg, region.lon_deg));
    let distance = radius_km * rng.unit();
    let angle = rng.range(0.0, std::f64::consts::TAU);
    let lat = lat_deg + distance * angle.sin() / 111.2;
    let lon = lon_deg + distance * angle.cos() / (111.2 * lat_deg.to_radians().cos().max(0.1));
    (lat, lon)
}

/// Observers on repeaters and companions in turn; then on whatever nodes are left.
fn new_observers(rng: &mut Rng, nodes: &[Node], count: usize) -> Vec<Observer> {
    let with = |wanted: fn(Role) -> bool| {
        let chosen = nodes.iter().enumerate();
        chosen.filter(move |(_, node)| wanted(node.role))
    };
    let mut repeaters = with(|role| role == Role::Repeater);
    let mut companions = with(|role| role == Role::Companion);
    let mut others = with(|role| matches!(role, Role::Room | Role::Sensor));
    (0..count)
        .filter_map(|number| {
            let chosen = if number % 2 == 0 {
                repeaters.next().or_else(|| companions.next())
            } else {
                companions.next().or_else(|| repeaters.next())
            };
            let (index, node) = chosen.or_else(|| others.next())?;
            Some(Observer::new(rng, number, index, node.role))
        })
        .collect()
}

/// Mostly companions of the same region.
fn new_contacts(rng: &mut Rng, nodes: &[Node], companions: &[usize], node: &Node) -> Vec<usize> {
    let at = |index: usize| nodes.get(index);
    let is_other =
        |index: &usize| at(*index).is_some_and(|peer| peer.public_key != node.public_key);
    let near: Vec<usize> = companions
        .iter()
        .copied()
        .filter(|index| at(*index).is_some_and(|peer| peer.region == node.region))
        .filter(is_other)
        .collect();
    let mut contacts: Vec<usize> = (1..CONTACTS)
        .filter_map(|_| rng.pick(&near).copied())
        .collect();
    contacts.extend(rng.pick(companions).copied().filter(is_other));
    contacts
}

fn new_channels(rng: &mut Rng) -> Vec<ChannelKey> {
    let mut channels = vec![ChannelKey::public()];
    channels.extend(["#test", "#mesh", "#bot", "#hiking", "#weather"].map(ChannelKey::hashtag));
    channels.extend(ChannelKey::from_bytes("Family", &rng.bytes::<16>()));
    channels
}

/// For each node the receivers in reach, strongest first. Receivers are given by their nodes, and
/// come out as what `id` makes of their position in that list.
fn links(
    nodes: &[Node],
    receivers: &[usize],
    id: impl Fn(usize) -> Option<usize>,
) -> Vec<Vec<(usize, f64)>> {
    let reach = |from: usize, sender: &Node| {
        let mut links: Vec<(usize, f64)> = receivers
            .iter()
            .enumerate()
            .filter(|(_, to)| **to != from)
            .filter_map(|(position, to)| {
                let link = link_db(sender, nodes.get(*to)?);
                Some((id(position)?, link)).filter(|_| link >= SNR_LIMIT_DB - FADE_DB)
            })
            .collect();
        links.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        links.truncate(MOST_LINKS);
        links
    };
    let nodes_by_index = nodes.iter().enumerate();
    nodes_by_index
        .map(|(from, sender)| reach(from, sender))
        .collect()
}
