//! What only a leader does: the controller, and the watch of the pods.

use std::sync::Arc;

use meshcore_lifecycle::Cause;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::args::Config;
use crate::build::HttpRouteApi;
use crate::cache::Key;
use crate::clients::Clients;
use crate::context::{Context, Triggered};
use crate::controller::{self, Options};
use crate::last_shutdown;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// The controller before it runs.
pub(super) struct Work {
    context: Arc<Context>,
    triggered: Triggered,
}

/// The controller while it runs.
pub(super) struct Working {
    controller: JoinHandle<()>,
    pods: JoinHandle<()>,
    stop: CancellationToken,
}

impl Work {
    pub(super) fn new(
        clients: Clients,
        metrics: &Arc<Metrics>,
        settings: Settings,
        http_route: watch::Receiver<Option<HttpRouteApi>>,
    ) -> Self {
        let (context, triggered) = Context::new(clients, settings, Arc::clone(metrics), http_route);
        Self {
            context: Arc::new(context),
            triggered,
        }
    }

    /// The resources, as far as metrics count them.
    pub(super) fn resources(&self) -> Resources {
        Resources {
            context: Arc::clone(&self.context),
        }
    }

    /// Begins.
    pub(super) fn start(self, config: &Config) -> Working {
        let Self { context, triggered } = self;
        let stop = CancellationToken::new();
        let options = Options {
            concurrency: config.concurrency,
            resync: config.resync,
            ..Options::new(config.namespaces.clone())
        };
        let trigger = context.trigger.clone();
        let pods = last_shutdown::watch(
            context.clients.watch.clone(),
            config.namespaces.clone(),
            context.last_shutdowns.clone(),
            move |resource| trigger.touched(Key::new(&resource.namespace, &resource.name)),
        );
        Working {
            pods: tokio::spawn(pods),
            controller: tokio::spawn(controller::run(context, triggered, options, stop.clone())),
            stop,
        }
    }
}

/// The resources that the controller knows.
pub(super) struct Resources {
    context: Arc<Context>,
}

impl Resources {
    /// Counts them by condition. They are kept as JSON, of which only this is read.
    pub(super) fn show(&self, metrics: &Metrics) {
        let cache = &self.context.cache;
        let known = cache
            .keys()
            .into_iter()
            .filter_map(|key| cache.resource(&key));
        metrics.show_resources(known.map(|resource| {
            // One that can't be read has no conditions, and is one all the same.
            let outline: Outline = serde_json::from_slice(&resource.json).unwrap_or_default();
            let conditions = outline.status.conditions.into_iter();
            conditions.map(|condition| (condition.r#type, condition.status))
        }));
    }
}

#[derive(Default, Deserialize)]
struct Outline {
    #[serde(default)]
    status: OutlinedStatus,
}

#[derive(Default, Deserialize)]
struct OutlinedStatus {
    #[serde(default)]
    conditions: Vec<OutlinedCondition>,
}

#[derive(Deserialize)]
struct OutlinedCondition {
    r#type: String,
    status: String,
}

impl Working {
    /// Waits for an end that nobody asked for: a panic, since neither task ends by itself.
    pub(super) async fn ended(&mut self) -> Cause {
        tokio::select! {
            ended = &mut self.controller => Cause::task_ended("controller", ended),
            ended = &mut self.pods => Cause::task_ended("pods", ended),
        }
    }

    /// Begins nothing new, and waits until what runs has ended.
    pub(super) async fn drained(&mut self) -> Result<(), JoinError> {
        self.stop.cancel();
        self.pods.abort();
        if self.controller.is_finished() {
            return Ok(());
        }
        (&mut self.controller).await
    }

    /// Ends what runs where it is.
    pub(super) async fn cut(mut self) {
        self.stop.cancel();
        self.pods.abort();
        self.controller.abort();
        if !self.controller.is_finished() {
            // An abort takes effect at the next await, and this waits for it.
            drop((&mut self.controller).await);
        }
    }
}
