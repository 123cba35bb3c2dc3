//! The ingestor and a null subscriber, each draining the same backlog of a real broker.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rumqttc_v5::{Event, Incoming, Outgoing};

use crate::backlog::{Backlog, PATIENCE, client};
use crate::bare;
use crate::ingestor::Ingestor;
use crate::measure::{Samples, alternate, rate};
use crate::table::Figure;
use crate::traffic::{HEARD, Traffic};
use crate::{Options, runtime};

/// What we want of the null subscriber's rate, and what we aim at.
const RATIO: f64 = 0.5;
/// The most memory the ingestor may take, MiB.
const MEMORY: f64 = 64.0;

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let packets = if options.quick { 4_000 } else { 40_000 };
    let now = jiff::Timestamp::now().as_second();
    let backlog = Backlog::of(&Traffic::new(0, packets, now - 60, 1_000))?;
    let runtime = runtime()?;
    let (mut ours, mut null, mut memory) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut lost = 0;
    for round in 0..options.rounds() {
        alternate(round, |first| {
            let broker = backlog.in_a_broker(&runtime)?;
            if first {
                let folder = options.temp_dir()?;
                let ingestor = Ingestor::start(&options.ingestor()?, folder.path(), broker.port())?;
                ingestor.wait_for_acks(backlog.len())?;
                ours.push(rate(backlog.len(), ingestor.started.elapsed()));
                memory.push(ingestor.peak_resident_mib()?);
                let db = ingestor.db.clone();
                ingestor.stop()?;
                let (observations, transmissions, counted) =
                    bare::counts(&rusqlite::Connection::open(db)?)?;
                ensure!(
                    counted == observations && transmissions <= packets,
                    "{observations} rows, {counted} counted, {transmissions} packets"
                );
                lost += packets * HEARD - observations;
            } else {
                let took = runtime.block_on(drain(broker.port(), backlog.len()))?;
                null.push(rate(backlog.len(), took));
            }
            Ok(())
        })?;
    }
    let messages = backlog.len();
    Ok(vec![
        Figure::rates(
            format!("ingestor drains {messages} messages at QoS 1"),
            &ours,
            &null,
            "null subscriber",
        )
        .target("≥ 0.5 (aim 0.8)", ours.median() >= RATIO * null.median()),
        Figure::new("  … of them lost", lost.to_string()).target("0", lost == 0),
        Figure::new(
            "  … its peak resident memory",
            format!("{:.1} MiB", memory.quantile(usize::MAX)),
        )
        .target("≤ 64 MiB", memory.quantile(usize::MAX) <= MEMORY)
        .spread(&memory),
    ])
}

/// Receives and acknowledges everything, and stores nothing. Measured from before the connection to the last
/// PUBACK handed to the socket.
async fn drain(port: u16, messages: usize) -> Result<Duration> {
    let started = Instant::now();
    let work = tokio::spawn(async move {
        let (client, mut events) = client(port)?;
        let (mut received, mut acknowledged) = (0, 0);
        while acknowledged < messages {
            match events.poll().await? {
                Event::Incoming(Incoming::ConnAck(ack)) => {
                    ensure!(ack.session_present, "the broker has forgotten the session");
                }
                Event::Incoming(Incoming::Publish(publish)) => {
                    let ack = client.prepare_ack(&publish).context("a message at QoS 1")?;
                    client.try_manual_ack(ack)?;
                    received += 1;
                }
                Event::Outgoing(Outgoing::PubAck(_)) => acknowledged += 1,
                _ => {}
            }
        }
        let took = started.elapsed();
        ensure!(received == messages, "received {received} of {messages}");
        anyhow::Ok(took)
    });
    tokio::time::timeout(PATIENCE, work)
        .await
        .context("the null subscriber did not finish")??
}
