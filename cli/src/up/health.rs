//! Asks the programs how they are, over their own ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use meshcore_lifecycle::{ReadinessSnapshot, Status};
use meshcore_telemetry::plain_http;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// A program on this machine that takes longer is not well.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What `/health/ready` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// Started, but something keeps it from its work.
    NotReady(String),
    Starting(String),
    Silent,
}

/// One entry of the ingestor's `/sources`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SourceState {
    pub(super) name: String,
    pub(super) connected: bool,
    pub(super) protocol: String,
    pub(super) problem: Option<String>,
}

/// Whether the program at `address` is ready.
pub(super) async fn readiness(address: SocketAddr) -> Readiness {
    match get::<ReadinessSnapshot>(address, "/health/ready").await {
        None => Readiness::Silent,
        Some(snapshot) if snapshot.is_ready() => Readiness::Ready,
        Some(snapshot) => {
            let reasons: Vec<_> = snapshot.reasons.into_values().collect();
            let reasons = reasons.join("; ");
            match snapshot.status {
                Status::NotReady => Readiness::NotReady(reasons),
                _ => Readiness::Starting(reasons),
            }
        }
    }
}

/// The state of each source of the ingestor at `address`.
pub(super) async fn sources(address: SocketAddr) -> Option<Vec<SourceState>> {
    get(address, "/sources").await
}

/// A JSON answer, whatever its status; none when there is no such answer.
async fn get<T: DeserializeOwned>(address: SocketAddr, path: &str) -> Option<T> {
    let host = reachable(address).to_string();
    let answer = timeout(TIMEOUT, plain_http::get(&host, path)).await;
    let (_, body) = answer.ok()?.ok()?;
    serde_json::from_slice(&body).ok()
}

/// Who listens on every address is asked on loopback.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
