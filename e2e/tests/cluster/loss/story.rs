//! A mesh that publishes all the time, and what happens meanwhile, one thing after the other.

use std::time::Duration;

use serde_json::Value;

use crate::figures::seconds;
use crate::scene::{Availability, Broker, Load, Scene};

/// Packets a second.
const RATE: u32 = 50;

/// An analyzer that goes through incidents.
pub(super) struct Story {
    pub(super) scene: Scene,
    pub(super) broker: Broker,
    page: String,
    incidents: Vec<Incident>,
}

struct Incident {
    name: &'static str,
    packets: Vec<String>,
    page_gap: Duration,
}

impl Story {
    /// A broker and an analyzer that is Ready.
    pub(super) async fn begin(scene: Scene, spec: &Value) -> Self {
        let broker = Broker::start(&scene).await;
        scene.deploy(spec).await;
        let page = scene.page().await;
        Self {
            scene,
            broker,
            page,
            incidents: Vec::new(),
        }
    }

    /// Publishes before, while and after `what` happens. It is over when packets that came after it are seen.
    pub(super) async fn incident(&mut self, name: &'static str, what: impl AsyncFnOnce(&Self)) {
        let before = self.packets().await;
        let first = 1_000_000 * self.incidents.len() as u64;
        let load = Load::start(&self.broker, first, RATE);
        let availability = Availability::of(&self.page);
        self.flow().await;
        what(self).await;
        self.flow().await;
        let packets = load.finish().await;
        let page = &self.page;
        let all = before + packets.len();
        self.scene.wait_for_packets(page, all).await;
        self.incidents.push(Incident {
            name,
            packets,
            page_gap: availability.gap().await,
        });
    }

    /// Stops the analyzer, looks for every packet in its database, and notes the gaps.
    pub(super) async fn end(self) {
        let packets: Vec<_> = self.incidents.iter().map(|one| &one.packets[..]).collect();
        let gaps = self.scene.stop_and_check_each(&packets).await;
        for (incident, gap) in self.incidents.iter().zip(gaps) {
            let note = |of: &str, value: String| {
                self.scene
                    .figure(&format!("{}: {of}", incident.name), value, "");
            };
            let packets = incident.packets.len();
            note("packets, each stored once", packets.to_string());
            note("gap of the page", seconds(incident.page_gap));
            note("gap of ingest", seconds(gap));
        }
    }

    /// Waits until a second's packets more are seen.
    async fn flow(&self) {
        let before = self.packets().await;
        let more = before + RATE as usize;
        self.scene.wait_for_packets(&self.page, more).await;
    }

    /// How many packets the page knows.
    async fn packets(&self) -> usize {
        self.scene.wait_for_packets(&self.page, 0).await
    }
}
