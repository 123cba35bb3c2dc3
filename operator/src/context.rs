//! What every reconcile needs: clients, what the watches have seen, and those who want to hear of it.

use std::sync::Arc;

use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::{mpsc, watch};

use crate::build::HttpRouteApi;
use crate::cache::{Cache, Key};
use crate::clients::Clients;
use crate::controller::WatchTroubles;
use crate::last_shutdown::LastShutdowns;
use crate::metrics::Metrics;
use crate::names;
use crate::settings::Settings;

/// What every reconcile needs.
pub struct Context {
    /// The two clients.
    pub clients: Clients,
    /// What shapes objects.
    pub settings: Settings,
    /// What the watches have seen.
    pub cache: Cache,
    /// The operator's metrics.
    pub metrics: Arc<Metrics>,
    /// How pods ended.
    pub last_shutdowns: LastShutdowns,
    /// Asks for reconciles.
    pub trigger: Trigger,
    pub(crate) watch_troubles: WatchTroubles,
    pub(crate) recorder: Recorder,
    pub(crate) http_route: watch::Receiver<Option<HttpRouteApi>>,
}

impl Context {
    /// A context, and what its [`Trigger`] asks for, which is for [`crate::controller::run`].
    ///
    /// `http_route` says how the cluster serves `HTTPRoute`, and may change its mind.
    pub fn new(
        clients: Clients,
        settings: Settings,
        metrics: Arc<Metrics>,
        http_route: watch::Receiver<Option<HttpRouteApi>>,
    ) -> (Self, Triggered) {
        let reporter = Reporter::from(names::FIELD_MANAGER);
        let (trigger, triggered) = trigger();
        let context = Self {
            recorder: Recorder::new(clients.write.clone(), reporter),
            clients,
            settings,
            cache: Cache::default(),
            metrics,
            last_shutdowns: LastShutdowns::default(),
            trigger,
            watch_troubles: WatchTroubles::default(),
            http_route,
        };
        (context, triggered)
    }

    /// The version of `HTTPRoute` that the cluster serves, or the usual one.
    pub(crate) fn http_route_version(&self) -> String {
        let api = self.http_route.borrow();
        api.as_ref()
            .map_or_else(|| "v1".to_owned(), |api| api.version.clone())
    }
}

/// Asks for reconciles.
#[derive(Clone, Debug)]
pub struct Trigger {
    sender: mpsc::UnboundedSender<Asked>,
}

/// What a [`Trigger`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The resource itself has changed.
    Changed(Key),
    /// Something about it has; more of that may follow.
    Touched(Key),
    /// Something has changed that concerns all.
    All,
}

/// The other end of a [`Trigger`].
#[derive(Debug)]
pub struct Triggered {
    pub(crate) receiver: mpsc::UnboundedReceiver<Asked>,
}

/// The channel is unbounded, since a watch must not wait for reconciles that wait for a watch. It is emptied at once,
/// into a queue that has each key once.
fn trigger() -> (Trigger, Triggered) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Trigger { sender }, Triggered { receiver })
}

impl Trigger {
    /// The resource itself has changed: it is reconciled at once.
    pub fn changed(&self, key: Key) {
        self.send(Asked::Changed(key));
    }

    /// Something about the resource has changed: it is reconciled soon.
    pub fn touched(&self, key: Key) {
        self.send(Asked::Touched(key));
    }

    /// Something has changed that concerns all resources.
    pub fn all(&self) {
        self.send(Asked::All);
    }

    fn send(&self, asked: Asked) {
        // Nobody listens when the controller has ended, and nothing is to be done then.
        drop(self.sender.send(asked));
    }
}
