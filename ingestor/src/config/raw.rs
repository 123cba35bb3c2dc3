//! The configuration file as written: every key, its type, nothing decided.
//!
//! The file may be JSON or YAML, which its content tells. Unknown keys are collected, not refused;
//! wrong types are errors with the path of the value.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use meshcore_config::{in_plain_words, key_path};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ConfigError, Problem};
use super::secret::Secret;

/// The largest file that is read; CoreScope's full example has 20 KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawConfig {
    pub(super) db_path: Option<PathBuf>,
    pub(super) mqtt_sources: Option<Vec<RawSource>>,
    pub(super) mqtt: Option<RawLegacyMqtt>,
    pub(super) channel_keys_path: Option<PathBuf>,
    pub(super) channel_keys: Option<BTreeMap<String, Secret>>,
    pub(super) hash_channels: Option<Vec<String>>,
    pub(super) hash_regions: Option<Vec<String>>,
    pub(super) retention: Option<RawRetention>,
    pub(super) neighbor_edges_max_age_days: Option<i64>,
    pub(super) observer_blacklist: Option<Vec<String>>,
    pub(super) node_blacklist: Option<Vec<String>>,
    #[serde(rename = "observerIATAWhitelist")]
    pub(super) observer_iata_whitelist: Option<Vec<String>>,
    pub(super) max_observers: Option<u64>,
    pub(super) metrics: Option<RawMetrics>,
    pub(super) client_rx_coverage: Option<RawEnabled>,
    pub(super) validate_signatures: Option<bool>,
    #[serde(rename = "geo_filter")]
    pub(super) geo_filter: Option<RawGeoFilter>,
    pub(super) foreign_adverts: Option<RawForeignAdverts>,
    pub(super) ingest_buffer_size: Option<u64>,
    pub(super) db: Option<RawDb>,
    pub(super) store: Option<RawStore>,
    pub(super) log_level: Option<String>,
    pub(super) health_address: Option<String>,
}

/// One entry of `mqttSources`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawSource {
    pub(super) name: Option<String>,
    /// A secret, since people put passwords into URLs.
    pub(super) broker: Option<Secret>,
    pub(super) protocol: Option<RawProtocol>,
    pub(super) client_id: Option<String>,
    pub(super) username: Option<Secret>,
    pub(super) username_file: Option<PathBuf>,
    pub(super) password: Option<Secret>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) token: Option<RawToken>,
    pub(super) reject_unauthorized: Option<bool>,
    pub(super) tls: Option<RawTls>,
    pub(super) topics: Option<Vec<String>>,
    pub(super) iata_filter: Option<Vec<String>>,
    pub(super) region: Option<String>,
    pub(super) connect_timeout_sec: Option<u64>,
    pub(super) silence_seconds: Option<u64>,
    pub(super) keep_alive_seconds: Option<u64>,
    pub(super) qos: Option<u64>,
}

/// A protocol version: in YAML, `5` without quotes is a number.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "must be auto, \"5\" or \"3.1.1\"")]
pub(super) enum RawProtocol {
    Text(String),
    Number(f64),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawToken {
    pub(super) private_key_file: Option<PathBuf>,
    pub(super) audience: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) email: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawTls {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_cert_file: Option<PathBuf>,
    pub(super) client_key_file: Option<PathBuf>,
    pub(super) server_name: Option<String>,
    pub(super) insecure_skip_verify: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawLegacyMqtt {
    pub(super) broker: Option<Secret>,
    pub(super) topic: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "the keys of the file")]
pub(super) struct RawRetention {
    pub(super) packet_days: Option<i64>,
    pub(super) node_days: Option<i64>,
    pub(super) observer_days: Option<i64>,
    pub(super) metrics_days: Option<i64>,
    pub(super) client_rx_days: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawMetrics {
    pub(super) sample_interval_sec: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawEnabled {
    pub(super) enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawForeignAdverts {
    pub(super) mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawGeoFilter {
    pub(super) polygon: Option<Vec<[f64; 2]>>,
    pub(super) buffer_km: Option<f64>,
    pub(super) lat_min: Option<f64>,
    pub(super) lat_max: Option<f64>,
    pub(super) lon_min: Option<f64>,
    pub(super) lon_max: Option<f64>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawDb {
    pub(super) vacuum_on_startup: Option<bool>,
    pub(super) incremental_vacuum_pages: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawStore {
    pub(super) commit_linger_ms: Option<u64>,
    #[serde(alias = "sizeCapBytes")]
    pub(super) max_size_bytes: Option<RawBytes>,
    pub(super) ballast_bytes: Option<RawBytes>,
    pub(super) allow_unsupported_filesystem: Option<bool>,
}

/// A size: a number of bytes, or a text with a unit.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "must be a number of bytes, or a text such as \"8Gi\""
)]
pub(super) enum RawBytes {
    Number(u64),
    Text(String),
}

/// A file's content and the keys in it that nobody knows.
#[derive(Debug, Default)]
pub(super) struct RawFile {
    pub(super) config: RawConfig,
    pub(super) unknown: Vec<String>,
}

impl RawFile {
    /// Reads and parses a file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        if let Some(text) = itself(path) {
            return Self::parse(text, Path::new("given as text"));
        }
        let read_error = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(read_error)?;
        file.take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(read_error)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(ConfigError::TooLarge(path.to_owned()));
        }
        Self::parse(&text, path)
    }

    /// Parses the text of a file; `path` is for messages.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let value = to_value(text.trim_start_matches('\u{feff}'), path)?;
        let mut unknown = Vec::new();
        let mut note = |at: serde_ignored::Path<'_>| unknown.push(key_path(&at));
        let deserializer = serde_ignored::Deserializer::new(value, &mut note);
        let config = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let place = error.path().to_string();
            ConfigError::Invalid(vec![Problem {
                path: if place == "." {
                    "the file".to_owned()
                } else {
                    place
                },
                message: in_plain_words(&error.into_inner().to_string()),
            }])
        })?;
        Ok(Self { config, unknown })
    }
}

/// JSON or YAML as one value. An empty file is an empty configuration.
fn to_value(text: &str, path: &Path) -> Result<Value, ConfigError> {
    let syntax = |format, message| ConfigError::Syntax {
        path: path.to_owned(),
        format,
        message,
    };
    let value = read_json_or_yaml(text).map_err(|(format, message)| syntax(format, message))?;
    match value {
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        Value::Object(_) => Ok(value),
        _ => Err(syntax(
            "YAML",
            "the file must hold keys and values".to_owned(),
        )),
    }
}

/// The configuration, if that was given in place of a path: where files can't be handed over, as in a compose file for
/// a container that can't be written to.
fn itself(path: &Path) -> Option<&str> {
    path.to_str()
        .filter(|text| text.trim_start().starts_with('{'))
}

/// Reads JSON or YAML; on failure, says which of the two it was taken for and what is wrong.
pub(super) fn read_json_or_yaml<T: DeserializeOwned>(
    text: &str,
) -> Result<T, (&'static str, String)> {
    // YAML contains JSON, but not its tabs, and its messages are worse.
    let json_error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error.to_string(),
    };
    serde_yaml::from_str(text).map_err(|yaml_error| {
        if text.trim_start().starts_with('{') {
            ("JSON", json_error)
        } else {
            ("YAML", yaml_error.to_string())
        }
    })
}
