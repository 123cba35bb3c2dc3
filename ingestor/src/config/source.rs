//! One MQTT source: where to connect, as whom, and what to ask for.

use std::collections::BTreeSet;
use std::time::Duration;

use meshcore_config::{
    BrokerUrl, BrokerUrlError, DEFAULT_TOPIC, check_topic_filter, region_code, without_covered,
};
use serde::Serialize;

use super::credentials::{Credentials, secret_source};
use super::error::Findings;
use super::raw::{RawProtocol, RawSource};
use super::secret::Secret;
use super::tls::TlsSettings;
use super::token::TokenSignIn;
use super::{as_seconds, as_seconds_option};

/// The longest name: it is a metric label and part of a client id.
const MAX_NAME_CHARS: usize = 64;

/// The longest client id that every broker of MQTT 3.1.1 must accept.
const PORTABLE_CLIENT_ID_CHARS: usize = 23;

/// Which version of MQTT to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Protocol {
    /// 5, and 3.1.1 if the broker refuses it.
    #[serde(rename = "auto")]
    Auto,
    /// Only 5.
    #[serde(rename = "5")]
    V5,
    /// Only 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
}

/// Quality of service of the subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Qos {
    /// 0: what is lost on the way stays lost.
    AtMostOnce,
    /// 1: what the broker has is delivered until it is acknowledged.
    AtLeastOnce,
}

/// One MQTT source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Unique; by default the broker's address.
    pub name: String,
    /// The broker.
    pub broker: BrokerUrl,
    /// Which version of MQTT to speak.
    pub protocol: Protocol,
    /// A client id of the user's own.
    pub client_id: Option<String>,
    /// As whom to connect.
    pub credentials: Credentials,
    /// Only meant for brokers with TLS.
    pub tls: TlsSettings,
    /// Topic filters, none of them inside another.
    pub topics: Vec<String>,
    /// Regions to accept packets from, upper case; empty means all. Status is not filtered.
    pub iata_filter: BTreeSet<String>,
    /// The region of observers whose topic names none.
    pub region: Option<String>,
    /// How long one attempt to connect may take.
    #[serde(serialize_with = "as_seconds")]
    pub connect_timeout: Duration,
    /// After how long without any message to connect anew; `None` means never.
    #[serde(serialize_with = "as_seconds_option")]
    pub silence: Option<Duration>,
    /// How often to ping.
    #[serde(serialize_with = "as_seconds")]
    pub keep_alive: Duration,
    /// Quality of service of the subscriptions.
    pub qos: Qos,
}

impl Source {
    /// Resolves one source. `path` is `mqttSources[0]` or the name of a variable.
    pub(super) fn resolve(path: &str, raw: RawSource, findings: &mut Findings) -> Option<Self> {
        let at = |key: &str| format!("{path}.{key}");
        let RawSource {
            name,
            broker,
            protocol,
            client_id,
            username,
            username_file,
            password,
            password_file,
            token,
            reject_unauthorized,
            tls,
            topics,
            iata_filter,
            region,
            connect_timeout_sec,
            silence_seconds,
            keep_alive_seconds,
            qos,
        } = raw;
        let tls =
            TlsSettings::resolve(path, tls.unwrap_or_default(), reject_unauthorized, findings);
        let broker = broker.unwrap_or_else(|| Secret::new(""));
        let broker = findings.keep(&at("broker"), read_broker(broker.expose()));
        let host = broker.as_ref().map_or("", |broker| broker.host.as_str());
        let is_verified =
            broker.as_ref().is_some_and(|b| b.scheme.is_tls()) && !tls.insecure_skip_verify;
        let token = token
            .and_then(|raw| TokenSignIn::resolve(&at("token"), raw, host, is_verified, findings));
        let username = secret_source(path, "username", username, username_file, findings);
        let password = secret_source(path, "password", password, password_file, findings);
        let source = Self {
            name: source_name(&at("name"), name, broker.as_ref(), findings),
            protocol: findings.keep(&at("protocol"), read_protocol(protocol))?,
            client_id: client_id_of(&at("clientId"), client_id, findings),
            credentials: Credentials::resolve(path, username, password, token, findings),
            tls,
            topics: topics_of(&at("topics"), topics, findings),
            iata_filter: iata_set(
                &at("iataFilter"),
                &iata_filter.unwrap_or_default(),
                findings,
            ),
            region: region.and_then(|region| findings.keep(&at("region"), region_code(&region))),
            connect_timeout: Duration::from_secs(findings.ranged(
                &at("connectTimeoutSec"),
                connect_timeout_sec,
                1..=300,
                30,
            )),
            silence: silence(&at("silenceSeconds"), silence_seconds, findings),
            keep_alive: Duration::from_secs(findings.ranged(
                &at("keepAliveSeconds"),
                keep_alive_seconds,
                5..=3600,
                30,
            )),
            qos: match findings.ranged(&at("qos"), qos, 0..=1, 1) {
                0 => Qos::AtMostOnce,
                _ => Qos::AtLeastOnce,
            },
            broker: broker?,
        };
        source.warn_about_transport(path, findings);
        Some(source)
    }

    fn warn_about_transport(&self, path: &str, findings: &mut Findings) {
        let is_tls = self.broker.scheme.is_tls();
        if is_tls && self.tls.insecure_skip_verify {
            findings.warn(path, "the broker's certificate is not verified");
        }
        if !is_tls && self.tls != TlsSettings::default() {
            let message = "has no effect: the broker's scheme is without TLS (use mqtts or wss)";
            findings.warn(format!("{path}.tls"), message);
        }
        let sends_secret = self.credentials != Credentials::Anonymous;
        if !is_tls && sends_secret && !self.broker.is_loopback() {
            findings.warn(
                path,
                "the sign-in goes over the network in clear text (use mqtts or wss)",
            );
        }
    }
}

fn read_broker(address: &str) -> Result<BrokerUrl, String> {
    BrokerUrl::parse(address).map_err(|error| match error {
        BrokerUrlError::Credentials => format!("{error}; use the keys username and passwordFile"),
        other => other.to_string(),
    })
}

fn read_protocol(raw: Option<RawProtocol>) -> Result<Protocol, String> {
    let text = match raw {
        None => return Ok(Protocol::Auto),
        Some(RawProtocol::Text(text)) => text,
        Some(RawProtocol::Number(number)) => number.to_string(),
    };
    match text.as_str() {
        "auto" => Ok(Protocol::Auto),
        "5" | "5.0" => Ok(Protocol::V5),
        "3.1.1" => Ok(Protocol::V311),
        _ => Err("must be auto, \"5\" or \"3.1.1\"".to_owned()),
    }
}

fn source_name(
    path: &str,
    name: Option<String>,
    broker: Option<&BrokerUrl>,
    findings: &mut Findings,
) -> String {
    let Some(name) = name
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
    else {
        return broker.map(ToString::to_string).unwrap_or_default();
    };
    if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        findings.problem(
            path,
            format!("must be at most {MAX_NAME_CHARS} printable characters"),
        );
    }
    name
}

fn client_id_of(path: &str, id: Option<String>, findings: &mut Findings) -> Option<String> {
    let id = id.filter(|id| !id.is_empty())?;
    let length = id.chars().count();
    if length > 256 || id.chars().any(|c| c.is_control() || c.is_whitespace()) {
        findings.problem(path, "must be at most 256 characters without spaces");
    } else if length > PORTABLE_CLIENT_ID_CHARS {
        findings.warn(
            path,
            "is longer than 23 characters, which some brokers refuse",
        );
    }
    Some(id)
}

fn topics_of(path: &str, topics: Option<Vec<String>>, findings: &mut Findings) -> Vec<String> {
    let topics = topics.unwrap_or_default();
    if topics.is_empty() {
        return vec![DEFAULT_TOPIC.to_owned()];
    }
    for (at, topic) in topics.iter().enumerate() {
        if let Err(message) = check_topic_filter(topic) {
            findings.problem(format!("{path}[{at}]"), message);
        }
    }
    let kept = without_covered(&topics);
    let dropped: Vec<_> = topics
        .iter()
        .filter(|topic| !kept.contains(topic))
        .cloned()
        .collect();
    if !dropped.is_empty() {
        let message = format!(
            "{} is inside another filter and left out",
            dropped.join(", ")
        );
        findings.warn(path, message);
    }
    kept
}

fn silence(path: &str, seconds: Option<u64>, findings: &mut Findings) -> Option<Duration> {
    match seconds {
        Some(0) => None,
        // Two status messages of an observer that reports every five minutes.
        seconds => Some(Duration::from_secs(findings.ranged(
            path,
            seconds,
            30..=86_400,
            600,
        ))),
    }
}

/// Reads a list of regions into upper case.
pub(super) fn iata_set(path: &str, list: &[String], findings: &mut Findings) -> BTreeSet<String> {
    let mut regions = BTreeSet::new();
    for (at, text) in list.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if let Some(region) = findings.keep(&path, region_code(text)) {
            if region.len() != 3 {
                findings.warn(path, format!("{region} is no three-letter airport code"));
            }
            regions.insert(region);
        }
    }
    regions
}
