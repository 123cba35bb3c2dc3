//! `meshcore up`: runs the ingestor and the server with the settings of a resource, without a cluster.
//!
//! ```text
//! plan ─▶ stage: broker → ingestor until ready → server until ready → demo ─▶ until Ctrl-C
//!                                                stopped in the opposite order ◀─┘
//! ```
//!
//! The children live and die with this process, also when it is killed: each has a pipe as its standard input that
//! only this process, and for the ingestor also the server, keeps open. When it ends, the server sees the end of its
//! pipe and stops; when the server has stopped, so does the ingestor.

mod backoff;
mod broker;
mod demo;
mod ended;
mod health;
mod lines;
mod output;
mod place;
mod plan;
mod program;
mod report;
mod sources;
mod stage;
mod supervisor;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use meshcore_lifecycle::exit_code;

use crate::stop::Stop;
use crate::terminal::{complain, tell};
use output::{Output, Who};
use place::DataError;
use plan::Plan;
use stage::{Ending, Stage};

#[derive(Debug, Args)]
#[command(after_help = "\
Without --file an embedded broker is started for feeders to publish to; nothing in it survives its exit.
Secrets are files: <DIR>/<name of the Secret>/<key>.

Exit codes:
  0              all stopped cleanly
  2              the command line, the file, a port, a folder or a program can't be used
  3              another `meshcore up` has the data, or the database was refused
  129, 130, 143  a second signal ended everything at once
  else           the highest code of the programs; one that had to be killed counts as 124

Examples:
  meshcore up --demo
  meshcore up -f manifests/samples/minimal.yaml --data /var/lib/meshcore")]
pub(crate) struct UpArgs {
    /// The resource: YAML or JSON with one MeshCoreDeployment.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Feed a simulated mesh into the embedded broker.
    #[arg(long)]
    demo: bool,

    /// Where the database is [default: data/<name of the resource>].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where the secrets are [default: secrets beside the file].
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,

    #[command(flatten)]
    listen: Listen,

    /// The port of the embedded broker [default: 1883 if it is free, else any].
    #[arg(long, value_name = "PORT")]
    broker_port: Option<u16>,

    /// Receptions per second of the simulated mesh, over all observers.
    #[arg(
        long,
        default_value_t = 5.0,
        value_name = "PER_SECOND",
        requires = "demo"
    )]
    rate: f64,
}

/// Where the programs listen.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Where the server listens; port 0 takes a free one.
    #[arg(long = "listen", value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) server: SocketAddr,

    /// Where the ingestor serves health and metrics; port 0 takes a free one.
    #[arg(long = "health-address", value_name = "ADDRESS", default_value = "127.0.0.1:8081", value_parser = address)]
    pub(crate) ingestor: SocketAddr,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse().map_err(|_| {
        "give an address and a port, such as 127.0.0.1:8080, or [::]:8080 for all addresses"
            .to_owned()
    })
}

pub(crate) fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(args)?;
    if plan.resource.spec.stopped {
        let name = plan.resource.name();
        tell(&format!(
            "{name} is stopped (spec.stopped is true): nothing is run. Set it to false to run it"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = crate::runtime()?;
    let code = runtime.block_on(conduct(plan));
    // A question to a program that does not answer must not hold the exit up.
    runtime.shutdown_background();
    code
}

async fn conduct(plan: Plan) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::on_signals_twice()?;
    let _lock = match place::lock_data(&plan.data) {
        Ok(lock) => lock,
        Err(error) => {
            let code = match error {
                DataError::NotWritable { .. } => exit_code::CONFIG,
                DataError::InUse { .. } => exit_code::STORE_REFUSED,
            };
            complain(&error.into());
            return Ok(ExitCode::from(code));
        }
    };
    let output = Output::start()?;
    let mut stage = Stage::set(plan, output.clone()).await?;
    let ending = tokio::select! {
        biased;
        ending = stage.play() => ending,
        () = stop.asked() => Ending::Asked,
    };
    let code = stage.clear(&ending, &stop).await;
    if let Ending::Refused { program, refused } = ending {
        let line = format!(
            "error: the {program} can't work like this: {}",
            refused.sentence
        );
        output.say(Who::Up, &line).await;
    }
    output.flush().await;
    Ok(ExitCode::from(code))
}
