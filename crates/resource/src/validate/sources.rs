//! Rules of what is listened to: sources and channels.

use meshcore_config::{BrokerUrl, BrokerUrlError, check_topic_filter, region_code};

use super::checks::Checks;
use crate::{Channels, CredentialsRef, MeshCoreDeploymentSpec, MqttSource, SourceTls};

const MAX_SOURCES: usize = 8;
const MAX_SOURCE_NAME: usize = 63;
const MAX_BROKER: usize = 512;
const MAX_TOPICS: usize = 32;
const MAX_TOPIC: usize = 256;
const MAX_REGIONS: usize = 64;
const MAX_HASHTAGS: usize = 256;
const MAX_HASHTAG: usize = 64;

pub(super) fn check(spec: &MeshCoreDeploymentSpec, checks: &mut Checks) {
    let sources = &spec.mqtt_sources;
    checks.count("spec.mqttSources", sources.len(), 1..=MAX_SOURCES);
    for (at, source) in sources.iter().enumerate() {
        let path = format!("spec.mqttSources[{at}]");
        let is_twin = sources
            .iter()
            .take(at)
            .any(|other| other.name == source.name);
        checks.that(&format!("{path}.name"), !is_twin, || {
            format!(
                "{:?} is the name of another source too; give each its own",
                source.name
            )
        });
        check_source(&path, source, checks);
    }
    check_channels(&spec.channels, checks);
}

fn check_source(path: &str, source: &MqttSource, checks: &mut Checks) {
    let MqttSource {
        name,
        broker,
        protocol: _,
        topics,
        iata_filter,
        region,
        credentials_secret_ref,
        tls,
    } = source;
    let at = |key: &str| format!("{path}.{key}");
    checks.that(&at("name"), is_source_name(name), || {
        format!(
            "must be 1 to {MAX_SOURCE_NAME} letters, digits, -, _ and ., beginning and ending \
             with a letter or digit"
        )
    });
    let url = check_broker(&at("broker"), broker, checks);
    if let Some(topics) = topics {
        checks.count(&at("topics"), topics.len(), 1..=MAX_TOPICS);
        for (index, topic) in topics.iter().enumerate() {
            let path = at(&format!("topics[{index}]"));
            checks.accepted(&path, check_topic_filter(topic));
            checks.that(&path, topic.len() <= MAX_TOPIC, || {
                format!("is longer than {MAX_TOPIC} characters")
            });
        }
    }
    let regions = iata_filter.as_deref().unwrap_or_default();
    checks.count(&at("iataFilter"), regions.len(), 0..=MAX_REGIONS);
    for (index, region) in regions.iter().enumerate() {
        checks.accepted(&at(&format!("iataFilter[{index}]")), region_code(region));
    }
    if let Some(region) = region {
        checks.accepted(&at("region"), region_code(region));
    }
    if let Some(credentials) = credentials_secret_ref {
        check_credentials(&at("credentialsSecretRef"), credentials, checks);
    }
    if let Some(tls) = tls {
        let is_without = url.is_some_and(|url| !url.scheme.is_tls());
        checks.that(&at("tls"), !is_without, || {
            "means nothing for a broker without TLS; write mqtts:// or wss://, or remove it"
                .to_owned()
        });
        check_tls(&at("tls"), tls, checks);
    }
}

fn check_broker(path: &str, broker: &str, checks: &mut Checks) -> Option<BrokerUrl> {
    checks.that(path, broker.len() <= MAX_BROKER, || {
        format!("is longer than {MAX_BROKER} characters")
    });
    match BrokerUrl::parse(broker) {
        Ok(url) => Some(url),
        Err(error @ BrokerUrlError::Credentials) => {
            let cure = "put them into a Secret and name it in credentialsSecretRef";
            checks.violated(path, format!("{error}; {cure}"));
            None
        }
        Err(error) => {
            checks.violated(path, error.to_string());
            None
        }
    }
}

fn check_credentials(path: &str, credentials: &CredentialsRef, checks: &mut Checks) {
    checks.dns_subdomain(&format!("{path}.name"), &credentials.name);
    checks.secret_key(&format!("{path}.usernameKey"), credentials.username_key());
    checks.secret_key(&format!("{path}.passwordKey"), credentials.password_key());
}

fn check_tls(path: &str, tls: &SourceTls, checks: &mut Checks) {
    let SourceTls {
        ca_secret_ref,
        client_cert_secret_ref,
        server_name,
        insecure_skip_verify: _,
    } = tls;
    if let Some(ca) = ca_secret_ref {
        checks.dns_subdomain(&format!("{path}.caSecretRef.name"), &ca.name);
        checks.secret_key(&format!("{path}.caSecretRef.key"), ca.key_or("ca.crt"));
    }
    if let Some(client) = client_cert_secret_ref {
        checks.dns_subdomain(&format!("{path}.clientCertSecretRef.name"), &client.name);
    }
    if let Some(name) = server_name {
        checks.dns_subdomain(&format!("{path}.serverName"), &name.to_lowercase());
    }
}

fn check_channels(channels: &Channels, checks: &mut Checks) {
    let Channels {
        hashtags,
        keys_secret_ref,
    } = channels;
    checks.count("spec.channels.hashtags", hashtags.len(), 0..=MAX_HASHTAGS);
    for (at, name) in hashtags.iter().enumerate() {
        let bare = name.trim().trim_start_matches('#');
        checks.text(&format!("spec.channels.hashtags[{at}]"), bare, MAX_HASHTAG);
    }
    if let Some(keys) = keys_secret_ref {
        checks.dns_subdomain("spec.channels.keysSecretRef.name", &keys.name);
    }
}

/// The syntax of values of labels: the name is one in metrics.
fn is_source_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    name.len() <= MAX_SOURCE_NAME
        && name.starts_with(is_plain)
        && name.ends_with(is_plain)
        && name
            .chars()
            .all(|c| is_plain(c) || matches!(c, '-' | '_' | '.'))
}
