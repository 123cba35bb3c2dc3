//! Flags and environment before file before defaults; clap puts flags before environment.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::{Args, Config, config, load, load_with, warnings};
use crate::config::{Credentials, Secret, SecretSource};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn args(broker: &str, topic: &str) -> Args {
    Args {
        mqtt_broker: Some(broker.to_owned()),
        mqtt_topic: Some(topic.to_owned()),
        ..Args::default()
    }
}

const TWO_SOURCES: &str = "{dbPath: /a.db, mqttSources: [
    {name: bay, broker: 'mqtt://one'}, {name: lake, broker: 'mqtt://two'}]}";

#[test]
fn three_variables_are_enough() {
    let args = Args {
        db_path: Some("/data/mesh.db".into()),
        ..args("mqtt://broker", "mesh/#")
    };
    let loaded = load_with(args, "").unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.db_path, Path::new("/data/mesh.db"));
    assert_eq!(config.sources.len(), 1);
    assert_eq!(config.sources[0].name, "default");
    assert_eq!(config.sources[0].broker.to_string(), "mqtt://broker:1883");
    assert_eq!(config.sources[0].topics, ["mesh/#"]);
    assert_eq!(config.health_address.to_string(), "127.0.0.1:8081");
}

#[test]
fn without_anything_there_is_a_local_broker_and_a_warning() {
    let loaded = load("").unwrap();
    assert_eq!(loaded.config.db_path, Path::new("data/meshcore.db"));
    assert_eq!(
        loaded.config.sources[0].broker.to_string(),
        "mqtt://localhost:1883"
    );
    assert_eq!(
        loaded.warnings[0].to_string(),
        "mqttSources: there is none; using mqtt://localhost:1883"
    );
}

#[test]
fn a_broker_from_outside_replaces_all_sources_of_the_file_and_says_so() {
    let loaded = load_with(args("mqtt://other", ""), TWO_SOURCES).unwrap();
    let names: Vec<_> = loaded
        .config
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["default"]);
    assert_eq!(loaded.config.sources[0].topics, ["meshcore/#"]);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "MQTT_BROKER: replaces the 2 MQTT source(s) of the file"
    );
    assert_eq!(
        loaded.config.db_path,
        Path::new("/a.db"),
        "the rest of the file stays"
    );
}

#[test]
fn every_value_from_outside_beats_the_file() {
    let file = "{dbPath: /a.db, channelKeysPath: /a.json, logLevel: debug,
        healthAddress: '127.0.0.1:1'}";
    let args = Args {
        db_path: Some("/b.db".into()),
        channel_keys_path: Some("/b.json".into()),
        log_level: Some("warn".to_owned()),
        health_address: Some("[::]:2".to_owned()),
        ..Args::default()
    };
    let from_file = load(file).unwrap().config;
    let both = load_with(args, file).unwrap().config;
    let values = |config: &Config| {
        (
            config.db_path.clone(),
            config.channels.keys_file.clone(),
            config.log_level.clone(),
            config.health_address.to_string(),
        )
    };
    let path = PathBuf::from;
    assert_eq!(
        values(&from_file),
        (
            path("/a.db"),
            Some(path("/a.json")),
            "debug".into(),
            "127.0.0.1:1".into()
        )
    );
    assert_eq!(
        values(&both),
        (
            path("/b.db"),
            Some(path("/b.json")),
            "warn".into(),
            "[::]:2".into()
        )
    );
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let args = Args {
        config: Some("".into()),
        db_path: Some("".into()),
        mqtt_broker: Some(" ".to_owned()),
        mqtt_topic: Some(String::new()),
        log_level: Some(String::new()),
        health_address: Some(String::new()),
        ..Args::default()
    };
    let loaded = load_with(args.clone(), TWO_SOURCES).unwrap();
    assert_eq!(loaded.config.sources.len(), 2);
    assert_eq!(loaded.config.db_path, Path::new("/a.db"));
    assert_eq!(loaded.warnings, []);
    assert!(Config::load(args).is_ok(), "an empty file name is no file");
}

#[test]
fn a_topic_alone_does_nothing_and_says_so() {
    let args = Args {
        mqtt_topic: Some("x/#".to_owned()),
        ..Args::default()
    };
    let loaded = load_with(args, TWO_SOURCES).unwrap();
    assert_eq!(
        loaded.warnings[0].to_string(),
        "MQTT_TOPIC: has no effect without MQTT_BROKER"
    );
}

#[test]
fn the_brokers_password_comes_from_a_file() {
    let args = Args {
        mqtt_username: Some("me".to_owned()),
        mqtt_password_file: Some("/run/password".into()),
        ..args("mqtts://broker", "")
    };
    let credentials = load_with(args, "").unwrap().config.sources[0]
        .credentials
        .clone();
    assert_eq!(
        credentials,
        Credentials::Password {
            username: SecretSource::Inline(Secret::new("me")),
            password: Some(SecretSource::File("/run/password".into())),
        }
    );
}

#[test]
fn the_old_form_of_the_file_still_works() {
    let old = config("{mqtt: {broker: 'mqtt://old', topic: 'mesh/+/x'}}");
    assert_eq!(old.sources[0].name, "default");
    assert_eq!(old.sources[0].topics, ["mesh/+/x", "meshcore/#"]);
    let overlapping = config("{mqtt: {broker: 'mqtt://old', topic: 'meshcore/SJC/#'}}");
    assert_eq!(
        overlapping.sources[0].topics,
        ["meshcore/#"],
        "no message comes twice"
    );
    let both = "{mqtt: {broker: 'mqtt://old'}, mqttSources: [{broker: 'mqtt://new'}]}";
    assert_eq!(config(both).sources[0].broker.host, "new");
    assert_eq!(warnings(both), ["mqtt: has no effect beside mqttSources"]);
}

#[test]
fn files_are_read_from_disk_as_json_or_yaml() {
    let dir = tempfile::tempdir().unwrap();
    for text in [
        "{\n\t\"dbPath\": \"/x.db\"\n}\n",
        "dbPath: /x.db\n",
        "\u{feff}{\"dbPath\": \"/x.db\"}",
    ] {
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        let args = Args {
            config: Some(path),
            ..Args::default()
        };
        assert_eq!(
            Config::load(args).unwrap().config.db_path,
            Path::new("/x.db"),
            "{text}"
        );
    }
    let missing = Args {
        config: Some(dir.path().join("missing")),
        ..Args::default()
    };
    let message = Config::load(missing).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot read the configuration file"),
        "{message}"
    );
}

#[test]
fn every_flag_has_a_variable_and_none_takes_a_password() {
    let command = Cli::command();
    for arg in command
        .get_arguments()
        .filter(|arg| arg.get_long() != Some("help"))
    {
        assert!(arg.get_env().is_some(), "{arg}");
        let long = arg.get_long().unwrap();
        assert!(
            !long.contains("password") || long.ends_with("-file"),
            "{long}"
        );
    }
    let parsed = <Cli as clap::Parser>::try_parse_from(["x", "--db-path", "/f.db"]).unwrap();
    assert_eq!(parsed.args.db_path.as_deref(), Some(Path::new("/f.db")));
}
