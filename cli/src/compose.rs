//! `meshcore compose`: a compose file that runs the ingestor and the server of a resource in containers.
//!
//! The file keeps what a pod keeps: the server starts when the ingestor owns the database and stops before it, each
//! within its part of the budget; and neither can write anything but the volume.

mod file;
mod grace;
mod service;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use meshcore_resource::{MeshCoreDeployment, Parsed};

use crate::resource_file;
use crate::terminal::{Usage, tell};
use file::ComposeFile;
use grace::Grace;

#[derive(Debug, Args)]
#[command(after_help = "\
Needs images of this version: `make images`, or `docker build` as the Containerfile says.
Secrets are files, as for `meshcore up`: <DIR>/<name of the Secret>/<key>. The user 65532 of the containers reads them.

Exit codes: 0 done, 2 the resource can't be used.

Example:
  meshcore compose -f bay-area.yaml >compose.yaml && docker compose up --detach")]
pub(crate) struct ComposeArgs {
    /// The resource: YAML or JSON with one MeshCoreDeployment.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,

    /// Where the secrets are, as seen from the compose file.
    #[arg(long, value_name = "DIR", default_value = "./secrets")]
    secrets: PathBuf,
}

pub(crate) fn run(args: ComposeArgs) -> anyhow::Result<ExitCode> {
    let ComposeArgs { file, secrets } = args;
    let Parsed {
        resource, skipped, ..
    } = resource_file::load(&file)?;
    if resource.spec.stopped {
        let name = resource.name();
        let cure = "set it to false to get a compose file, and stop its containers by `docker compose stop`";
        return Err(Usage(format!("{name} is stopped (spec.stopped is true); {cure}")).into());
    }
    for skipped in &skipped {
        tell(&format!("Not in the compose file: {skipped}"));
    }
    let ignored = without_effect(&resource);
    if !ignored.is_empty() {
        tell(&format!(
            "Without effect in a compose file: {}",
            ignored.join(", ")
        ));
    }
    let secrets = bind_source(&secrets);
    let text = heading(&resource, &secrets) + &ComposeFile::new(&resource, &secrets).to_yaml()?;
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write the compose file")?;
    Ok(ExitCode::SUCCESS)
}

/// Images and the service's port have a place in a compose file.
fn without_effect(resource: &MeshCoreDeployment) -> Vec<&'static str> {
    let mut fields = resource.spec.without_effect_outside_a_cluster();
    fields.retain(|field| !["spec.image", "spec.service"].contains(field));
    if !resource.spec.image.pull_secrets.is_empty() {
        fields.push("spec.image.pullSecrets");
    }
    fields
}

/// A source that does not begin with a dot or a slash would be the name of a volume.
fn bind_source(folder: &Path) -> String {
    let text = folder.to_string_lossy().into_owned();
    if folder.is_absolute() || text.starts_with('.') {
        return text;
    }
    format!("./{text}")
}

/// What whoever opens the file should know.
fn heading(resource: &MeshCoreDeployment, secrets: &str) -> String {
    let (name, budget) = (resource.name(), &resource.spec.shutdown);
    let Grace { server, ingestor } = Grace::of(budget);
    let mut text = format!(
        "# {name}, made by `meshcore compose` {version}. Change the resource instead, and make it again.\n\
         # docker compose stops the server first, within {server} s, and then the ingestor, within {ingestor} s. That is\n\
         # the shutdown budget {budget},\n\
         # without the preStop part: there are no endpoints here that could drain.\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    let files = resource.spec.secret_files();
    if files.is_empty() {
        return text;
    }
    text += "# Secrets are files that the user 65532 can read. A new one is noticed without a restart; one that is missing\n\
             # keeps only what needs it from working:\n";
    for file in files {
        let path = file.path(secrets.as_ref());
        // Writing to a String can't fail.
        let _infallible = writeln!(text, "#   {} for {}", path.display(), file.field);
    }
    text
}
