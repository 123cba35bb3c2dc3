//! Everything that can be made before anything is sent.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use meshcore_lifecycle::Readiness;
use meshcore_telemetry::{AdminServer, Health, router};
use prometheus_client::registry::Registry;

use super::PROGRAM;
use super::connect::Connection;
use super::work::Work;
use crate::args::{Config, LeaseConfig};
use crate::discovery::{Definition, Discovery};
use crate::health::{Patience, Probe, Watches};
use crate::lease::{Elector, Leadership, Timing, identity};
use crate::metrics::Metrics;

/// The operator before it runs.
pub(super) struct Prepared {
    pub(super) probe: Probe,
    pub(super) discovery: Discovery,
    /// None without an election.
    pub(super) elector: Option<Elector>,
    pub(super) leadership: Leadership,
    pub(super) work: Work,
    metrics: Arc<Metrics>,
    registry: Option<Registry>,
    watches: Watches,
    api_server: String,
}

impl Prepared {
    pub(super) async fn new(config: &Config, readiness: &Readiness) -> Result<Self> {
        let (metrics, registry) = Metrics::new();
        let watches = Watches::default();
        let connection = Connection::new(&metrics, &watches).await?;
        let api_server = connection.server();
        let discovery = Discovery::new(connection.direct()?);
        let probe = Probe::new(
            connection.direct()?,
            api_server.clone(),
            &config.namespaces,
            readiness.clone(),
            watches.clone(),
            Patience::after(config.watch_silence),
            discovery.http_route(),
        );
        let elector = match &config.lease {
            Some(lease) => Some(elector(lease, &connection)?),
            None => None,
        };
        let leadership = elector
            .as_ref()
            .map_or_else(Leadership::without_election, Elector::leadership);
        let work = Work::new(
            connection.clients(&leadership)?,
            &metrics,
            config.settings.clone(),
            discovery.http_route(),
        );
        Ok(Self {
            probe,
            discovery,
            elector,
            leadership,
            work,
            metrics,
            registry: Some(registry),
            watches,
            api_server,
        })
    }

    /// Serves health and metrics, to the end of the process.
    pub(super) fn serve(&mut self, address: SocketAddr, readiness: &Readiness) -> Result<()> {
        let registry = self.registry.take().unwrap_or_default();
        let health = Health::new(readiness.clone(), registry, self.refresh(readiness.clone()))
            .with_liveness(self.probe.verdict());
        let server = AdminServer::start(address, router(health))?;
        tracing::info!(address = %server.address, api_server = self.api_server, "The operator listens");
        Ok(())
    }

    /// Looks up what is only known when somebody asks.
    fn refresh(&self, readiness: Readiness) -> impl Fn() + Send + Sync + use<> {
        let (metrics, leadership) = (Arc::clone(&self.metrics), self.leadership.clone());
        let (watches, definition) = (self.watches.clone(), self.discovery.definition());
        let resources = self.work.resources();
        move || {
            let is_outdated = matches!(*definition.borrow(), Definition::Differs(_));
            metrics.set_state(leadership.holds(), readiness.is_ready());
            metrics.set_crd_outdated(is_outdated);
            metrics.show_watches(&watches);
            resources.show(&metrics);
        }
    }
}

fn elector(lease: &LeaseConfig, connection: &Connection) -> Result<Elector> {
    let pod = ["POD_NAME", "HOSTNAME"]
        .into_iter()
        .find_map(|variable| std::env::var(variable).ok())
        .unwrap_or_else(|| PROGRAM.to_owned());
    let own = connection.namespace();
    let namespace = lease.namespace.as_ref().unwrap_or(&own);
    let identity = identity(&pod)?;
    let client = connection.direct()?;
    Ok(Elector::new(
        client,
        namespace,
        &lease.name,
        &identity,
        Timing::default(),
    ))
}
