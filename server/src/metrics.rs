//! The server's metrics, registered once and passed to whoever counts. Names begin with `meshcore_server_`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use meshcore_lifecycle::Readiness;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::database::Database;
use crate::http::Places;

/// A route's template and the class of a status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabel {
    /// The template, such as `/api/packets/{hash}`, or `other`.
    pub(crate) route: String,
    /// `2xx` and so on.
    pub(crate) status: &'static str,
}

/// A route's template.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabel {
    /// The template, or `other`.
    pub(crate) route: String,
}

/// A word from a bounded set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    /// The word.
    pub(crate) reason: &'static str,
}

/// How a WebSocket client is served.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ModeLabel {
    /// `single` or `batched`.
    pub(crate) mode: &'static str,
}

/// All metrics of the server.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Requests by route and class of status.
    pub(crate) requests: Family<RequestLabel, Counter>,
    /// Seconds until an answer begins, by route.
    pub(crate) request_seconds: Family<RouteLabel, Histogram>,
    /// Connections, WebSockets and the reserve included.
    pub(crate) connections: Gauge,
    /// Connections that did not get what they came for, by reason.
    pub(crate) connections_refused: Family<ReasonLabel, Counter>,
    /// Connections closed because a time limit passed, by limit.
    pub(crate) connections_closed: Family<ReasonLabel, Counter>,
    /// WebSocket clients.
    pub(crate) clients: Family<ModeLabel, Gauge>,
    /// WebSocket clients that have gone, by reason.
    pub(crate) clients_gone: Family<ReasonLabel, Counter>,
    /// WebSocket frames with packets in them that were sent.
    pub(crate) frames_sent: Family<ModeLabel, Counter>,
    /// Messages of WebSocket clients that mean nothing here.
    pub(crate) messages_ignored: Counter,
    /// Sessions resumed, by how it went.
    pub(crate) resumes: Family<ReasonLabel, Counter>,
    /// Gap notices, by reason.
    pub(crate) gaps: Family<ReasonLabel, Counter>,
    /// Rows read for the live feed.
    pub(crate) rows_tailed: Counter,
    /// Seconds from a message's arrival at the ingestor until its row was in the live feed.
    pub(crate) tail_lag_seconds: Histogram,
    /// Seconds that the oldest query has been running.
    pub(crate) oldest_reader_seconds: Gauge<f64, AtomicU64>,
    /// Times the database was opened.
    pub(crate) database_opens: Counter,
    /// 1 while the server is ready.
    pub(crate) ready: Gauge,
}

/// Half a millisecond to 16 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Metrics {
    /// Makes the metrics and the registry that shows them.
    pub(crate) fn new() -> (Arc<Self>, Registry) {
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            connections_closed: Family::default(),
            clients: Family::default(),
            clients_gone: Family::default(),
            frames_sent: Family::default(),
            messages_ignored: Counter::default(),
            resumes: Family::default(),
            gaps: Family::default(),
            rows_tailed: Counter::default(),
            tail_lag_seconds: seconds(),
            oldest_reader_seconds: Gauge::default(),
            database_opens: Counter::default(),
            ready: Gauge::default(),
        };
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("meshcore_server");
        metrics.register_http(registry);
        metrics.register_live(registry);
        metrics.register_database(registry);
        (Arc::new(metrics), root)
    }

    fn register_http(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests by route and class of status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request",
            "Time until an answer begins, by route",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        registry.register(
            "connections",
            "Connections, WebSockets included",
            self.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections that did not get what they came for, by reason",
            self.connections_refused.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections closed because a time limit passed, by limit",
            self.connections_closed.clone(),
        );
        registry.register("ready", "1 while the server is ready", self.ready.clone());
    }

    fn register_live(&self, registry: &mut Registry) {
        registry.register(
            "websocket_clients",
            "WebSocket clients by mode",
            self.clients.clone(),
        );
        registry.register(
            "websocket_clients_gone",
            "WebSocket clients that have gone, by reason",
            self.clients_gone.clone(),
        );
        registry.register(
            "websocket_frames_sent",
            "WebSocket frames with packets that were sent, by mode",
            self.frames_sent.clone(),
        );
        registry.register(
            "websocket_messages_ignored",
            "Messages of WebSocket clients that mean nothing here",
            self.messages_ignored.clone(),
        );
        registry.register(
            "websocket_resumes",
            "Sessions resumed, by where the missed packets were",
            self.resumes.clone(),
        );
        registry.register(
            "websocket_gaps",
            "Gap notices sent, by reason",
            self.gaps.clone(),
        );
    }

    fn register_database(&self, registry: &mut Registry) {
        registry.register(
            "rows_tailed",
            "Rows read for the live feed",
            self.rows_tailed.clone(),
        );
        registry.register_with_unit(
            "tail_lag",
            "Time from a message's arrival at the ingestor until its row was in the live feed",
            Unit::Seconds,
            self.tail_lag_seconds.clone(),
        );
        registry.register_with_unit(
            "oldest_reader",
            "How long the oldest query has been running",
            Unit::Seconds,
            self.oldest_reader_seconds.clone(),
        );
        registry.register(
            "database_opens",
            "Times the database was opened, so one more than reopened",
            self.database_opens.clone(),
        );
    }

    /// Looks up what is only known when somebody asks.
    pub(crate) fn refresh(&self, places: &Places, database: &Database, readiness: &Readiness) {
        let connections = i64::try_from(places.len()).unwrap_or(i64::MAX);
        self.connections.set(connections);
        self.oldest_reader_seconds
            .set(database.oldest_query().as_secs_f64());
        self.ready.set(readiness.is_ready().into());
    }

    /// Counts a connection that did not get what it came for.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.connections_refused
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }
}
