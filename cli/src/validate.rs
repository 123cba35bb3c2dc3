//! `meshcore validate`: what the API server would say of a resource, without one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::resource_file;
use crate::terminal::tell;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 it is good, 2 it is not.")]
pub(crate) struct ValidateArgs {
    /// The file: YAML or JSON with one MeshCoreDeployment.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(args: ValidateArgs) -> anyhow::Result<ExitCode> {
    let ValidateArgs { file } = args;
    let parsed = resource_file::load(&file)?;
    let resource = &parsed.resource;
    tell(&format!(
        "OK: {} in {}\nGrace period: {}",
        resource.name(),
        file.display(),
        resource.spec.shutdown
    ));
    for skipped in &parsed.skipped {
        tell(&format!("Not looked at: {skipped}"));
    }
    Ok(ExitCode::SUCCESS)
}
