//! What is to be run and where: from the command line and the file, before anything is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use meshcore_resource::{
    MeshCoreDeployment, MeshCoreDeploymentSpec, MqttSource, Parsed, Protocol, Skipped, Storage,
};
use meshcore_simulator::{Simulation, SimulationOptions};

use super::UpArgs;
use crate::resource_file;
use crate::terminal::Usage;

/// What is to be run and where.
pub(super) struct Plan {
    pub(super) resource: MeshCoreDeployment,
    pub(super) data: PathBuf,
    pub(super) secrets: PathBuf,
    pub(super) server: SocketAddr,
    pub(super) ingestor: SocketAddr,
    /// The embedded broker, if there is to be one.
    pub(super) broker: Option<BrokerWish>,
    pub(super) demo: Option<Simulation>,
    /// What to know before it begins.
    pub(super) notes: Vec<String>,
}

/// The embedded broker as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokerWish {
    /// The port, if one was named.
    pub(super) port: Option<u16>,
    /// The name of the source that listens to it.
    pub(super) source: String,
}

impl Plan {
    /// Reads the file, if there is one, and decides.
    ///
    /// # Errors
    /// [`Usage`] for a file or flags that can't be used.
    pub(super) fn new(args: UpArgs) -> Result<Self, Usage> {
        let UpArgs {
            file,
            demo,
            data,
            secrets,
            listen,
            broker_port,
            rate,
        } = args;
        let demo = demo.then(|| simulation(rate)).transpose()?;
        let (resource, skipped) = match &file {
            Some(file) => {
                let parsed = resource_file::load(file)?;
                let Parsed {
                    resource, skipped, ..
                } = parsed;
                (resource, skipped)
            }
            None => (without_file(demo.is_some()), Vec::new()),
        };
        let is_embedded = file.is_none() || demo.is_some();
        if broker_port.is_some() && !is_embedded {
            let cure = "--broker-port is for the embedded broker, which is not started for a file without --demo";
            return Err(Usage(cure.to_owned()));
        }
        let source = if file.is_some() { "demo" } else { "embedded" };
        let broker = is_embedded.then(|| BrokerWish {
            port: broker_port,
            source: free_name(source, &resource.spec.mqtt_sources),
        });
        let secrets = secrets.unwrap_or_else(|| beside(file.as_deref()).join("secrets"));
        let mut notes = notes_of_skipped(&skipped, &secrets);
        notes.extend(note_without_effect(&resource.spec));
        notes.extend(notes_of_missing_secrets(&resource.spec, &secrets));
        Ok(Self {
            data: data.unwrap_or_else(|| Path::new("data").join(resource.name())),
            resource,
            secrets,
            server: listen.server,
            ingestor: listen.ingestor,
            broker,
            demo,
            notes,
        })
    }
}

/// The source that listens to the embedded broker.
pub(super) fn embedded_source(name: &str, url: String) -> MqttSource {
    MqttSource {
        name: name.to_owned(),
        broker: url,
        protocol: Some(Protocol::V311),
        ..MqttSource::default()
    }
}

/// The resource when there is no file: the embedded broker will be its one source. Simulated and real data have
/// different names, and so different folders.
fn without_file(is_demo: bool) -> MeshCoreDeployment {
    let name = if is_demo { "demo" } else { "local" };
    let spec = MeshCoreDeploymentSpec::new(Vec::new(), Storage::default());
    MeshCoreDeployment::new(name, spec)
}

fn simulation(rate: f64) -> Result<Simulation, Usage> {
    let options = SimulationOptions {
        start: Timestamp::now(),
        receptions_per_second: rate,
        ..SimulationOptions::default()
    };
    Simulation::new(options).map_err(|error| Usage(error.to_string()))
}

/// `name`, or with a number behind it.
fn free_name(name: &str, sources: &[MqttSource]) -> String {
    let is_free = |name: &String| sources.iter().all(|source| source.name != *name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(is_free).unwrap_or_default()
}

/// The folder of a file.
fn beside(file: Option<&Path>) -> PathBuf {
    let folder = file.and_then(Path::parent);
    folder.map(Path::to_owned).unwrap_or_default()
}

fn notes_of_skipped(skipped: &[Skipped], secrets: &Path) -> Vec<String> {
    let note = |skipped: &Skipped| match skipped.kind.as_str() {
        "Secret" => format!(
            "{skipped} of the file is not read: without a cluster, secrets are files; write its values to {}",
            secrets.join(&skipped.name).join("<key>").display()
        ),
        _ => format!("{skipped} of the file means nothing without a cluster"),
    };
    skipped.iter().map(note).collect()
}

fn note_without_effect(spec: &MeshCoreDeploymentSpec) -> Option<String> {
    let fields = spec.without_effect_outside_a_cluster();
    (!fields.is_empty()).then(|| format!("Without effect outside a cluster: {}", fields.join(", ")))
}

fn notes_of_missing_secrets(spec: &MeshCoreDeploymentSpec, secrets: &Path) -> Vec<String> {
    let files = spec.secret_files().into_iter();
    let missing = files.filter(|file| !file.path(secrets).exists());
    missing
        .map(|file| {
            format!(
                "Missing: {}, which {} asks for. Until it is there, what needs it does not work; the rest does",
                file.path(secrets).display(),
                file.field
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_the_demo_has_a_name_of_its_own() {
        let named = |names: &[&str]| {
            let sources: Vec<_> = names
                .iter()
                .map(|name| embedded_source(name, String::new()))
                .collect();
            free_name("demo", &sources)
        };
        assert_eq!(named(&["local"]), "demo");
        assert_eq!(named(&["demo", "demo-2"]), "demo-3");
    }
}
