//! What the two programs get: the one place that turns a spec into the ingestor's configuration file and the
//! environment of both. `meshcore up` and the operator use the same functions.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{
    Channels, EnvVar, MeshCoreDeployment, MeshCoreDeploymentSpec, MqttSource, Retention,
    ShutdownBudget, SourceTls,
};

/// The key of the Secret that `channels.keysSecretRef` names: a map of channel names and keys.
pub const CHANNEL_KEYS: &str = "channel-keys.yaml";

/// The ingestor's variable for its configuration file, or for the configuration itself.
pub const CONFIG: &str = "MESHCORE_CONFIG";
const DB_PATH: &str = "DB_PATH";
const LOG_LEVEL: &str = "LOG_LEVEL";
const INGESTOR_ADDRESS: &str = "MESHCORE_INGESTOR_ADDRESS";
const SERVER_ADDRESS: &str = "MESHCORE_SERVER_ADDRESS";
const MAX_CONNECTIONS: &str = "MESHCORE_SERVER_MAX_CONNECTIONS";

/// Variables that would win over the resource if they came from elsewhere: those that are made here, and those
/// that replace parts of the configuration file. Whoever starts a program with an inherited environment removes
/// them from it first.
pub const RESERVED_VARIABLES: [&str; 16] = [
    CONFIG,
    DB_PATH,
    LOG_LEVEL,
    INGESTOR_ADDRESS,
    SERVER_ADDRESS,
    MAX_CONNECTIONS,
    "MQTT_BROKER",
    "MQTT_TOPIC",
    "MQTT_USERNAME",
    "MQTT_PASSWORD_FILE",
    "CHANNEL_KEYS_PATH",
    ShutdownBudget::PRE_STOP,
    ShutdownBudget::SERVER_DRAIN,
    ShutdownBudget::INGESTOR_DRAIN,
    ShutdownBudget::CHECKPOINT,
    ShutdownBudget::MARGIN,
];

/// Whether a variable is one of [`RESERVED_VARIABLES`].
pub fn is_reserved_variable(name: &str) -> bool {
    RESERVED_VARIABLES.contains(&name)
}

/// Where things are on the machine or in the pod that the programs run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The database file.
    pub db: PathBuf,
    /// The ingestor's configuration file.
    pub config: PathBuf,
    /// The folder of the secrets: `<secrets>/<name of the Secret>/<key>`.
    pub secrets: PathBuf,
    /// Where the ingestor serves health and metrics, such as `127.0.0.1:8081`.
    pub ingestor_address: String,
    /// Where the server listens, such as `127.0.0.1:8080`.
    pub server_address: String,
}

/// Variables of an environment, in the order in which they were made.
pub type Env = Vec<(String, String)>;

/// A file that a key of a Secret is mounted as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// The field that names the Secret.
    pub field: String,
    /// The Secret.
    pub secret: String,
    /// Its key.
    pub key: String,
}

impl SecretFile {
    /// Where it is, below the folder of the secrets.
    pub fn path(&self, secrets: &Path) -> PathBuf {
        secrets.join(&self.secret).join(&self.key)
    }
}

impl MeshCoreDeployment {
    /// The environment of the ingestor.
    pub fn ingestor_env(&self, places: &Places) -> Env {
        let spec = &self.spec;
        let mut env = plain(&spec.ingestor.env);
        env.extend(shutdown(&spec.shutdown));
        env.extend([
            pair(CONFIG, places.config.to_string_lossy()),
            pair(DB_PATH, places.db.to_string_lossy()),
            pair(INGESTOR_ADDRESS, &*places.ingestor_address),
            pair(LOG_LEVEL, &*spec.ingestor.log_level),
        ]);
        env
    }

    /// The environment of the server.
    pub fn server_env(&self, places: &Places) -> Env {
        let spec = &self.spec;
        let mut env = plain(&spec.server.env);
        env.extend(shutdown(&spec.shutdown));
        env.extend([
            pair(DB_PATH, places.db.to_string_lossy()),
            pair(SERVER_ADDRESS, &*places.server_address),
            pair(MAX_CONNECTIONS, spec.server.max_connections.to_string()),
            pair(LOG_LEVEL, &*spec.server.log_level),
        ]);
        env
    }
}

impl MeshCoreDeploymentSpec {
    /// The ingestor's configuration file. It holds no secret, only the paths of files below `secrets`.
    pub fn ingestor_config(&self, secrets: &Path) -> Value {
        let Channels {
            hashtags,
            keys_secret_ref,
        } = &self.channels;
        let sources = self.mqtt_sources.iter();
        let mut config = json!({
            "mqttSources": sources.map(|source| source_config(source, secrets)).collect::<Vec<_>>(),
            "hashChannels": hashtags,
            "retention": retention_config(self.retention),
        });
        if let Some(keys) = keys_secret_ref {
            config["channelKeysPath"] = file(secrets, &keys.name, CHANNEL_KEYS);
        }
        config
    }

    /// The files that the ingestor will look for, each once for each field that names it.
    pub fn secret_files(&self) -> Vec<SecretFile> {
        let mut files = Vec::new();
        let mut add = |field: String, secret: &str, key: &str| {
            files.push(SecretFile {
                field,
                secret: secret.to_owned(),
                key: key.to_owned(),
            });
        };
        for (at, source) in self.mqtt_sources.iter().enumerate() {
            let path = format!("spec.mqttSources[{at}]");
            if let Some(credentials) = &source.credentials_secret_ref {
                for key in [credentials.username_key(), credentials.password_key()] {
                    add(
                        format!("{path}.credentialsSecretRef"),
                        &credentials.name,
                        key,
                    );
                }
            }
            let tls = source.tls.iter();
            for ca in tls.clone().filter_map(|tls| tls.ca_secret_ref.as_ref()) {
                add(format!("{path}.tls.caSecretRef"), &ca.name, ca.key_or(CA));
            }
            for client in tls.filter_map(|tls| tls.client_cert_secret_ref.as_ref()) {
                for key in [TLS_CERTIFICATE, TLS_KEY] {
                    add(format!("{path}.tls.clientCertSecretRef"), &client.name, key);
                }
            }
        }
        if let Some(keys) = &self.channels.keys_secret_ref {
            add(
                "spec.channels.keysSecretRef".to_owned(),
                &keys.name,
                CHANNEL_KEYS,
            );
        }
        files
    }
}

/// Only what was chosen: the ingestor tells its own defaults from a choice.
fn retention_config(retention: Retention) -> Value {
    let Retention {
        packet_days,
        node_days,
        observer_days,
        metrics_days,
    } = retention;
    let days = [
        ("packetDays", packet_days),
        ("nodeDays", node_days),
        ("observerDays", observer_days),
        ("metricsDays", metrics_days),
    ];
    let chosen = days
        .into_iter()
        .filter_map(|(key, days)| Some((key.to_owned(), days?.into())));
    Value::Object(chosen.collect())
}

/// The usual key of authorities.
const CA: &str = "ca.crt";
/// The keys of Secrets of type `kubernetes.io/tls`.
const TLS_CERTIFICATE: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";

fn source_config(source: &MqttSource, secrets: &Path) -> Value {
    let MqttSource {
        name,
        broker,
        protocol: _,
        topics: _,
        iata_filter,
        region,
        credentials_secret_ref,
        tls,
    } = source;
    let mut config = json!({
        "name": name,
        "broker": broker,
        "protocol": source.protocol().as_str(),
        "topics": source.topics(),
        "iataFilter": iata_filter.as_deref().unwrap_or_default(),
    });
    if let Some(region) = region {
        config["region"] = region.as_str().into();
    }
    if let Some(credentials) = credentials_secret_ref {
        let key = |key| file(secrets, &credentials.name, key);
        config["usernameFile"] = key(credentials.username_key());
        config["passwordFile"] = key(credentials.password_key());
    }
    if let Some(tls) = tls {
        config["tls"] = tls_config(tls, secrets);
    }
    config
}

fn tls_config(tls: &SourceTls, secrets: &Path) -> Value {
    let SourceTls {
        ca_secret_ref,
        client_cert_secret_ref,
        server_name,
        insecure_skip_verify,
    } = tls;
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    if let Some(ca) = ca_secret_ref {
        set("caFile", file(secrets, &ca.name, ca.key_or(CA)));
    }
    if let Some(client) = client_cert_secret_ref {
        set(
            "clientCertFile",
            file(secrets, &client.name, TLS_CERTIFICATE),
        );
        set("clientKeyFile", file(secrets, &client.name, TLS_KEY));
    }
    if let Some(name) = server_name {
        set("serverName", name.as_str().into());
    }
    if let Some(skip) = insecure_skip_verify {
        set("insecureSkipVerify", (*skip).into());
    }
    Value::Object(config)
}

fn file(secrets: &Path, secret: &str, key: &str) -> Value {
    secrets.join(secret).join(key).to_string_lossy().into()
}

/// Variables with a value of their own; those that a cluster looks up are the operator's work.
fn plain(env: &[EnvVar]) -> Env {
    let with_value = |env: &EnvVar| Some((env.name.clone(), env.value.clone()?));
    env.iter().filter_map(with_value).collect()
}

fn shutdown(budget: &ShutdownBudget) -> impl Iterator<Item = (String, String)> {
    budget
        .env()
        .into_iter()
        .map(|(name, value)| pair(name, value))
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}
