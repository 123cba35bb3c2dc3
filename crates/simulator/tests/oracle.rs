//! What the simulation says about its messages is what a decoder finds in them.

use std::collections::{BTreeSet, HashMap, HashSet};

use meshcore_packet::plaintext::{GroupMessage, ReturnedPath, TextMessage, split_sender};
use meshcore_packet::{
    Analysis, ChannelKeys, Frame, Opened, PacketHash, Payload, PayloadType, RegionKeys, Route,
};
use meshcore_simulator::{Node, Reception, Simulation, SimulationOptions, Truth, World};
use serde_json::Value;

/// Enough for every kind of traffic.
const COUNT: usize = 20_000;

fn simulation() -> Simulation {
    Simulation::new(SimulationOptions::default()).expect("the defaults are fine")
}

fn receptions(simulation: &mut Simulation) -> Vec<Reception> {
    simulation
        .take(COUNT)
        .filter_map(|message| match message.truth {
            Truth::Reception(reception) => Some(reception),
            Truth::Status { .. } => None,
        })
        .collect()
}

#[test]
fn the_json_carries_the_frame_of_the_truth() {
    let mut simulation = simulation();
    for message in simulation.by_ref().take(COUNT) {
        let json: Value = serde_json::from_slice(&message.payload).unwrap();
        let observer = message.topic.split('/').nth(2).unwrap();
        assert_eq!(json["origin_id"], observer);
        let Truth::Reception(reception) = &message.truth else {
            assert!(message.topic.ends_with("/status"));
            assert_eq!(json["status"], "online");
            continue;
        };
        assert!(message.topic.ends_with("/packets") && !message.retain);
        assert_eq!(json["raw"], hex::encode_upper(&reception.raw));
        assert_eq!(
            json["hash"],
            reception.packet_hash.to_string().to_uppercase()
        );
        let frame = Frame::decode(&reception.raw).unwrap();
        assert_eq!(frame.packet_hash(), reception.packet_hash);
        assert_eq!(frame.payload_type, reception.payload_type);
        assert_eq!(frame.route, reception.route);
        assert_eq!(frame.path.count(), reception.path_len);
        assert!(frame.decode_payload().is_ok() && frame.anomaly().is_none());
    }
}

#[test]
fn every_payload_type_route_and_path_entry_size_occurs() {
    let receptions = receptions(&mut simulation());
    let types: BTreeSet<PayloadType> = receptions.iter().map(|one| one.payload_type).collect();
    let expected = PayloadType::ALL
        .into_iter()
        .filter(|kind| !kind.is_reserved());
    assert_eq!(types, expected.collect());
    let routes: BTreeSet<Route> = receptions.iter().map(|one| one.route).collect();
    assert_eq!(routes, Route::ALL.into_iter().collect());
    let sizes: BTreeSet<usize> = receptions
        .iter()
        .map(|one| Frame::decode(&one.raw).unwrap().path.hash_size())
        .collect();
    assert_eq!(sizes, BTreeSet::from([1, 2, 3]));
    assert!(
        receptions
            .iter()
            .any(|one| one.route.is_flood() && one.path_len >= 4)
    );
}

#[test]
fn packets_have_several_receptions() {
    for seed in 1..=5 {
        let options = SimulationOptions {
            seed,
            ..SimulationOptions::default()
        };
        let receptions = receptions(&mut Simulation::new(options).unwrap());
        let packets: HashSet<PacketHash> = receptions.iter().map(|one| one.packet_hash).collect();
        let copies = receptions.len() / packets.len();
        assert!((3..=10).contains(&copies), "seed {seed}: {copies}");
    }
}

#[test]
fn adverts_verify_and_tell_the_node() {
    let mut simulation = simulation();
    let receptions = receptions(&mut simulation);
    let mut seen = HashSet::new();
    for reception in receptions
        .iter()
        .filter(|one| one.payload_type == PayloadType::Advert)
    {
        let frame = Frame::decode(&reception.raw).unwrap();
        let Payload::Advert(advert) = frame.decode_payload().unwrap() else {
            panic!("not an advert");
        };
        assert!(advert.signature_valid());
        let world = simulation.world();
        let described = world
            .nodes()
            .iter()
            .find(|node| node.public_key == advert.public_key);
        let described = described.unwrap();
        assert_eq!(advert.app_data(), described.app_data());
        let origin = &world.nodes()[reception.origin];
        assert_eq!(
            origin.public_key == advert.public_key,
            !frame.is_shared_contact()
        );
        seen.insert(advert.public_key);
    }
    assert!(
        seen.len() > 50,
        "{} of 60 nodes have advertised",
        seen.len()
    );
}

#[test]
fn channel_texts_open_and_name_their_author() {
    let mut simulation = simulation();
    let receptions = receptions(&mut simulation);
    let world = simulation.world();
    let keys: ChannelKeys = world.channels().iter().cloned().collect();
    let mut channels = HashSet::new();
    for reception in receptions
        .iter()
        .filter(|one| one.payload_type == PayloadType::GroupText)
    {
        let frame = Frame::decode(&reception.raw).unwrap();
        let analysis = Analysis::new(&frame, &keys);
        let Some(Opened::Ok { channel, plaintext }) = analysis.opened else {
            panic!("does not open");
        };
        channels.insert(channel.name().to_owned());
        let message = GroupMessage::decode(&plaintext).unwrap();
        let text = message.text_lossy().unwrap();
        let author = &world.nodes()[reception.origin].name;
        assert_eq!(split_sender(&text).0, Some(author.as_str()));
    }
    assert_eq!(channels.len(), world.channels().len());
}

#[test]
fn scoped_floods_are_recognized_and_stay_in_their_region() {
    let mut simulation = simulation();
    let receptions = receptions(&mut simulation);
    let world = simulation.world();
    let scopes: RegionKeys = world.scopes().iter().cloned().collect();
    let scoped: Vec<&Reception> = receptions
        .iter()
        .filter(|one| one.route == Route::TransportFlood)
        .collect();
    assert!(scoped.len() > 100);
    for reception in scoped {
        let frame = Frame::decode(&reception.raw).unwrap();
        let region = world.nodes()[reception.origin].region;
        assert_eq!(
            scopes.scope(&frame),
            Some(world.regions()[region].scope.as_str())
        );
        assert_eq!(world.nodes()[reception.sender].region, region);
    }
}

/// The plaintext of a payload between two nodes, and its receiver.
fn open<'w>(world: &'w World, reception: &Reception) -> Option<(Vec<u8>, &'w Node)> {
    let frame = Frame::decode(&reception.raw).ok()?;
    let (Payload::Text(sealed) | Payload::Path(sealed)) = frame.decode_payload().ok()? else {
        return None;
    };
    let author = &world.nodes()[reception.origin];
    world
        .nodes()
        .iter()
        .filter(|node| node.public_key.hash() == sealed.dest_hash)
        .find_map(|node| {
            let secret = author.identity.shared_secret(&node.public_key)?;
            Some((sealed.open(&secret)?, node))
        })
}

#[test]
fn acknowledgements_belong_to_messages() {
    let mut simulation = simulation();
    let mut firsts = HashMap::new();
    for reception in receptions(&mut simulation) {
        firsts.entry(reception.packet_hash).or_insert(reception);
    }
    let world = simulation.world();
    let (mut expected, mut acknowledged) = (HashSet::new(), Vec::new());
    for reception in firsts.values() {
        match reception.payload_type {
            PayloadType::Text => {
                let (plaintext, reader) = open(world, reception).unwrap();
                let message = TextMessage::decode(&plaintext).unwrap();
                let is_post = message.text_type() == TextMessage::SIGNED;
                let author = &world.nodes()[reception.origin];
                let key = if is_post { reader } else { author }.public_key;
                expected.insert(message.ack_checksum(&key).unwrap());
            }
            PayloadType::Path => {
                let (plaintext, _) = open(world, reception).unwrap();
                acknowledged.extend(ReturnedPath::decode(&plaintext).unwrap().ack_checksum());
            }
            PayloadType::Ack => {
                let frame = Frame::decode(&reception.raw).unwrap();
                if let Ok(Payload::Ack(ack)) = frame.decode_payload() {
                    acknowledged.push(ack.checksum);
                }
            }
            _ => {}
        }
    }
    // Some messages were heard by nobody, and keep-alives are not in the list.
    let known = acknowledged
        .iter()
        .filter(|checksum| expected.contains(checksum))
        .count();
    assert!(
        known * 10 > acknowledged.len() * 6,
        "{known} of {}",
        acknowledged.len()
    );
}
