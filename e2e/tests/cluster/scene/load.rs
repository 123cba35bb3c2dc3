//! A mesh that publishes all the time, and knows what the broker has acknowledged.

use std::time::Duration;

use meshcore_testkit::{Publisher, numbered_packet};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Broker, SOON};

/// Packets published at QoS 1, each with a hash of its own.
pub(crate) struct Load {
    stop: CancellationToken,
    task: JoinHandle<(Publisher, Vec<String>)>,
}

impl Load {
    /// Publishes `rate` packets a second from number `first` on.
    pub(crate) fn start(broker: &Broker, first: u64, rate: u32) -> Self {
        let publisher = Publisher::start_at(&broker.address, 1883, &format!("mesh-{first}"), 100);
        let stop = CancellationToken::new();
        let period = Duration::from_secs(1) / rate;
        let task = tokio::spawn(publish(publisher.unwrap(), first, period, stop.clone()));
        Self { stop, task }
    }

    /// Stops, and waits until the broker has acknowledged everything: the hashes of all packets.
    pub(crate) async fn finish(self) -> Vec<String> {
        self.stop.cancel();
        let (publisher, hashes) = self.task.await.unwrap();
        publisher.flush(SOON).await.unwrap();
        hashes
    }
}

async fn publish(
    mut publisher: Publisher,
    first: u64,
    period: Duration,
    stop: CancellationToken,
) -> (Publisher, Vec<String>) {
    let mut clock = tokio::time::interval(period);
    let mut hashes = Vec::new();
    for number in first.. {
        clock.tick().await;
        if stop.is_cancelled() {
            break;
        }
        let packet = numbered_packet(number);
        publisher
            .publish(&packet.topic, packet.payload)
            .await
            .unwrap();
        hashes.push(packet.hash);
    }
    (publisher, hashes)
}
