//! The program from its first readiness to its exit code: what runs, and in which order it stops.

mod connect;
mod election;
mod prepare;
mod stop;
mod work;

use std::time::Duration;

use anyhow::Result;
use meshcore_lifecycle::{Cause, Outcome, Readiness, ShutdownManager, Signals};
use tokio::sync::watch;

use crate::args::Config;
use crate::discovery::Discovery;
use election::Election;
use prepare::Prepared;
use stop::stop;

/// The name in reports.
const PROGRAM: &str = "operator";
/// How long a stop may take. Less than the 30 s that a pod has by default.
const STOP: Duration = Duration::from_secs(25);

/// Runs until a signal comes, or the leadership is lost; says how it ended.
///
/// # Errors
/// When it can't start: the port is taken, or there is no way to an API server.
pub async fn run(config: Config, signals: &Signals) -> Result<Outcome> {
    let readiness = Readiness::starting("looking for the API server");
    let shutdown = ShutdownManager::new(PROGRAM, STOP)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_readiness(readiness.clone())
        .with_signals(signals)?;
    let mut prepared = Prepared::new(&config, &readiness).await?;
    prepared.serve(config.address, &readiness)?;
    Ok(prepared.run(config, &readiness, shutdown, signals).await)
}

impl Prepared {
    /// Waits for the API server, then for the leadership, and works until something ends that.
    async fn run(
        self,
        config: Config,
        readiness: &Readiness,
        shutdown: ShutdownManager,
        signals: &Signals,
    ) -> Outcome {
        let Self {
            probe,
            mut discovery,
            elector,
            leadership,
            work,
            ..
        } = self;
        let works = probe.works();
        tokio::spawn(probe.run());
        tokio::select! {
            signal = signals.first() => return shutdown.run(Cause::Signal(signal)).await,
            () = begin(works, &mut discovery) => {}
        }
        tokio::spawn(discovery.run());
        readiness.started();

        let mut election = Election::begin(elector);
        let cause = tokio::select! {
            signal = signals.first() => Some(Cause::Signal(signal)),
            lost = election.ended() => Some(lost),
            () = leadership.acquired() => None,
        };
        if let Some(cause) = cause {
            return stop(shutdown, None, election, cause).await;
        }
        let mut working = work.start(&config);
        let cause = tokio::select! {
            signal = signals.first() => Cause::Signal(signal),
            lost = election.ended() => lost,
            cause = working.ended() => cause,
        };
        // Whoever leads no longer must not write another word; whoever does may finish what was begun.
        let may_finish = leadership.holds();
        stop(shutdown, Some((working, may_finish)), election, cause).await
    }
}

/// Waits until there is something to work with, and looks at what the cluster serves, so that the first reconciles know
/// it.
async fn begin(mut works: watch::Receiver<bool>, discovery: &mut Discovery) {
    // The sender lives in the probe, which never ends.
    _ = works.wait_for(|works| *works).await;
    if let Err(error) = discovery.look().await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "What the cluster serves can't be read yet");
    }
}
