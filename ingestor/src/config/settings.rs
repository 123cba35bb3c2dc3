//! Retention, the store, and which observers are believed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::error::Findings;
use super::raw::{RawBytes, RawConfig, RawDb, RawRetention, RawStore};
use super::source::iata_set;
use super::{as_seconds, as_seconds_option};

const DAY: u64 = 24 * 60 * 60;
const MEBIBYTE: u64 = 1024 * 1024;

/// How long to keep what; `None` means for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Transmissions and observations: 90 days.
    #[serde(serialize_with = "as_seconds_option")]
    pub packets: Option<Duration>,
    /// Nodes not heard of: 365 days.
    #[serde(serialize_with = "as_seconds_option")]
    pub nodes: Option<Duration>,
    /// Observers not heard of: 365 days.
    #[serde(serialize_with = "as_seconds_option")]
    pub observers: Option<Duration>,
    /// Observer metrics and dropped packets: 30 days.
    #[serde(serialize_with = "as_seconds_option")]
    pub metrics: Option<Duration>,
    /// Client receptions, which say where people were: 30 days.
    #[serde(serialize_with = "as_seconds_option")]
    pub client_receptions: Option<Duration>,
    /// Neighbour edges not seen: 5 days.
    #[serde(serialize_with = "as_seconds_option")]
    pub neighbor_edges: Option<Duration>,
    /// Whether `packets` is our default and nobody's choice.
    #[serde(skip)]
    pub packets_by_default: bool,
    /// Whether `client_receptions` is our default and nobody's choice.
    #[serde(skip)]
    pub client_receptions_by_default: bool,
}

impl Retention {
    pub(super) fn resolve(
        raw: RawRetention,
        neighbor_edges_max_age_days: Option<i64>,
        findings: &mut Findings,
    ) -> Self {
        let RawRetention {
            packet_days,
            node_days,
            observer_days,
            metrics_days,
            client_rx_days,
        } = raw;
        let mut days = |path: &str, value, default| {
            // CoreScope writes "never" as -1 in one place and as 0 in another.
            let days = findings.ranged(path, value, -1..=36_500, default);
            u64::try_from(days)
                .ok()
                .filter(|days| *days > 0)
                .map(|d| Duration::from_secs(d * DAY))
        };
        Self {
            packets_by_default: packet_days.is_none(),
            client_receptions_by_default: client_rx_days.is_none(),
            packets: days("retention.packetDays", packet_days, 90),
            nodes: days("retention.nodeDays", node_days, 365),
            observers: days("retention.observerDays", observer_days, 365),
            metrics: days("retention.metricsDays", metrics_days, 30),
            client_receptions: days("retention.clientRxDays", client_rx_days, 30),
            neighbor_edges: days("neighborEdgesMaxAgeDays", neighbor_edges_max_age_days, 5),
        }
    }
}

/// How large the database may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SizeCap {
    /// The store derives it from the file system.
    Auto,
    /// No cap.
    None,
    /// This many bytes.
    Bytes(u64),
}

/// How the store works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreSettings {
    /// How long to wait for more before a commit: 0.
    #[serde(serialize_with = "as_seconds")]
    pub commit_linger: Duration,
    /// How large the database may grow: automatic.
    pub size_cap: SizeCap,
    /// Space held back to checkpoint with on a full disk: 32 MiB.
    pub ballast_bytes: u64,
    /// Go on upon a file system that SQLite cannot be safe on.
    pub allow_unsupported_filesystem: bool,
    /// Most pages given back at once: 128.
    pub incremental_vacuum_pages: u32,
}

impl StoreSettings {
    pub(super) fn resolve(raw: RawStore, db: RawDb, findings: &mut Findings) -> Self {
        let RawStore {
            commit_linger_ms,
            max_size_bytes,
            ballast_bytes,
            allow_unsupported_filesystem,
        } = raw;
        let RawDb {
            vacuum_on_startup,
            incremental_vacuum_pages,
        } = db;
        if vacuum_on_startup == Some(true) {
            findings.warn(
                "db.vacuumOnStartup",
                "has no effect: files of this program give pages back as they are",
            );
        }
        let linger = findings.ranged("store.commitLingerMs", commit_linger_ms, 0..=10_000, 0);
        let size_cap = match bytes_of("store.maxSizeBytes", max_size_bytes, findings) {
            None => SizeCap::Auto,
            Some(0) => SizeCap::None,
            Some(bytes) if bytes < 16 * MEBIBYTE => {
                findings.problem("store.maxSizeBytes", "must be 0 (no cap) or at least 16Mi");
                SizeCap::Auto
            }
            Some(bytes) => SizeCap::Bytes(bytes),
        };
        let ballast = bytes_of("store.ballastBytes", ballast_bytes, findings);
        let pages = incremental_vacuum_pages;
        let pages = findings.ranged("db.incrementalVacuumPages", pages, 1..=1_000_000, 128);
        Self {
            commit_linger: Duration::from_millis(linger),
            size_cap,
            ballast_bytes: findings.ranged(
                "store.ballastBytes",
                ballast,
                0..=1024 * MEBIBYTE,
                32 * MEBIBYTE,
            ),
            allow_unsupported_filesystem: allow_unsupported_filesystem.unwrap_or(false),
            incremental_vacuum_pages: u32::try_from(pages).unwrap_or(u32::MAX),
        }
    }
}

fn bytes_of(path: &str, raw: Option<RawBytes>, findings: &mut Findings) -> Option<u64> {
    match raw? {
        RawBytes::Number(bytes) => Some(bytes),
        RawBytes::Text(text) => findings.keep(path, read_bytes(&text)),
    }
}

/// Reads `8Gi`, `500M`, `1048576`.
fn read_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" | "B" => Some(1),
        "k" | "K" | "kB" => Some(1000),
        "M" | "MB" => Some(1000_u64.pow(2)),
        "G" | "GB" => Some(1000_u64.pow(3)),
        "T" | "TB" => Some(1000_u64.pow(4)),
        "Ki" | "KiB" => Some(1024),
        "Mi" | "MiB" => Some(MEBIBYTE),
        "Gi" | "GiB" => Some(1024 * MEBIBYTE),
        "Ti" | "TiB" => Some(1024 * 1024 * MEBIBYTE),
        _ => None,
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(n, f)| n.checked_mul(f));
    bytes.ok_or_else(|| {
        "must be a number of bytes, or a text such as \"8Gi\" or \"500M\"".to_owned()
    })
}

/// Which observers are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObserverRules {
    /// Ids that are not listened to, lower case.
    pub blacklist: BTreeSet<String>,
    /// Regions that are listened to, upper case; empty means all.
    pub iata_whitelist: BTreeSet<String>,
    /// How many observers there may be before new ones are refused: 5000. Anyone who may publish can
    /// invent observers.
    pub max: u32,
}

impl ObserverRules {
    /// True if the observer with this id is on the blacklist, in whatever case.
    pub fn is_blocked(&self, observer_id: &str) -> bool {
        !self.blacklist.is_empty() && self.blacklist.contains(&observer_id.to_lowercase())
    }

    pub(super) fn resolve(raw: &mut RawConfig, findings: &mut Findings) -> Self {
        let whitelist = raw.observer_iata_whitelist.take().unwrap_or_default();
        let max = findings.ranged("maxObservers", raw.max_observers, 1..=1_000_000, 5000);
        Self {
            blacklist: lower_case(raw.observer_blacklist.take()),
            iata_whitelist: iata_set("observerIATAWhitelist", &whitelist, findings),
            max: u32::try_from(max).unwrap_or(u32::MAX),
        }
    }
}

/// A list of ids for lookups in whatever case; empty entries are left out.
pub(super) fn lower_case(list: Option<Vec<String>>) -> BTreeSet<String> {
    let ids = list
        .into_iter()
        .flatten()
        .map(|id| id.trim().to_lowercase());
    ids.filter(|id| !id.is_empty()).collect()
}
