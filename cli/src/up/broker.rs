//! The embedded broker: rumqttd, on loopback, in memory.
//!
//! What one must know about it (0.20, read and tried):
//! - A port speaks one version of MQTT. Feeders speak 3.1.1, so this one does; the source is told so, since finding
//!   it out costs `auto` two refused connections.
//! - Messages are kept in a log for each topic filter, in segments that stay after delivery. When all are full, the
//!   oldest goes, delivered or not: that bounds the memory, and how much a stopped ingestor can miss.
//! - Messages at `QoS` 0 are delivered at the subscription's `QoS`.
//! - Its tasks end with the process, and with them every session.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rumqttd::protocol::v4::V4;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, Server, ServerSettings};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The port that feeders expect a broker at.
pub(super) const USUAL_PORT: u16 = 1883;
/// The ingestor counts payloads over 64 KiB and drops them; the default here would be refused long before.
const MAX_PAYLOAD: usize = 1024 * 1024;
/// 8 segments of 8 MiB are some 100,000 packets for each topic filter that somebody subscribes to.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
const SEGMENTS: usize = 8;
/// Feeders of one community; each place costs a few hundred bytes at once.
const MAX_CONNECTIONS: usize = 1_000;
/// How long it may take until it listens.
const START: Duration = Duration::from_secs(5);

/// A running broker. It ends with this value, but for the thread that routes, which ends with the process.
pub(super) struct EmbeddedBroker {
    address: SocketAddr,
    server: JoinHandle<anyhow::Error>,
    is_routing: Box<dyn Fn() -> bool + Send>,
}

impl EmbeddedBroker {
    /// Starts a broker on loopback: on `port`, else on the usual one or, where that is taken, on any.
    pub(super) async fn start(port: Option<u16>) -> anyhow::Result<Self> {
        if let Some(port) = port {
            return Self::start_on(port).await;
        }
        match Self::start_on(USUAL_PORT).await {
            Ok(broker) => Ok(broker),
            Err(_) => Self::start_on(0).await,
        }
    }

    async fn start_on(port: u16) -> anyhow::Result<Self> {
        let address = free_address(port)?;
        let router = Router::new(0, router_config()).spawn();
        let watched = router.clone();
        let mut server = Server::new(settings(address), router, V4);
        let server = tokio::spawn(async move {
            match server.start(LinkType::Remote).await {
                Ok(()) => anyhow!("it stopped listening"),
                Err(error) => anyhow!("{error}"),
            }
        });
        let mut broker = Self {
            address,
            server,
            is_routing: Box::new(move || !watched.is_disconnected()),
        };
        broker.wait_until_it_listens().await?;
        Ok(broker)
    }

    async fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        let connecting = async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Whoever took the port in between answers as well; ours has ended by then.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        tokio::select! {
            biased;
            ended = &mut self.server => bail!("the embedded broker can't start: {}", ended?),
            connected = tokio::time::timeout(START, connecting) => {
                connected.context("the embedded broker does not answer")
            }
        }
    }

    /// Its address as sources write it.
    pub(super) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// Waits until it ends, which it should not; gives the reason.
    pub(super) async fn ended(&mut self) -> String {
        let mut look = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                ended = &mut self.server => return match ended {
                    Ok(error) => error.to_string(),
                    Err(panic) => panic.to_string(),
                },
                _ = look.tick() => if !(self.is_routing)() {
                    return "its router has ended".to_owned();
                },
            }
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The port on loopback, which must be free; a free one for 0.
fn free_address(port: u16) -> anyhow::Result<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = super::place::listen(address, "embedded broker", "--broker-port")?;
    Ok(listener.local_addr()?)
}

fn router_config() -> RouterConfig {
    RouterConfig {
        max_connections: MAX_CONNECTIONS,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    }
}

fn settings(listen: SocketAddr) -> ServerSettings {
    ServerSettings {
        name: "embedded".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: MAX_PAYLOAD,
            max_inflight_count: 500,
            auth: None,
            external_auth: None,
            dynamic_filters: false,
        },
    }
}
