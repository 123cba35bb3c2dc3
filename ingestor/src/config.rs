//! The ingestor's configuration: flags, environment and file become one checked [`Config`].
//!
//! Precedence, for every value that can be given in more than one place:
//! **flags, then environment, then file, then defaults.** There is no merging: `MQTT_BROKER`
//! replaces all sources of the file, and a warning says so.
//!
//! `DB_PATH`, `MQTT_BROKER` and `MQTT_TOPIC` alone are enough. The file is JSON or YAML with the key
//! names of CoreScope, so an existing one works as it is; keys that are not known give a warning.
//! Relative paths are relative to the working directory. The shutdown budget is not read here but
//! by `meshcore-lifecycle`.

mod args;
mod channels;
mod credentials;
mod error;
mod geo;
mod raw;
mod secret;
mod settings;
mod source;
mod sources;
mod tls;
mod token;
mod unknown;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use meshcore_config::{BrokerUrl, DEFAULT_TOPIC, Scheme, check_topic_filter, covers};
use serde::{Serialize, Serializer};

pub use self::args::Args;
pub use self::channels::{ChannelKey, Channels};
pub use self::credentials::Credentials;
pub use self::error::{ConfigError, Problem, Warning};
pub use self::geo::{ForeignAdverts, GeoFilter};
pub use self::secret::{Secret, SecretError, SecretSource};
pub use self::settings::{ObserverRules, Retention, SizeCap, StoreSettings};
pub use self::source::{Protocol, Qos, Source};
pub use self::tls::{ClientCertificate, TlsSettings};
pub use self::token::{PrivateKey, TokenSignIn};

use self::error::Findings;
use self::raw::RawFile;
use self::sources::BrokerArgs;

/// Where the database is when nothing is said.
const DEFAULT_DB_PATH: &str = "data/meshcore.db";

/// The configuration that the program runs with. Secrets in it do not print.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The database file.
    pub db_path: PathBuf,
    /// At least one, with distinct names.
    pub sources: Vec<Source>,
    /// Which channels to read.
    pub channels: Channels,
    /// Names of scopes, each with its `#`.
    pub regions: Vec<String>,
    /// How long to keep what.
    pub retention: Retention,
    /// Which observers are believed.
    pub observers: ObserverRules,
    /// Nodes that are not stored, lower-case keys.
    pub node_blacklist: BTreeSet<String>,
    /// How often a sample of an observer's measurements is kept.
    #[serde(serialize_with = "as_seconds")]
    pub metrics_interval: Duration,
    /// Read what phones report, with their positions.
    pub client_rx_coverage: bool,
    /// Verify the signatures of adverts.
    pub validate_signatures: bool,
    /// The area that the mesh is in.
    pub geo_filter: Option<GeoFilter>,
    /// What becomes of adverts from outside it.
    pub foreign_adverts: ForeignAdverts,
    /// How many messages may wait for the store.
    pub queue_messages: usize,
    /// How the store works.
    pub store: StoreSettings,
    /// What to log.
    pub log_level: String,
    /// Where health and metrics are served.
    pub health_address: SocketAddr,
}

/// A configuration, and what is worth a line in the log once there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// To be logged, in this order.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads the file that `args` name, if any, and resolves everything.
    ///
    /// # Errors
    /// When the file cannot be read, or when values cannot be used: then all of them are told.
    pub fn load(args: Args) -> Result<Loaded, ConfigError> {
        let file = read_file(&args)?;
        resolve(args, file)
    }

    /// The configuration as JSON for the start log: secrets are masked.
    pub fn redacted(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Where an ingestor with these `args` serves health and metrics. Nothing else of its settings is looked at.
///
/// # Errors
/// When the file cannot be read, or the address cannot be used.
pub fn health_address(args: &Args) -> Result<SocketAddr, ConfigError> {
    let file = read_file(args)?;
    let mut findings = Findings::default();
    let address = text_or(args.health_address.clone(), file.config.health_address);
    let address = resolve_address(address, &mut findings);
    if findings.problems.is_empty() {
        return Ok(address);
    }
    Err(ConfigError::Invalid(findings.problems))
}

/// The file that `args` name, or an empty one.
fn read_file(args: &Args) -> Result<RawFile, ConfigError> {
    let path = args.config.as_ref();
    let path = path.filter(|path| !path.as_os_str().is_empty());
    let file = path.map(|path| RawFile::read(path)).transpose()?;
    Ok(file.unwrap_or_default())
}

fn resolve(args: Args, file: RawFile) -> Result<Loaded, ConfigError> {
    let Args {
        config: _,
        db_path,
        mqtt_broker,
        mqtt_topic,
        mqtt_username,
        mqtt_password_file,
        channel_keys_path,
        health_address,
        log_level,
    } = args;
    let RawFile {
        config: mut raw,
        unknown,
    } = file;
    let mut findings = Findings::default();
    unknown::report(&unknown, &mut findings);
    let from_args = BrokerArgs {
        broker: mqtt_broker,
        topic: mqtt_topic,
        username: mqtt_username,
        password_file: mqtt_password_file,
    };
    let sources = sources::resolve(from_args, &mut raw, &mut findings);
    let observers = ObserverRules::resolve(&mut raw, &mut findings);
    let config = Config {
        db_path: path_or(db_path, raw.db_path).unwrap_or_else(|| DEFAULT_DB_PATH.into()),
        sources,
        channels: Channels::resolve(
            path_or(channel_keys_path, raw.channel_keys_path),
            raw.hash_channels.unwrap_or_default(),
            raw.channel_keys.unwrap_or_default(),
            &mut findings,
        ),
        regions: channels::hashtag_list(
            "hashRegions",
            raw.hash_regions.unwrap_or_default(),
            &mut findings,
        ),
        retention: Retention::resolve(
            raw.retention.unwrap_or_default(),
            raw.neighbor_edges_max_age_days,
            &mut findings,
        ),
        observers,
        node_blacklist: settings::lower_case(raw.node_blacklist),
        metrics_interval: Duration::from_secs(findings.ranged(
            "metrics.sampleIntervalSec",
            raw.metrics.and_then(|metrics| metrics.sample_interval_sec),
            1..=86_400,
            300,
        )),
        client_rx_coverage: raw
            .client_rx_coverage
            .and_then(|c| c.enabled)
            .unwrap_or(false),
        validate_signatures: raw.validate_signatures.unwrap_or(true),
        geo_filter: raw
            .geo_filter
            .and_then(|geo| GeoFilter::resolve(geo, &mut findings)),
        foreign_adverts: ForeignAdverts::resolve(
            raw.foreign_adverts.unwrap_or_default(),
            &mut findings,
        ),
        queue_messages: queue_messages(raw.ingest_buffer_size, &mut findings),
        store: StoreSettings::resolve(
            raw.store.unwrap_or_default(),
            raw.db.unwrap_or_default(),
            &mut findings,
        ),
        log_level: resolve_log_level(text_or(log_level, raw.log_level), &mut findings),
        health_address: resolve_address(text_or(health_address, raw.health_address), &mut findings),
    };
    if findings.problems.is_empty() {
        Ok(Loaded {
            config,
            warnings: findings.warnings,
        })
    } else {
        Err(ConfigError::Invalid(findings.problems))
    }
}

/// The first of two paths that is not empty: an empty variable is one that is not set.
fn path_or(first: Option<PathBuf>, second: Option<PathBuf>) -> Option<PathBuf> {
    first
        .into_iter()
        .chain(second)
        .find(|path| !path.as_os_str().is_empty())
}

/// The first of two texts that is not empty.
fn text_or(first: Option<String>, second: Option<String>) -> Option<String> {
    first
        .into_iter()
        .chain(second)
        .find(|text| !text.trim().is_empty())
}

fn queue_messages(size: Option<u64>, findings: &mut Findings) -> usize {
    // At about 1 KiB a message, the default is 10 MiB when full.
    let size = findings.ranged("ingestBufferSize", size, 1_000..=1_000_000, 10_000);
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn resolve_log_level(level: Option<String>, findings: &mut Findings) -> String {
    let level = level.unwrap_or_else(|| "info".to_owned());
    findings
        .keep("logLevel", meshcore_config::log_level(&level))
        .unwrap_or(level)
}

fn resolve_address(address: Option<String>, findings: &mut Findings) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8081));
    let Some(address) = address else {
        return default;
    };
    let address = address.trim().replace("localhost:", "127.0.0.1:");
    let message = "must be an address and a port, such as 127.0.0.1:8081 or [::]:8081";
    let parsed = address.parse().map_err(|_| message.to_owned());
    findings.keep("healthAddress", parsed).unwrap_or(default)
}

/// Durations in the start log are seconds.
fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// As [`as_seconds`], with null for none.
#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn as_seconds_option<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}
