//! The way to the API server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::{Client, Config};

use crate::clients::{Clients, Timeouts, WatchBuilder};
use crate::health::Watches;
use crate::lease::{Leadership, WriteGate};
use crate::metrics::{Metrics, ObserveApi};

/// How long a connection may take to be made: a server that is away must not hold up what could be tried again.
const CONNECT: Duration = Duration::from_secs(5);

/// The way to the API server, from which clients are made.
pub(super) struct Connection {
    config: Config,
    metrics: Arc<Metrics>,
    watches: Watches,
}

impl Connection {
    /// Finds the way. Nothing is sent yet.
    pub(super) async fn new(metrics: &Arc<Metrics>, watches: &Watches) -> Result<Self> {
        // kube takes the process's default; a second program in this process may have set one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut config = Config::infer().await.context(
            "there is no way to an API server: set KUBECONFIG, or make ~/.kube/config, or run in a pod with a service \
             account",
        )?;
        config.connect_timeout = Some(CONNECT);
        Ok(Self {
            config,
            metrics: Arc::clone(metrics),
            watches: watches.clone(),
        })
    }

    /// Where the API server is.
    pub(super) fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// The namespace of the kubeconfig, or of the pod.
    pub(super) fn namespace(&self) -> String {
        self.config.default_namespace.clone()
    }

    /// The clients of the controller: one that watches, and one that writes while `leadership` holds.
    pub(super) fn clients(&self, leadership: &Leadership) -> Result<Clients> {
        let watching = ObserveApi::watching(Arc::clone(&self.metrics), self.watches.clone());
        let writing = ObserveApi::new(Arc::clone(&self.metrics));
        let gate = WriteGate::new(leadership.clone());
        let clients = Clients::with(
            &self.config,
            Timeouts::default(),
            |builder| builder.with_layer(&watching).build(),
            |builder| builder.with_layer(&writing).with_layer(&gate).build(),
        );
        clients.context("no client can be made of this kubeconfig")
    }

    /// A client with connections of its own, for what must work whatever the controller's do.
    pub(super) fn direct(&self) -> Result<Client> {
        let observe = ObserveApi::new(Arc::clone(&self.metrics));
        let clients = Clients::with(
            &self.config,
            Timeouts::default(),
            WatchBuilder::build,
            |builder| builder.with_layer(&observe).build(),
        );
        Ok(clients
            .context("no client can be made of this kubeconfig")?
            .write)
    }
}
