//! `meshcore validate`: what an API server would say of resources, without one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use meshcore_resource::{All, Found, MeshCoreDeployment, Parsed};

use crate::resource_file::{called, lines, load_all};
use crate::terminal::{Usage, tell};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 all are good, 2 one is not, or a file can't be read.")]
pub(crate) struct ValidateArgs {
    /// YAML or JSON with one MeshCoreDeployment or more; - is the standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The resources as they are, such as `kubectl get mcd -o yaml` prints one: what can't be changed is told too.
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
}

pub(crate) fn run(args: ValidateArgs) -> anyhow::Result<ExitCode> {
    let ValidateArgs { file, old } = args;
    let old = old.map_or_else(|| Ok(Vec::new()), |old| before(&old))?;
    let All { resources, skipped } = load_all(&file)?;
    let name = called(&file);
    let complaints: Vec<_> = resources
        .iter()
        .filter_map(|found| check(found, &old, &name).err())
        .collect();
    for skipped in &skipped {
        tell(&format!("Not looked at: {skipped}"));
    }
    if complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Usage(complaints.join("\n")).into())
}

/// Tells that a resource is good, or gives what is wrong with it.
fn check(found: &Found, old: &[MeshCoreDeployment], file: &str) -> Result<(), String> {
    let name = &found.name;
    let parsed = found
        .parsed
        .as_ref()
        .map_err(|error| format!("the resource {name} in {file} can't be used; {error}"))?;
    let resource = &parsed.resource;
    let before = old.iter().find(|old| is_same(old, resource));
    let violations = match before {
        Some(before) => resource.validate_update(before),
        None => resource.validate(),
    };
    if violations.is_empty() {
        tell_good(parsed, before.is_some(), file);
        return Ok(());
    }
    let lines = lines(parsed, &violations);
    Err(format!(
        "the resource {name} in {file} breaks rules:{lines}"
    ))
}

fn tell_good(parsed: &Parsed, is_change: bool, file: &str) {
    let resource = &parsed.resource;
    let (name, shutdown) = (resource.name(), &resource.spec.shutdown);
    let change = if is_change { ", also as a change" } else { "" };
    tell(&format!("OK: {name} in {file}{change}"));
    let grace = shutdown.termination_grace_period_seconds();
    tell(&format!("  grace {grace} s = {}", shutdown.parts()));
    let warnings = resource.warnings();
    if !warnings.is_empty() {
        tell(&format!(
            "  warning:{}",
            lines(parsed, &warnings).replace("\n ", "\n   ")
        ));
    }
}

fn is_same(old: &MeshCoreDeployment, new: &MeshCoreDeployment) -> bool {
    let (before, after) = (&old.metadata, &new.metadata);
    // What has no namespace gets that of whoever applies it.
    let is_elsewhere = before.namespace.is_some()
        && after.namespace.is_some()
        && before.namespace != after.namespace;
    before.name == after.name && !is_elsewhere
}

/// The resources before the change.
fn before(path: &Path) -> Result<Vec<MeshCoreDeployment>, Usage> {
    let resources = load_all(path)?.resources.into_iter();
    let unusable = |name, error| {
        let file = called(path);
        Usage(format!(
            "the resource {name} in {file} can't be used; {error}"
        ))
    };
    resources
        .map(|Found { name, parsed }| match parsed {
            Ok(parsed) => Ok(parsed.resource),
            Err(error) => Err(unusable(name, error)),
        })
        .collect()
}
