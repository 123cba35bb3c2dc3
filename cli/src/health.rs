//! `meshcore health`: whether both programs that `meshcore up` runs are as they should be, for the health check of a
//! container.

use std::process::ExitCode;

use clap::Args;
use meshcore_telemetry::health::{Question, report};

use crate::up::Listen;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 both are, 1 one is not, or does not answer.")]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    question: Question,

    #[command(flatten)]
    listen: Listen,
}

pub(crate) fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let HealthArgs { question, listen } = args;
    crate::runtime()?.block_on(async {
        let ingestor = report("meshcore-ingestor", listen.ingestor, question).await;
        let server = report("meshcore-server", listen.server, question).await;
        let is_good = [ingestor, server] == [ExitCode::SUCCESS; 2];
        Ok(ExitCode::from(u8::from(!is_good)))
    })
}
