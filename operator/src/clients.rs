//! Two clients: one that watches, whose answers may take for ever, and one for all else, whose answers may not.

mod pace;

use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use kube::client::{Body, ClientBuilder, DynBody};
use kube::{Client, Config};
use tower::BoxError;
use tower::util::BoxService;

pub use pace::{Pace, Paced};

/// How long to wait for answers.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a part of an answer. Every request is small; an answer that takes longer won't come.
    pub answer: Duration,
    /// For the beginning of a watch or of the list before it. A list may be long, and wait in the server's queue.
    pub watch: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            watch: Duration::from_mins(1),
        }
    }
}

/// Who asks, for the API server's logs.
const AGENT: &str = concat!("meshcore-operator/", env!("CARGO_PKG_VERSION"));

/// A client that layers can be put around.
pub type Builder = ClientBuilder<Sending>;

/// The same for watches.
pub type WatchBuilder = ClientBuilder<Paced<Sending>>;

type Sending = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// The two clients.
#[derive(Clone)]
pub struct Clients {
    /// For watches and the lists before them. Only the beginning of an answer has a time-out: a watcher notices by
    /// itself when nothing comes later.
    pub watch: Client,
    /// For all else.
    pub write: Client,
}

impl Clients {
    /// The clients of a configuration.
    ///
    /// # Errors
    /// A configuration that no client can be made of.
    pub fn new(config: &Config) -> kube::Result<Self> {
        Self::with(
            config,
            Timeouts::default(),
            WatchBuilder::build,
            Builder::build,
        )
    }

    /// The same, with layers: `watch` and `write` put theirs around and build. They see each request as it is sent,
    /// once, since neither client sends one again by itself.
    ///
    /// # Errors
    /// A configuration that no client can be made of.
    pub fn with(
        config: &Config,
        timeouts: Timeouts,
        watch: impl FnOnce(WatchBuilder) -> Client,
        write: impl FnOnce(Builder) -> Client,
    ) -> kube::Result<Self> {
        let mut config = config.clone();
        // A request that the server is too busy for goes back to the queue and frees its worker. The client would hold
        // it, by default for up to a quarter of an hour.
        config.default_retry = false;
        config.read_timeout = None;
        config
            .headers
            .push((USER_AGENT, HeaderValue::from_static(AGENT)));
        let pace = Pace::new(timeouts.watch);
        let watch = watch(Builder::try_from(config.clone())?.with_layer(&pace));
        config.read_timeout = Some(timeouts.answer);
        // Counted from the request, not from when the connection fell idle before it.
        config.reset_reader_on_write = true;
        let write = write(Builder::try_from(config)?);
        Ok(Self { watch, write })
    }
}
