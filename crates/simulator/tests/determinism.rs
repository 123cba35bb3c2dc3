//! Equal options give equal messages, other seeds give others, and limits are kept.

use std::time::Duration;

use meshcore_simulator::{
    Dialect, FeedMessage, OptionsError, Region, Role, Simulation, SimulationOptions,
};

fn messages(options: SimulationOptions, count: usize) -> Vec<FeedMessage> {
    let simulation = Simulation::new(options).expect("options in range");
    simulation.take(count).collect()
}

fn with_seed(seed: u64) -> SimulationOptions {
    SimulationOptions {
        seed,
        ..SimulationOptions::default()
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(messages(with_seed(7), 3_000), messages(with_seed(7), 3_000));
}

#[test]
fn other_seeds_give_other_meshes() {
    let (one, other) = (messages(with_seed(7), 100), messages(with_seed(8), 100));
    assert!(
        one.iter()
            .zip(&other)
            .all(|(one, other)| one.payload != other.payload)
    );
}

#[test]
fn only_times_depend_on_the_start() {
    let later = SimulationOptions {
        start: "2030-06-01T00:00:00Z".parse().unwrap(),
        ..with_seed(7)
    };
    let (one, other) = (messages(with_seed(7), 500), messages(later, 500));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!((one.at, &one.topic), (other.at, &other.topic));
        assert_ne!(one.payload, other.payload);
    }
}

#[test]
fn offsets_never_go_back() {
    let messages = messages(with_seed(3), 20_000);
    assert!(messages.is_sorted_by_key(|message| message.at));
    assert!(messages.last().unwrap().at > Duration::from_mins(10));
}

#[test]
fn the_rate_is_the_one_asked_for_from_the_start() {
    for (rate, seconds) in [(2.0, 1_000), (5.0, 400), (500.0, 20)] {
        let options = SimulationOptions {
            receptions_per_second: rate,
            ..with_seed(11)
        };
        let end = Duration::from_secs(seconds);
        let receptions = Simulation::new(options)
            .unwrap()
            .take_while(|message| message.at < end)
            .filter(|message| message.truth.reception().is_some())
            .count();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let ratio = receptions as f64 / (rate * end.as_secs_f64());
        assert!((0.85..1.15).contains(&ratio), "{rate}/s: {ratio}");
    }
}

#[test]
fn the_smallest_and_a_large_mesh_run() {
    let smallest = SimulationOptions {
        nodes: 2,
        observers: 1,
        regions: vec![Region::named("QQX")],
        ..with_seed(1)
    };
    assert_eq!(messages(smallest, 200).len(), 200);
    let large = SimulationOptions {
        nodes: 1_000,
        observers: 100,
        receptions_per_second: 1_000.0,
        ..with_seed(1)
    };
    let simulation = Simulation::new(large).unwrap();
    let world = simulation.world();
    assert_eq!((world.nodes().len(), world.observers().len()), (1_000, 100));
    for role in [Role::Companion, Role::Repeater, Role::Room, Role::Sensor] {
        assert!(world.nodes().iter().any(|node| node.role == role));
    }
    for dialect in Dialect::ALL {
        assert!(
            world
                .observers()
                .iter()
                .any(|observer| observer.dialect == dialect)
        );
    }
    assert_eq!(simulation.take(5_000).count(), 5_000);
}

#[test]
fn impossible_options_are_refused() {
    let options = SimulationOptions {
        nodes: 4,
        observers: 5,
        ..SimulationOptions::default()
    };
    let expected = OptionsError::Observers {
        observers: 5,
        nodes: 4,
    };
    assert_eq!(Simulation::new(options).unwrap_err(), expected);
}
