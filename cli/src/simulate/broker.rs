//! Publishing the simulation to a broker.

use std::process::ExitCode;

use bytes::Bytes;
use meshcore_config::BrokerUrl;
use meshcore_simulator::{FeedMessage, Simulation};
use tokio::time::{Instant, sleep_until};

use super::Limits;
use crate::broker::CredentialArgs;
use crate::publisher::{Message, Publisher};
use crate::session;
use crate::stop::Stop;
use crate::terminal::tell;

/// Where to publish, and how.
pub(super) struct Target {
    pub(super) url: BrokerUrl,
    pub(super) credentials: CredentialArgs,
    pub(super) qos: u8,
    pub(super) is_paced: bool,
}

/// Publishes until a limit is reached or somebody asks to stop.
pub(super) async fn publish(
    simulation: Simulation,
    limits: Limits,
    target: Target,
) -> anyhow::Result<ExitCode> {
    let Target {
        url,
        credentials,
        qos,
        is_paced,
    } = target;
    let mut stop = Stop::on_signals()?;
    let mut publisher = session::connect(&url, &credentials, qos, &mut stop, tell).await?;
    tell(&announcement(&simulation, &url, is_paced));
    let begin = Instant::now();
    send(
        simulation,
        limits,
        is_paced,
        begin,
        &mut publisher,
        &mut stop,
    )
    .await;
    session::finish(publisher, qos, &stop, begin.elapsed()).await
}

/// Sends a simulation without an end, each message at its time, until somebody asks to stop or the broker refuses.
pub(crate) async fn send_at_its_pace(
    simulation: Simulation,
    publisher: &mut Publisher,
    stop: &mut Stop,
) {
    let limits = Limits {
        count: None,
        duration: None,
    };
    send(simulation, limits, true, Instant::now(), publisher, stop).await;
}

/// Sends until a limit is reached, somebody asks to stop, or the broker refuses.
async fn send(
    simulation: Simulation,
    limits: Limits,
    is_paced: bool,
    begin: Instant,
    publisher: &mut Publisher,
    stop: &mut Stop,
) {
    for (count, message) in (0..).zip(simulation) {
        if limits.ends_before(&message, count) {
            return;
        }
        if is_paced {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                () = sleep_until(begin + message.at) => {}
            }
        }
        tokio::select! {
            biased;
            () = stop.asked() => return,
            published = publisher.publish(to_mqtt(message)) => if published.is_err() {
                return;
            }
        }
    }
}

fn to_mqtt(message: FeedMessage) -> Message {
    Message {
        topic: message.topic,
        payload: Bytes::from(message.payload),
        retain: message.retain,
    }
}

fn announcement(simulation: &Simulation, url: &BrokerUrl, is_paced: bool) -> String {
    let options = simulation.options();
    let regions: Vec<&str> = options
        .regions
        .iter()
        .map(|region| region.iata.as_str())
        .collect();
    let pace = if is_paced {
        format!("{} receptions per second", options.receptions_per_second)
    } else {
        "as fast as possible".to_owned()
    };
    format!(
        "Publishing {} nodes and {} observers in {} to {url}, {pace}, seed {}; Ctrl-C ends it",
        options.nodes,
        options.observers,
        regions.join(", "),
        options.seed,
    )
}
