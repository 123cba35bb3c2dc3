//! The simulated mesh of `--demo`: `meshcore simulate` as a task.

use std::time::Duration;

use meshcore_config::BrokerUrl;
use meshcore_simulator::Simulation;
use tokio::task::{AbortHandle, JoinHandle};

use super::output::{Output, Who};
use crate::broker::CredentialArgs;
use crate::publisher::Publisher;
use crate::session;
use crate::simulate::send_at_its_pace;
use crate::stop::{Stop, StopHandle};
use crate::terminal::counted;

/// How long the last acknowledgements may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A simulation that is being published.
pub(super) struct Demo {
    stop: StopHandle,
    task: JoinHandle<anyhow::Result<u64>>,
}

impl Demo {
    /// Publishes to the broker at `url` from here on.
    pub(super) fn start(simulation: Simulation, url: BrokerUrl, output: Output) -> Self {
        let (handle, stop) = Stop::by_hand();
        Self {
            stop: handle,
            task: tokio::spawn(publish(simulation, url, output, stop)),
        }
    }

    /// Waits for an end that nobody asked for; why it came. Not to be stopped afterwards.
    pub(super) async fn ended(&mut self) -> String {
        match (&mut self.task).await {
            Ok(Ok(published)) => format!("{} published", counted(published, "message")),
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => panic.to_string(),
        }
    }

    /// Stops, and says how it went.
    pub(super) async fn stop(self) -> String {
        self.stop.ask();
        match self.task.await {
            Ok(Ok(published)) => {
                format!("stopped, {} published", counted(published, "message"))
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => panic.to_string(),
        }
    }

    /// Ends it without a word.
    pub(super) fn abort_handle(&self) -> AbortHandle {
        self.task.abort_handle()
    }
}

async fn publish(
    simulation: Simulation,
    url: BrokerUrl,
    output: Output,
    mut stop: Stop,
) -> anyhow::Result<u64> {
    let nobody = CredentialArgs {
        username: None,
        password_file: None,
    };
    let notices = output.clone();
    let tell = move |line: &str| notices.try_say(Who::Demo, line);
    let mut publisher = session::connect(&url, &nobody, 1, &mut stop, tell).await?;
    let options = simulation.options();
    let line = format!(
        "A simulated mesh of {} nodes and {} observers, {} receptions per second",
        options.nodes, options.observers, options.receptions_per_second
    );
    output.say(Who::Demo, &line).await;
    send_at_its_pace(simulation, &mut publisher, &mut stop).await;
    finish(publisher).await
}

async fn finish(publisher: Publisher) -> anyhow::Result<u64> {
    let (totals, result) = publisher.finish(PATIENCE).await;
    result?;
    Ok(totals.accepted)
}
