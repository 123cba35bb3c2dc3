//! Which sources there are: those of flags and environment, of the file, or the default one.

use std::path::PathBuf;

use meshcore_config::{DEFAULT_TOPIC, without_covered};

use super::error::{Findings, Problem, Warning};
use super::raw::{RawConfig, RawLegacyMqtt, RawSource};
use super::secret::Secret;
use super::source::Source;

/// The broker when nothing is said.
const DEFAULT_BROKER: &str = "mqtt://localhost:1883";

/// Every source costs a task, a connection and a label value.
const MAX_SOURCES: usize = 32;

/// The flags that describe one source.
pub(super) struct BrokerArgs {
    pub(super) broker: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

/// The sources: of flags and environment, else of the file, else of its old form, else the default.
pub(super) fn resolve(
    args: BrokerArgs,
    raw: &mut RawConfig,
    findings: &mut Findings,
) -> Vec<Source> {
    let of_file = raw.mqtt_sources.take().unwrap_or_default();
    let legacy = raw.mqtt.take().filter(|mqtt| mqtt.broker.is_some());
    let broker = args.broker.filter(|broker| !broker.trim().is_empty());
    if let Some(broker) = broker {
        let replaced = of_file.len() + usize::from(legacy.is_some());
        if replaced > 0 {
            let message = format!("replaces the {replaced} MQTT source(s) of the file");
            findings.warn("MQTT_BROKER", message);
        }
        let source = RawSource {
            name: Some("default".to_owned()),
            broker: Some(Secret::new(broker)),
            topics: args
                .topic
                .filter(|topic| !topic.is_empty())
                .map(|topic| vec![topic]),
            username: args.username.map(Secret::new),
            password_file: args.password_file,
            ..RawSource::default()
        };
        return of_environment(source, findings).into_iter().collect();
    }
    for (name, is_given) in [
        (
            "MQTT_TOPIC",
            args.topic.is_some_and(|topic| !topic.is_empty()),
        ),
        (
            "MQTT_USERNAME",
            args.username.is_some_and(|name| !name.is_empty()),
        ),
        ("MQTT_PASSWORD_FILE", args.password_file.is_some()),
    ] {
        if is_given {
            findings.warn(name, "has no effect without MQTT_BROKER");
        }
    }
    if of_file.is_empty() {
        return default_sources(legacy, findings);
    }
    if legacy.is_some() {
        findings.warn("mqtt", "has no effect beside mqttSources");
    }
    list_sources(of_file, findings)
}

/// Resolves the one source that has variables instead of keys, and names them in what it finds.
fn of_environment(source: RawSource, findings: &mut Findings) -> Option<Source> {
    let mut found = Findings::default();
    let source = Source::resolve("MQTT_BROKER", source, &mut found);
    let variable = |path: String| match path.as_str() {
        "MQTT_BROKER.broker" => "MQTT_BROKER".to_owned(),
        "MQTT_BROKER.topics[0]" => "MQTT_TOPIC".to_owned(),
        "MQTT_BROKER.username" => "MQTT_USERNAME".to_owned(),
        _ => path,
    };
    for Problem { path, message } in found.problems {
        findings.problem(variable(path), message);
    }
    for Warning { path, message } in found.warnings {
        findings.warn(variable(path), message);
    }
    source
}

fn list_sources(list: Vec<RawSource>, findings: &mut Findings) -> Vec<Source> {
    if list.len() > MAX_SOURCES {
        findings.problem(
            "mqttSources",
            format!("there are more than {MAX_SOURCES} sources"),
        );
        return Vec::new();
    }
    let mut sources: Vec<Source> = Vec::new();
    for (at, raw) in list.into_iter().enumerate() {
        let path = format!("mqttSources[{at}]");
        let Some(source) = Source::resolve(&path, raw, findings) else {
            continue;
        };
        if sources.iter().any(|other| other.name == source.name) {
            let message = format!("{:?} is the name of another source too", source.name);
            findings.problem(format!("{path}.name"), message);
        }
        let is_twin = |other: &Source| {
            other.client_id.is_some()
                && other.client_id == source.client_id
                && other.broker.host_and_port() == source.broker.host_and_port()
        };
        if sources.iter().any(is_twin) {
            let message =
                "another source of this broker has it too; each would throw the other out";
            findings.problem(format!("{path}.clientId"), message);
        }
        sources.push(source);
    }
    sources
}

/// The old single-broker form, else a broker on this machine.
fn default_sources(legacy: Option<RawLegacyMqtt>, findings: &mut Findings) -> Vec<Source> {
    let source = if let Some(RawLegacyMqtt { broker, topic }) = legacy {
        // CoreScope subscribes to both; the overlap is not worth a warning.
        let topics = topic.into_iter().filter(|topic| !topic.is_empty());
        let topics: Vec<_> = topics.chain([DEFAULT_TOPIC.to_owned()]).collect();
        let topics = Some(without_covered(&topics));
        RawSource {
            name: Some("default".to_owned()),
            broker,
            topics,
            ..RawSource::default()
        }
    } else {
        findings.warn(
            "mqttSources",
            format!("there is none; using {DEFAULT_BROKER}"),
        );
        let broker = Some(Secret::new(DEFAULT_BROKER));
        RawSource {
            name: Some("local".to_owned()),
            broker,
            ..RawSource::default()
        }
    };
    Source::resolve("mqtt", source, findings)
        .into_iter()
        .collect()
}
