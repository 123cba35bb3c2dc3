//! Flags and environment, resolved once into what the rest uses.
#![expect(
    clippy::doc_markdown,
    reason = "the texts of flags are shown as they are"
)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use clap::{Parser, Subcommand};
use meshcore_telemetry::health::Question;

use crate::settings::Settings;

mod value;

pub use value::ConfigError;
use value::{Setting, parse, text};

/// The file in which a pod finds its own namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Turns each MeshCoreDeployment into a running analyzer, and keeps it so.
#[derive(Debug, Parser)]
#[command(name = "meshcore-operator", version)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the resources and do what they ask for, until a signal comes
    ///
    /// The API server is found as kubectl finds it, by KUBECONFIG or ~/.kube/config, and inside a pod by its service
    /// account. SIGTERM ends the operator within 25 seconds: running reconciles come to their end, and the Lease is
    /// given back. A second signal ends it at once.
    ///
    /// The exit code is 0 after a clean stop, 1 after a failure, such as a lost leadership, 2 when a flag, a variable
    /// or the kubeconfig is wrong, and 124 when it did not stop in time.
    Run(Box<RunArgs>),
    /// Ask the operator that runs with the same settings whether it is ready, from a container without a shell
    ///
    /// Prints the answer. The exit code is 0 if it is, else 1.
    Health {
        /// What to ask
        #[command(flatten)]
        question: Question,
        /// The operator's own settings
        #[command(flatten)]
        run: Box<RunArgs>,
    },
    /// Print the CustomResourceDefinition, for kubectl apply --server-side -f -
    Crd,
    /// Ask a program how it is, such as http://127.0.0.1:8080/health/ready, from a container without a shell
    ///
    /// Prints the answer. The exit code is 0 if it is 200, else 1.
    Probe {
        /// What to ask, beginning with http://
        url: String,
    },
}

/// Flags of `run`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// Namespaces to watch, separated by commas or given several times [default: all]
    ///
    /// With a list, rights in these namespaces are enough; without one, cluster-wide rights are needed.
    #[arg(long, value_name = "NAMESPACES", env = "MESHCORE_OPERATOR_NAMESPACES")]
    pub namespace: Vec<String>,

    /// Most resources that are worked on at one time [default: 16]
    #[arg(long, value_name = "N", env = "MESHCORE_OPERATOR_CONCURRENCY")]
    pub concurrency: Option<String>,

    /// Seconds after which each resource is looked at again, even if nothing has changed [default: 300]
    #[arg(long, value_name = "SECONDS", env = "MESHCORE_OPERATOR_RESYNC_SECONDS")]
    pub resync_seconds: Option<String>,

    /// Seconds after which a watch that hears nothing counts as dead [default: 330]
    ///
    /// A quiet watch hears something each minute or so, so less than 120 is too little; one whose connection is dead
    /// begins again after 295 seconds by itself. A dead watch makes the operator not ready, and fails liveness if the API server answers otherwise.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "MESHCORE_OPERATOR_WATCH_SILENCE_SECONDS"
    )]
    pub watch_silence_seconds: Option<String>,

    /// Whether to work only while holding a Lease, so that of several operators one works [default: true]
    ///
    /// With false, nothing keeps two operators from working on the same resources.
    #[arg(long, value_name = "BOOL", env = "MESHCORE_OPERATOR_LEADER_ELECTION")]
    pub leader_election: Option<String>,

    /// Name of the Lease [default: meshcore-operator]
    ///
    /// Operators that watch different namespaces need different names, or Leases in different namespaces.
    #[arg(long, value_name = "NAME", env = "MESHCORE_OPERATOR_LEASE_NAME")]
    pub lease_name: Option<String>,

    /// Namespace of the Lease [default: the pod's own, or the kubeconfig's]
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "MESHCORE_OPERATOR_LEASE_NAMESPACE"
    )]
    pub lease_namespace: Option<String>,

    /// Address and port of /health/live, /health/ready and /metrics [default: [::]:8080]
    ///
    /// The default means all addresses, IPv4 as well.
    #[arg(long, value_name = "ADDRESS", env = "MESHCORE_OPERATOR_ADDRESS")]
    pub address: Option<String>,

    /// Registry and path before the images' names, for resources that name none [default: nothing]
    #[arg(
        long,
        value_name = "REGISTRY",
        env = "MESHCORE_OPERATOR_IMAGE_REGISTRY"
    )]
    pub image_registry: Option<String>,

    /// Tag of the images, for resources that name none [default: this operator's version]
    #[arg(long, value_name = "TAG", env = "MESHCORE_OPERATOR_IMAGE_TAG")]
    pub image_tag: Option<String>,

    /// What to log: error, warn, info, debug, trace, or a filter such as info,kube=warn [default: info]
    ///
    /// LOG_FORMAT is text or json; the default is text on a terminal and json elsewhere.
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL")]
    pub log_level: Option<String>,
}

/// What the operator runs with.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The namespaces to watch.
    pub namespaces: Namespaces,
    /// Most reconciles at one time.
    pub concurrency: NonZeroU16,
    /// After how long a resource is looked at without a reason.
    pub resync: Duration,
    /// After how long without a word a watch is dead.
    pub watch_silence: Duration,
    /// The election; `None` works without one.
    pub lease: Option<LeaseConfig>,
    /// Where health and metrics are served.
    pub address: SocketAddr,
    /// What shapes the objects.
    pub settings: Settings,
    /// The log filter.
    pub log_level: String,
}

/// The namespaces that are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// All of the cluster.
    All,
    /// These, and at least one.
    Only(BTreeSet<String>),
}

/// Where the Lease is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Its name.
    pub name: String,
    /// Its namespace; `None` takes the client's own.
    pub namespace: Option<String>,
}

impl Config {
    /// Takes `args` and fills in the defaults. A value that is empty counts as one that is not set.
    ///
    /// # Errors
    /// When a value can't be used.
    pub fn resolve(args: RunArgs) -> Result<Self, ConfigError> {
        let RunArgs {
            namespace,
            concurrency,
            resync_seconds,
            watch_silence_seconds,
            leader_election,
            lease_name,
            lease_namespace,
            address,
            image_registry,
            image_tag,
            log_level,
        } = args;
        let lease = LeaseConfig {
            name: parse(lease_name, &LEASE_NAME, value::dns_name)?
                .unwrap_or_else(|| crate::names::FIELD_MANAGER.to_owned()),
            namespace: parse(lease_namespace, &LEASE_NAMESPACE, value::dns_label)?
                .or_else(|| own_namespace(Path::new(NAMESPACE_FILE))),
        };
        let elects = parse(leader_election, &LEADER_ELECTION, |text| text.parse().ok())?;
        Ok(Self {
            namespaces: namespaces(&namespace)?,
            concurrency: parse(concurrency, &CONCURRENCY, |text| {
                text.parse().ok().filter(|n: &NonZeroU16| n.get() <= 1000)
            })?
            .unwrap_or(DEFAULT_CONCURRENCY),
            resync: parse(resync_seconds, &RESYNC, |text| {
                text.parse().ok().filter(|n| (10..=86_400).contains(n))
            })?
            .map_or(DEFAULT_RESYNC, Duration::from_secs),
            watch_silence: parse(watch_silence_seconds, &WATCH_SILENCE, |text| {
                text.parse().ok().filter(|n| (5..=3600).contains(n))
            })?
            .map_or(DEFAULT_WATCH_SILENCE, Duration::from_secs),
            lease: elects.unwrap_or(true).then_some(lease),
            address: parse(address, &ADDRESS, |text| text.parse().ok())?.unwrap_or(DEFAULT_ADDRESS),
            settings: Settings {
                image_registry: parse(image_registry, &IMAGE_REGISTRY, value::registry)?
                    .unwrap_or_default(),
                image_tag: parse(image_tag, &IMAGE_TAG, value::tag)?
                    .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            },
            log_level: text(log_level).unwrap_or_else(|| "info".to_owned()),
        })
    }
}

const DEFAULT_CONCURRENCY: NonZeroU16 = NonZeroU16::new(16).unwrap();
const DEFAULT_RESYNC: Duration = Duration::from_mins(5);
const DEFAULT_WATCH_SILENCE: Duration = Duration::from_secs(330);
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8080);

const NAMESPACES: Setting = Setting {
    flag: "--namespace",
    variable: "MESHCORE_OPERATOR_NAMESPACES",
    wanted: "a list of namespaces separated by commas",
    example: "mesh-north,mesh-south, or nothing for all namespaces",
};
const CONCURRENCY: Setting = Setting {
    flag: "--concurrency",
    variable: "MESHCORE_OPERATOR_CONCURRENCY",
    wanted: "a number from 1 to 1000",
    example: "16",
};
const RESYNC: Setting = Setting {
    flag: "--resync-seconds",
    variable: "MESHCORE_OPERATOR_RESYNC_SECONDS",
    wanted: "a whole number of seconds from 10 to 86400",
    example: "300",
};
const WATCH_SILENCE: Setting = Setting {
    flag: "--watch-silence-seconds",
    variable: "MESHCORE_OPERATOR_WATCH_SILENCE_SECONDS",
    wanted: "a whole number of seconds from 5 to 3600",
    example: "330",
};
const LEADER_ELECTION: Setting = Setting {
    flag: "--leader-election",
    variable: "MESHCORE_OPERATOR_LEADER_ELECTION",
    wanted: "true or false",
    example: "true",
};
const LEASE_NAME: Setting = Setting {
    flag: "--lease-name",
    variable: "MESHCORE_OPERATOR_LEASE_NAME",
    wanted: "a name of lower-case letters, digits, - and .",
    example: "meshcore-operator",
};
const LEASE_NAMESPACE: Setting = Setting {
    flag: "--lease-namespace",
    variable: "MESHCORE_OPERATOR_LEASE_NAMESPACE",
    wanted: "the name of a namespace",
    example: "meshcore-system",
};
const ADDRESS: Setting = Setting {
    flag: "--address",
    variable: "MESHCORE_OPERATOR_ADDRESS",
    wanted: "an IP address and a port",
    example: "127.0.0.1:8080, or [::]:8080 for all addresses",
};
const IMAGE_REGISTRY: Setting = Setting {
    flag: "--image-registry",
    variable: "MESHCORE_OPERATOR_IMAGE_REGISTRY",
    wanted: "a registry and a path, without a scheme and without a slash at the end",
    example: "registry.example.org/meshcore",
};
const IMAGE_TAG: Setting = Setting {
    flag: "--image-tag",
    variable: "MESHCORE_OPERATOR_IMAGE_TAG",
    wanted: "a tag of letters, digits, _, . and -",
    example: "1.2.3",
};

fn namespaces(given: &[String]) -> Result<Namespaces, ConfigError> {
    let names = given.iter().flat_map(|list| list.split(','));
    let names = names.map(str::trim).filter(|name| !name.is_empty());
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    if let Some(wrong) = names.iter().find(|name| value::dns_label(name).is_none()) {
        return Err(NAMESPACES.refuses(wrong));
    }
    Ok(if names.is_empty() {
        Namespaces::All
    } else {
        Namespaces::Only(names)
    })
}

/// The namespace of the pod that this runs in.
fn own_namespace(file: &Path) -> Option<String> {
    text(std::fs::read_to_string(file).ok())
}

#[cfg(test)]
mod tests;
