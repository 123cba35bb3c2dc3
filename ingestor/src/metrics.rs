//! The ingestor's metrics, registered once and passed to whoever counts.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The label of metrics by source; there are as many as are configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabel {
    /// The source's name.
    pub source: String,
}

/// A source and a word from a bounded set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceKindLabel {
    /// The source's name.
    pub source: String,
    /// The kind of message, or `ignored`.
    pub kind: &'static str,
}

/// A reason from a bounded set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The reason.
    pub reason: String,
}

/// A kind of error from a bounded set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// The kind.
    pub kind: &'static str,
}

/// All metrics of the ingestor. Names begin with `meshcore_`.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Messages by source and kind.
    pub received: Family<SourceKindLabel, Counter>,
    /// Messages that store nothing, by reason.
    pub ignored: Family<ReasonLabel, Counter>,
    /// Frames and payloads that don't decode, by kind.
    pub decode_errors: Family<KindLabel, Counter>,
    /// New packets stored.
    pub transmissions: Counter,
    /// New observations stored.
    pub observations: Counter,
    /// Observations that were there already.
    pub duplicates: Counter,
    /// New adverts with a wrong signature.
    pub bad_signatures: Counter,
    /// Dead letters, by reason.
    pub dropped: Family<ReasonLabel, Counter>,
    /// Records in a commit.
    pub commit_records: Histogram,
    /// Seconds of a commit.
    pub commit_seconds: Histogram,
    /// Bytes of payloads received.
    pub payload_bytes: Counter,
    /// Records that wait for the writer.
    pub queue_depth: Gauge,
    /// Acknowledgements sent.
    pub acks: Counter,
    /// Acknowledgements whose connection was gone.
    pub stale_acks: Counter,
    /// 1 while connected and subscribed.
    pub source_connected: Family<SourceLabel, Gauge>,
    /// Unix seconds of the last message.
    pub source_last_message: Family<SourceLabel, Gauge>,
    /// Connections made.
    pub source_connects: Family<SourceLabel, Counter>,
    /// Connections after which the broker had forgotten our session.
    pub sessions_lost: Family<SourceLabel, Counter>,
    /// Subscriptions that the broker refused.
    pub subscriptions_refused: Family<SourceLabel, Counter>,
    /// Sessions given up because something in them could not be read three times.
    pub sessions_cleared: Family<SourceLabel, Counter>,
    /// Bytes in the WAL.
    pub wal_bytes: Gauge,
    /// Bytes free on the database's disk.
    pub disk_free_bytes: Gauge,
    /// 1 while the disk is full.
    pub disk_full: Gauge,
    /// Damaged files set aside in this process life.
    pub databases_set_aside: Counter,
    /// Packets deleted by retention.
    pub deleted_transmissions: Gauge<i64>,
    /// Bytes this process wrote to storage.
    pub written_bytes: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// Makes the metrics and the registry that shows them.
    pub fn new() -> (Arc<Self>, Registry) {
        let metrics = Self {
            received: Family::default(),
            ignored: Family::default(),
            decode_errors: Family::default(),
            transmissions: Counter::default(),
            observations: Counter::default(),
            duplicates: Counter::default(),
            bad_signatures: Counter::default(),
            dropped: Family::default(),
            commit_records: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            commit_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            payload_bytes: Counter::default(),
            queue_depth: Gauge::default(),
            acks: Counter::default(),
            stale_acks: Counter::default(),
            source_connected: Family::default(),
            source_last_message: Family::default(),
            source_connects: Family::default(),
            sessions_lost: Family::default(),
            subscriptions_refused: Family::default(),
            sessions_cleared: Family::default(),
            wal_bytes: Gauge::default(),
            disk_free_bytes: Gauge::default(),
            disk_full: Gauge::default(),
            databases_set_aside: Counter::default(),
            deleted_transmissions: Gauge::default(),
            written_bytes: Gauge::default(),
        };
        let registry = metrics.register();
        (Arc::new(metrics), registry)
    }

    fn register(&self) -> Registry {
        let mut root = Registry::default();
        {
            let r = root.sub_registry_with_prefix("meshcore");
            r.register(
                "messages_received",
                "MQTT messages by source and kind",
                self.received.clone(),
            );
            r.register(
                "messages_ignored",
                "Messages that store nothing, by reason",
                self.ignored.clone(),
            );
            r.register(
                "decode_errors",
                "Frames and payloads that do not decode",
                self.decode_errors.clone(),
            );
            r.register(
                "transmissions_stored",
                "New packets stored",
                self.transmissions.clone(),
            );
            r.register(
                "observations_stored",
                "New observations stored",
                self.observations.clone(),
            );
            r.register(
                "observations_duplicate",
                "Observations stored before",
                self.duplicates.clone(),
            );
            r.register(
                "adverts_bad_signature",
                "New adverts with a wrong signature",
                self.bad_signatures.clone(),
            );
            r.register(
                "packets_dropped",
                "Dead letters, by reason",
                self.dropped.clone(),
            );
            r.register(
                "commit_records",
                "Records in a commit",
                self.commit_records.clone(),
            );
            r.register_with_unit(
                "commit",
                "Time of a commit",
                Unit::Seconds,
                self.commit_seconds.clone(),
            );
            r.register_with_unit(
                "payload",
                "Bytes of payloads received",
                Unit::Bytes,
                self.payload_bytes.clone(),
            );
            r.register(
                "queue_depth",
                "Records that wait for the writer",
                self.queue_depth.clone(),
            );
            r.register(
                "acks_sent",
                "Messages acknowledged after their commit",
                self.acks.clone(),
            );
            r.register(
                "acks_stale",
                "Acknowledgements whose connection was gone",
                self.stale_acks.clone(),
            );
            r.register(
                "source_connected",
                "1 while connected and subscribed",
                self.source_connected.clone(),
            );
            r.register(
                "source_last_message_timestamp_seconds",
                "When the last message came",
                self.source_last_message.clone(),
            );
            r.register(
                "source_connects",
                "Connections made",
                self.source_connects.clone(),
            );
            r.register(
                "source_sessions_lost",
                "Connections without our session",
                self.sessions_lost.clone(),
            );
            r.register(
                "source_subscriptions_refused",
                "Subscriptions the broker refused",
                self.subscriptions_refused.clone(),
            );
            r.register(
                "source_sessions_cleared",
                "Sessions given up because something in them can't be read",
                self.sessions_cleared.clone(),
            );
            r.register_with_unit(
                "wal",
                "Size of the WAL",
                Unit::Bytes,
                self.wal_bytes.clone(),
            );
            r.register_with_unit(
                "disk_free",
                "Room on the disk",
                Unit::Bytes,
                self.disk_free_bytes.clone(),
            );
            r.register(
                "disk_full",
                "1 while the disk is full and nothing is acknowledged",
                self.disk_full.clone(),
            );
            r.register(
                "databases_set_aside",
                "Damaged databases set aside in this process life",
                self.databases_set_aside.clone(),
            );
            r.register(
                "transmissions_deleted",
                "Packets deleted by retention in this process life",
                self.deleted_transmissions.clone(),
            );
            r.register_with_unit(
                "storage_written",
                "Bytes this process wrote to storage",
                Unit::Bytes,
                self.written_bytes.clone(),
            );
        }
        root
    }

    /// Looks up what is only known when somebody asks: the disk and this process's I/O.
    pub fn refresh(&self, db: &std::path::Path) {
        let folder = db
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(std::path::Path::new("."));
        if let Ok((free, _)) = meshcore_store::free_and_total_bytes(folder) {
            self.disk_free_bytes
                .set(i64::try_from(free).unwrap_or(i64::MAX));
        }
        let mut wal = db.as_os_str().to_owned();
        wal.push("-wal");
        self.wal_bytes
            .set(std::fs::metadata(wal).map_or(0, |m| i64::try_from(m.len()).unwrap_or(i64::MAX)));
        let written = std::fs::read_to_string("/proc/self/io")
            .ok()
            .and_then(|text| {
                text.lines()
                    .find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok())
            });
        if let Some(bytes) = written {
            self.written_bytes.set(bytes);
        }
    }
}
