//! The simulation: traffic in, feed messages out, in the order of their times.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::feed::packet_json;
use crate::message::{FeedMessage, Reception, Truth};
use crate::options::{OptionsError, SimulationOptions};
use crate::propagation::Heard;
use crate::radio::{reported_rssi, reported_snr};
use crate::rng::Rng;
use crate::status::{STATUS_INTERVAL_US, status_json};
use crate::traffic::Traffic;
use crate::world::World;

/// About how long it takes from the beginning of an activity to its receptions, in seconds. Activities
/// run ahead by so much, so that the rate is right from the first second on.
const LEAD_SECS: f64 = 3.0;

/// The least time between two activities, as a part of the mean time between packets.
const LEAST_GAP: f64 = 0.01;

/// An endless sequence of [`FeedMessage`]s. It is deterministic: equal options give equal messages.
///
/// Memory stays bounded however long it runs.
#[derive(Debug)]
pub struct Simulation {
    options: SimulationOptions,
    world: World,
    rng: Rng,
    traffic: Traffic,
    /// What was heard and is not yet published.
    due: BinaryHeap<Reverse<Due>>,
    /// Tells equal times apart, so that their order is fixed.
    sequence: u64,
    /// When the next node begins something, in microseconds.
    next_activity_us: u64,
    /// Receptions made so far, published or not.
    made: u64,
    /// Receptions published so far, by observer.
    received: Vec<u64>,
}

impl Simulation {
    /// Builds the mesh. That takes about 0.1 ms per node.
    ///
    /// # Errors
    ///
    /// When an option is out of its range.
    pub fn new(options: SimulationOptions) -> Result<Self, OptionsError> {
        options.check()?;
        let mut rng = Rng::new(options.seed);
        let world = World::new(&options, &mut rng);
        let traffic = Traffic::new(&mut rng, &world, options.start);
        let mut simulation = Self {
            options,
            received: vec![0; world.observers().len()],
            traffic,
            rng,
            world,
            due: BinaryHeap::new(),
            sequence: 0,
            next_activity_us: 0,
            made: 0,
        };
        simulation.schedule_first_statuses();
        Ok(simulation)
    }

    /// Nodes, observers, regions and channels.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What the simulation was made from.
    pub fn options(&self) -> &SimulationOptions {
        &self.options
    }

    /// The next message. There always is one.
    pub fn next_event(&mut self) -> FeedMessage {
        loop {
            let next_us = self.due.peek().map(|Reverse(due)| due.at_us);
            if next_us.is_none_or(|at_us| at_us >= self.next_activity_us) {
                self.act();
                continue;
            }
            if let Some(message) = self.due.pop().and_then(|Reverse(due)| self.publish(due)) {
                return message;
            }
        }
    }

    /// Lets some node begin something, and sets the time of the next activity so that the long-run
    /// rate is the one asked for.
    fn act(&mut self) {
        let at_us = self.next_activity_us;
        let heard = self.traffic.act(
            &self.world,
            &mut self.rng,
            at_us,
            self.options.receptions_per_packet,
        );
        for heard in heard {
            let latency_us = self.world.observers().get(heard.observer);
            let latency_us = latency_us.map_or(0, |observer| observer.latency_us);
            self.made += 1;
            self.schedule(heard.at_us + latency_us, What::Heard(heard));
        }
        let mean_gap_secs = self.options.receptions_per_packet / self.options.receptions_per_second;
        let jitter_secs = mean_gap_secs * self.rng.range(-0.8, 0.8);
        let due_secs = count(self.made) / self.options.receptions_per_second - LEAD_SECS;
        // Where hardly anybody is heard, time must go on nevertheless.
        let least_us = micros(mean_gap_secs * LEAST_GAP).max(1);
        self.next_activity_us = micros(due_secs + jitter_secs).max(at_us + least_us);
    }

    /// A retained status of each observer within the first seconds, then one every five minutes.
    fn schedule_first_statuses(&mut self) {
        let phases: Vec<u64> = self
            .world
            .observers()
            .iter()
            .map(|observer| observer.status_phase_us)
            .collect();
        for (observer, phase_us) in phases.into_iter().enumerate() {
            self.schedule(
                phase_us / 200,
                What::Status {
                    observer,
                    retain: true,
                },
            );
            self.schedule(
                phase_us,
                What::Status {
                    observer,
                    retain: false,
                },
            );
        }
    }

    fn schedule(&mut self, at_us: u64, what: What) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.due.push(Reverse(Due {
            at_us,
            sequence,
            what,
        }));
    }

    fn publish(&mut self, due: Due) -> Option<FeedMessage> {
        let at_us = due.at_us;
        let (kind, retain, payload, truth) = match due.what {
            What::Heard(heard) => {
                if let Some(received) = self.received.get_mut(heard.observer) {
                    *received += 1;
                }
                let (payload, truth) = self.reception(&heard)?;
                ("packets", false, payload, truth)
            }
            What::Status { observer, retain } => {
                if !retain {
                    let again = What::Status { observer, retain };
                    self.schedule(at_us + STATUS_INTERVAL_US, again);
                }
                let payload = self.status(observer, at_us)?;
                ("status", retain, payload, Truth::Status { observer })
            }
        };
        let observer = self.world.observers().get(truth.observer())?;
        let node = self.world.nodes().get(observer.node)?;
        let iata = &self.world.regions().get(node.region)?.iata;
        let key = node.public_key.to_string().to_uppercase();
        Some(FeedMessage {
            at: Duration::from_micros(at_us),
            topic: format!("meshcore/{iata}/{key}/{kind}"),
            payload,
            retain,
            truth,
        })
    }

    fn reception(&self, heard: &Heard) -> Option<(Vec<u8>, Truth)> {
        let observer = self.world.observers().get(heard.observer)?;
        let node = self.world.nodes().get(observer.node)?;
        let at = self.clock(heard.at_us, observer.clock_skew_ms);
        let sent = heard.sent.as_ref();
        let truth = Truth::Reception(Reception {
            observer: heard.observer,
            origin: sent.origin,
            sender: sent.sender,
            packet_hash: sent.packet_hash,
            payload_type: sent.payload_type,
            route: sent.route,
            path_len: sent.path.len() / sent.hash_size.max(1),
            raw: sent.raw.clone(),
            snr_db: f64::from(reported_snr(heard.link_db)) / 4.0,
            rssi_dbm: reported_rssi(heard.link_db),
        });
        Some((packet_json(heard, observer, node, at), truth))
    }

    fn status(&mut self, index: usize, at_us: u64) -> Option<Vec<u8>> {
        let observer = self.world.observers().get(index)?;
        let node = self.world.nodes().get(observer.node)?;
        let at = self.clock(at_us, observer.clock_skew_ms);
        let received = self.received.get(index).copied().unwrap_or(0);
        Some(status_json(
            &mut self.rng,
            observer,
            node,
            at,
            at_us,
            received,
        ))
    }

    /// What a clock that is so many milliseconds ahead shows.
    fn clock(&self, at_us: u64, skew_ms: i64) -> Timestamp {
        let elapsed_us = i64::try_from(at_us).unwrap_or(i64::MAX);
        let elapsed = SignedDuration::from_micros(elapsed_us.saturating_add(skew_ms * 1_000));
        let start = self.options.start;
        start.saturating_add(elapsed).unwrap_or(start)
    }
}

impl Iterator for Simulation {
    type Item = FeedMessage;

    /// Never `None`.
    fn next(&mut self) -> Option<FeedMessage> {
        Some(self.next_event())
    }
}

/// Something to be published.
#[derive(Debug)]
struct Due {
    at_us: u64,
    sequence: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Heard(Heard),
    Status { observer: usize, retain: bool },
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_us, self.sequence).cmp(&(other.at_us, other.sequence))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact for as many receptions as anybody will simulate"
)]
fn count(receptions: u64) -> f64 {
    receptions as f64
}

/// Seconds as microseconds; 0 for what lies before the start.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a negative time is meant to become 0"
)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
