//! A publisher at QoS 1 that never gives up: what it was asked to publish is published, whatever the broker
//! goes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use rumqttc_v4::{AsyncClient, Broker, Event, Incoming, MqttOptions, PublishOptions};
use tokio::task::JoinHandle;

/// A publisher; it ends with this value.
#[derive(Debug)]
pub struct Publisher {
    client: AsyncClient,
    acknowledged: Arc<AtomicU64>,
    published: u64,
    driver: JoinHandle<()>,
}

impl Publisher {
    /// Connects to the broker at `port`; `in_flight` messages may be unacknowledged.
    pub fn start(port: u16, client_id: &str, in_flight: u16) -> Result<Self> {
        Self::start_at("127.0.0.1", port, client_id, in_flight)
    }

    /// [`Self::start`] for a broker elsewhere.
    pub fn start_at(host: &str, port: u16, client_id: &str, in_flight: u16) -> Result<Self> {
        let mut options = MqttOptions::new(client_id, Broker::tcp(host, port));
        options
            .set_clean_session(false)
            .set_inflight(in_flight)
            .set_max_request_batch(256)
            .set_read_batch_size(256)
            .set_max_packet_size(32 << 20, 32 << 20);
        let (client, mut events) = AsyncClient::builder(options).capacity(1_000).try_build()?;
        let acknowledged = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&acknowledged);
        let driver = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Incoming::PubAck(_))) => {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(Self {
            client,
            acknowledged,
            published: 0,
            driver,
        })
    }

    /// Publishes at QoS 1; waits while too much is unacknowledged.
    pub async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<()> {
        self.client
            .publish(topic, payload, PublishOptions::at_least_once())
            .await?;
        self.published += 1;
        Ok(())
    }

    /// Publishes at QoS 1 what the broker keeps for subscribers to come.
    pub async fn publish_retained(&mut self, topic: &str, payload: Vec<u8>) -> Result<()> {
        let options = PublishOptions::at_least_once().retain(true);
        self.client.publish(topic, payload, options).await?;
        self.published += 1;
        Ok(())
    }

    /// Publishes at QoS 0: nobody says whether it arrives.
    pub async fn publish_unacknowledged(&mut self, topic: &str, payload: Vec<u8>) -> Result<()> {
        self.client
            .publish(topic, payload, PublishOptions::at_most_once())
            .await?;
        Ok(())
    }

    /// How many messages the broker has acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until the broker has acknowledged everything.
    ///
    /// # Errors
    /// When it has not after `limit`.
    pub async fn flush(&self, limit: Duration) -> Result<()> {
        let until = tokio::time::Instant::now() + limit;
        while self.acknowledged() < self.published {
            anyhow::ensure!(
                tokio::time::Instant::now() < until,
                "the broker acknowledged {} of {}",
                self.acknowledged(),
                self.published
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
