//! What the programs get from a spec is what their own loaders make of it.

#![expect(
    clippy::unwrap_used,
    reason = "support code of tests counts as product code for this lint"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use meshcore_ingestor::config::{Args, Config, Credentials, Protocol, SecretSource};
use meshcore_resource::programs::Places;
use meshcore_resource::{MeshCoreDeployment, ShutdownBudget, parse};

const FULL: &str = r##"
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {name: bay-area}
spec:
  mqttSources:
    - name: local
      broker: mqtts://mosquitto:8884
      protocol: "3.1.1"
      topics: [meshcore/SJC/#, meshcore/SFO/#]
      iataFilter: [SJC, sfo]
      region: bay
      credentialsSecretRef: {name: mosquitto, usernameKey: user, passwordKey: pass}
      tls:
        caSecretRef: {name: ca, key: root.pem}
        clientCertSecretRef: {name: client}
        serverName: mosquitto.example
        insecureSkipVerify: false
    - name: plain
      broker: ws://broker/mqtt
      credentialsSecretRef: {name: other}
    - name: bare
      broker: mqtt://bare
  channels: {hashtags: ["#test", club], keysSecretRef: {name: channel-keys}}
  retention: {packetDays: 7, nodeDays: 0, observerDays: 30, metricsDays: 1}
  ingestor: {logLevel: debug, env: [{name: RUST_BACKTRACE, value: "1"}, {name: FROM, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}
  server: {logLevel: warn, maxConnections: 50, env: [{name: TZ, value: UTC}]}
  storage: {size: 10Gi}
  shutdown: {serverDrainSeconds: 3, marginSeconds: 6}
"##;

const MINIMAL: &str = r"
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {name: a}
spec: {mqttSources: [{name: bare, broker: 'mqtt://bare'}], storage: {size: 1Gi}}
";

fn resource(text: &str) -> MeshCoreDeployment {
    let resource = parse(text).unwrap().resource;
    assert_eq!(resource.validate(), []);
    resource
}

fn places(folder: &Path) -> Places {
    Places {
        db: folder.join("meshcore.db"),
        config: folder.join("ingestor.json"),
        secrets: PathBuf::from("/secrets"),
        ingestor_address: "127.0.0.1:9081".to_owned(),
        server_address: "127.0.0.1:9080".to_owned(),
    }
}

/// What the real ingestor makes of it.
fn loaded(resource: &MeshCoreDeployment) -> meshcore_ingestor::config::Loaded {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let config = resource.spec.ingestor_config(&places.secrets);
    std::fs::write(&places.config, config.to_string()).unwrap();
    let env = resource.ingestor_env(&places);
    let variable = |name: &str| {
        let (_, value) = env.iter().rev().find(|(key, _)| key == name)?;
        Some(value.clone())
    };
    // As clap fills them in from the environment.
    let args = Args {
        config: variable("MESHCORE_CONFIG").map(PathBuf::from),
        db_path: variable("DB_PATH").map(PathBuf::from),
        health_address: variable("MESHCORE_INGESTOR_ADDRESS"),
        log_level: variable("LOG_LEVEL"),
        ..Args::default()
    };
    Config::load(args).unwrap()
}

fn file(path: &str) -> SecretSource {
    SecretSource::File(PathBuf::from(path))
}

#[test]
fn the_ingestor_reads_all_of_a_full_spec() {
    let loaded = loaded(&resource(FULL));
    let config = loaded.config;
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["mqttSources[1]: the sign-in goes over the network in clear text (use mqtts or wss)"]
    );
    let local = &config.sources[0];
    assert_eq!(local.name, "local");
    assert_eq!(local.broker.to_url(), "mqtts://mosquitto:8884");
    assert_eq!(local.protocol, Protocol::V311);
    assert_eq!(local.topics, ["meshcore/SJC/#", "meshcore/SFO/#"]);
    assert!(local.iata_filter.iter().eq(["SFO", "SJC"]));
    assert_eq!(local.region.as_deref(), Some("BAY"));
    assert_eq!(
        local.credentials,
        Credentials::Password {
            username: file("/secrets/mosquitto/user"),
            password: Some(file("/secrets/mosquitto/pass")),
        }
    );
    let tls = &local.tls;
    assert_eq!(
        tls.ca_file.as_deref(),
        Some(Path::new("/secrets/ca/root.pem"))
    );
    let client = tls.client.as_ref().unwrap();
    assert_eq!(client.cert_file, Path::new("/secrets/client/tls.crt"));
    assert_eq!(client.key_file, Path::new("/secrets/client/tls.key"));
    assert_eq!(tls.server_name.as_deref(), Some("mosquitto.example"));
    assert!(!tls.insecure_skip_verify);
    assert_eq!(
        config.sources[1].credentials,
        Credentials::Password {
            username: file("/secrets/other/username"),
            password: Some(file("/secrets/other/password")),
        }
    );
    assert_eq!(config.sources[2].credentials, Credentials::Anonymous);
    assert_eq!(config.sources[2].topics, ["meshcore/#"]);
    assert_eq!(config.channels.hashtags, ["#test", "#club"]);
    assert_eq!(
        config.channels.keys_file.as_deref(),
        Some(Path::new("/secrets/channel-keys/channel-keys.yaml"))
    );
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(config.retention.packets, days(7));
    assert_eq!(config.retention.nodes, None);
    assert_eq!(config.retention.observers, days(30));
    assert_eq!(config.retention.metrics, days(1));
    assert!(config.db_path.ends_with("meshcore.db"));
    assert_eq!(config.health_address.to_string(), "127.0.0.1:9081");
    assert_eq!(config.log_level, "debug");
}

/// A field that is left out means in the resource what it means in the ingestor's own file.
#[test]
fn a_minimal_spec_means_the_defaults_of_the_ingestor() {
    let ours = loaded(&resource(MINIMAL)).config;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(
        &file,
        r#"{"mqttSources": [{"name": "bare", "broker": "mqtt://bare"}]}"#,
    )
    .unwrap();
    let theirs = Config::load(Args {
        config: Some(file),
        ..Args::default()
    });
    let mut theirs = theirs.unwrap().config;
    // Where things are is not a default of the resource.
    theirs.db_path.clone_from(&ours.db_path);
    theirs.health_address = ours.health_address;
    assert_eq!(ours, theirs);
}

#[test]
fn both_programs_read_the_shutdown_budget_back() {
    let resource = resource(FULL);
    let places = places(Path::new("/data"));
    for env in [resource.ingestor_env(&places), resource.server_env(&places)] {
        let budget = ShutdownBudget::from_lookup(|name| {
            let (_, value) = env.iter().find(|(key, _)| key == name)?;
            Some(value.into())
        });
        assert_eq!(budget.as_ref(), Ok(&resource.spec.shutdown));
    }
    let server = resource.server_env(&places);
    let value = |name: &str| {
        server
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(value("MESHCORE_SERVER_ADDRESS"), Some("127.0.0.1:9080"));
    assert_eq!(value("MESHCORE_SERVER_MAX_CONNECTIONS"), Some("50"));
    assert_eq!(value("DB_PATH"), Some("/data/meshcore.db"));
    assert_eq!(value("LOG_LEVEL"), Some("warn"));
    assert_eq!(value("TZ"), Some("UTC"));
    let ingestor = resource.ingestor_env(&places);
    assert!(ingestor.contains(&("RUST_BACKTRACE".to_owned(), "1".to_owned())));
    assert!(
        !ingestor.iter().any(|(key, _)| key == "FROM"),
        "a cluster looks it up"
    );
}

#[test]
fn every_secret_file_is_named_with_its_field() {
    let files: Vec<_> = resource(FULL)
        .spec
        .secret_files()
        .iter()
        .map(|file| format!("{} {}", file.field, file.path(Path::new("")).display()))
        .collect();
    assert_eq!(
        files,
        [
            "spec.mqttSources[0].credentialsSecretRef mosquitto/user",
            "spec.mqttSources[0].credentialsSecretRef mosquitto/pass",
            "spec.mqttSources[0].tls.caSecretRef ca/root.pem",
            "spec.mqttSources[0].tls.clientCertSecretRef client/tls.crt",
            "spec.mqttSources[0].tls.clientCertSecretRef client/tls.key",
            "spec.mqttSources[1].credentialsSecretRef other/username",
            "spec.mqttSources[1].credentialsSecretRef other/password",
            "spec.channels.keysSecretRef channel-keys/channel-keys.yaml",
        ]
    );
}
