//! The feed parser understands every dialect, and finds in it what the simulation put in.

use std::collections::HashSet;

use meshcore_feed::{Direction, Message, ParseOptions, parse};
use meshcore_simulator::{Dialect, Simulation, SimulationOptions, Truth};

/// Two feeders publish whole dB, cut toward zero.
fn is_cut(dialect: Dialect) -> bool {
    matches!(
        dialect,
        Dialect::MeshcoreToMqtt | Dialect::MeshcoreToMqttNaive
    )
}

#[test]
fn every_message_is_a_reception_or_a_status() {
    let options = SimulationOptions {
        observers: 40,
        ..SimulationOptions::default()
    };
    let mut simulation = Simulation::new(options).unwrap();
    let mut dialects = HashSet::new();
    for message in simulation.by_ref().take(10_000).collect::<Vec<_>>() {
        let world = simulation.world();
        let observer = &world.observers()[message.truth.observer()];
        let node = &world.nodes()[observer.node];
        let (parsed, truth) = (
            parse(&message.topic, &message.payload, &ParseOptions::default()),
            &message.truth,
        );
        match (parsed, truth) {
            (Message::Reception(found), Truth::Reception(truth)) => {
                assert_eq!(found.raw, truth.raw);
                assert_eq!(
                    found.observer_id,
                    node.public_key.to_string().to_uppercase()
                );
                assert_eq!(found.observer_name.as_deref(), Some(node.name.as_str()));
                assert_eq!(
                    found.iata.as_deref(),
                    Some(world.regions()[node.region].iata.as_str())
                );
                assert!(
                    found
                        .direction
                        .is_none_or(|direction| direction == Direction::Rx)
                );
                let snr_db = if is_cut(observer.dialect) {
                    truth.snr_db.trunc()
                } else {
                    truth.snr_db
                };
                assert_eq!(found.snr, Some(snr_db));
                assert_eq!(found.rssi, Some(f64::from(truth.rssi_dbm)));
                dialects.insert(observer.dialect);
            }
            (Message::Status(found), Truth::Status { .. }) => {
                assert_eq!(found.observer_name.as_deref(), Some(node.name.as_str()));
                assert_eq!(
                    found.client_version.as_deref(),
                    Some(observer.dialect.client_version())
                );
            }
            (parsed, truth) => panic!("{parsed:?} is not {truth:?}"),
        }
    }
    assert_eq!(dialects, HashSet::from(Dialect::ALL));
}
