//! The two services.

use std::collections::BTreeMap;
use std::path::Path;

use meshcore_resource::programs::{CONFIG, Env, Places};
use meshcore_resource::{Image, MeshCoreDeployment, PullPolicy};
use serde::Serialize;

use super::grace::Grace;

/// The volume with the database, as the file declares it.
const VOLUME: &str = "data";
const DATA: &str = "/data";
const DATABASE: &str = "/data/meshcore.db";
const SECRETS: &str = "/etc/meshcore/secrets";
/// The ports in the containers, as in a pod.
const SERVER_PORT: u16 = 8080;
const INGESTOR_PORT: u16 = 8081;
/// Where SQLite sorts what is too large for memory: the volume has room for it.
const SQLITE_FOLDER: &str = "SQLITE_TMPDIR";

/// A service. All that is not from the resource is what a pod has, too.
#[derive(Debug, Serialize)]
pub(super) struct Service {
    image: String,
    pull_policy: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    depends_on: BTreeMap<&'static str, Condition>,
    environment: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    volumes: Vec<Mount>,
    tmpfs: [&'static str; 1],
    healthcheck: HealthCheck,
    stop_signal: &'static str,
    stop_grace_period: String,
    restart: &'static str,
    user: &'static str,
    read_only: bool,
    cap_drop: [&'static str; 1],
    security_opt: [&'static str; 1],
}

#[derive(Debug, Serialize)]
struct Condition {
    condition: &'static str,
}

#[derive(Debug, Serialize)]
struct Mount {
    r#type: &'static str,
    source: String,
    target: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<BindOptions>,
}

#[derive(Debug, Serialize)]
struct BindOptions {
    create_host_path: bool,
}

#[derive(Debug, Serialize)]
struct HealthCheck {
    test: Vec<&'static str>,
    interval: &'static str,
    timeout: &'static str,
    retries: u8,
    start_period: &'static str,
}

/// What tells the services apart.
struct Parts<'a> {
    program: &'static str,
    digest: &'a str,
    environment: BTreeMap<String, String>,
    healthcheck: HealthCheck,
    grace: u64,
}

impl Service {
    /// The configuration is in the environment: a compose file can hold files too (`configs`), but docker can't put
    /// them into a container whose root is read-only.
    ///
    /// Its health is that it has started, as it is for the sidecar of a pod: the server must show what is stored
    /// although a full disk keeps more from being written, and whoever restarts unhealthy containers would make no
    /// room.
    pub(super) fn ingestor(resource: &MeshCoreDeployment, secrets: &str) -> Self {
        let spec = &resource.spec;
        let mut environment = environment(resource.ingestor_env(&places()));
        let config = spec.ingestor_config(Path::new(SECRETS));
        environment.insert(CONFIG.to_owned(), escaped(&format!("{config:#}")));
        let sqlite_folder = environment.entry(SQLITE_FOLDER.to_owned());
        sqlite_folder.or_insert_with(|| DATA.to_owned());
        let parts = Parts {
            program: "ingestor",
            digest: &spec.image.digests.ingestor,
            environment,
            // An hour to adopt or migrate a database.
            healthcheck: health_check(&["/usr/bin/meshcore-ingestor", "health", "--startup"], "1h"),
            grace: Grace::of(&spec.shutdown).ingestor,
        };
        let mut service = Self::of(&spec.image, parts);
        if !spec.secret_files().is_empty() {
            service.volumes.push(folder_of_secrets(secrets));
        }
        service
    }

    /// Its volume is for writing too, since readers of a WAL need its `-shm` file.
    pub(super) fn server(resource: &MeshCoreDeployment) -> Self {
        let spec = &resource.spec;
        let parts = Parts {
            program: "server",
            digest: &spec.image.digests.server,
            environment: environment(resource.server_env(&places())),
            healthcheck: health_check(&["/usr/bin/meshcore-server", "health"], "2m"),
            grace: Grace::of(&spec.shutdown).server,
        };
        let healthy = Condition {
            condition: "service_healthy",
        };
        Self {
            depends_on: BTreeMap::from([("ingestor", healthy)]),
            ports: vec![format!("{}:{SERVER_PORT}", spec.service.port)],
            ..Self::of(&spec.image, parts)
        }
    }

    fn of(image: &Image, parts: Parts<'_>) -> Self {
        let Parts {
            program,
            digest,
            environment,
            healthcheck,
            grace,
        } = parts;
        Self {
            image: image.reference(program, digest, "", env!("CARGO_PKG_VERSION")),
            pull_policy: match image.pull_policy {
                PullPolicy::IfNotPresent => "missing",
                PullPolicy::Always => "always",
                PullPolicy::Never => "never",
            },
            depends_on: BTreeMap::new(),
            environment,
            ports: Vec::new(),
            volumes: vec![data()],
            tmpfs: ["/tmp:size=16m,mode=1777"],
            healthcheck,
            stop_signal: "SIGTERM",
            stop_grace_period: format!("{grace}s"),
            restart: "unless-stopped",
            user: "65532:65532",
            read_only: true,
            cap_drop: ["ALL"],
            security_opt: ["no-new-privileges:true"],
        }
    }
}

fn places() -> Places {
    Places {
        db: DATABASE.into(),
        // What is said of the file is replaced by the configuration itself.
        config: "".into(),
        secrets: SECRETS.into(),
        ingestor_address: format!("[::]:{INGESTOR_PORT}"),
        server_address: format!("[::]:{SERVER_PORT}"),
    }
}

fn data() -> Mount {
    Mount {
        r#type: "volume",
        source: VOLUME.to_owned(),
        target: DATA,
        read_only: false,
        bind: None,
    }
}

/// The whole folder, so that a file that is replaced is seen, and that may be missing as a Secret may.
fn folder_of_secrets(source: &str) -> Mount {
    Mount {
        r#type: "bind",
        source: escaped(source),
        target: SECRETS,
        read_only: true,
        bind: Some(BindOptions {
            create_host_path: true,
        }),
    }
}

fn environment(env: Env) -> BTreeMap<String, String> {
    env.into_iter()
        .map(|(name, value)| (name, escaped(&value)))
        .collect()
}

/// Compose replaces `$NAME` by a variable of whoever calls it.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// The answer may take five seconds, and the program that asks for it must have the time to say so.
fn health_check(command: &[&'static str], start_period: &'static str) -> HealthCheck {
    HealthCheck {
        test: [&["CMD"], command].concat(),
        interval: "5s",
        timeout: "10s",
        retries: 3,
        start_period,
    }
}
