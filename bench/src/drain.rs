//! The ingestor and a null subscriber, each draining the same backlog of a real broker.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rumqttc_v5::{Event, Incoming, Outgoing};

use crate::backlog::{Backlog, PATIENCE, client};
use crate::bare;
use crate::ingestor::Ingestor;
use crate::machine::cpu_time;
use crate::measure::{Samples, alternate, float, rate};
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
    let (mut our_cpu, mut null_cpu) = (Cpu::default(), Cpu::default());
    let mut lost = 0;
    for round in 0..options.rounds() {
        alternate(round, |first| {
            let broker = backlog.in_a_broker(&runtime)?;
            let broker_id = broker.id().context("the broker has ended")?;
            let broker_before = cpu_time(broker_id).context("the broker's processor time")?;
            if first {
                let folder = options.temp_dir()?;
                let ingestor = Ingestor::start(&options.ingestor()?, folder.path(), broker.port())?;
                ingestor.wait_for_acks(backlog.len())?;
                ours.push(rate(backlog.len(), ingestor.started.elapsed()));
                let used = ingestor.cpu_time()?;
                our_cpu.push(backlog.len(), used, broker_id, broker_before)?;
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
                let own = || cpu_time(std::process::id()).context("own processor time");
                let before = own()?;
                let took = runtime.block_on(drain(broker.port(), backlog.len()))?;
                let used = own()?.saturating_sub(before);
                null_cpu.push(backlog.len(), used, broker_id, broker_before)?;
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
        Figure::new("  … processor time for a message", our_cpu.to_string())
            .limit(null_cpu.to_string())
            .spread(&our_cpu.contender),
        Figure::new("  … of them lost", lost.to_string()).target("0", lost == 0),
        Figure::new(
            "  … its peak resident memory",
            format!("{:.1} MiB", memory.quantile(usize::MAX)),
        )
        .target("≤ 64 MiB", memory.quantile(usize::MAX) <= MEMORY)
        .spread(&memory),
    ])
}

/// Processor time for a message, in microseconds: unlike rates, nearly the same on a busy machine.
#[derive(Default)]
struct Cpu {
    contender: Samples,
    broker: Samples,
}

impl Cpu {
    /// Adds a round in which the contender used `seconds` for `messages`.
    fn push(
        &mut self,
        messages: usize,
        used: Duration,
        broker: u32,
        broker_before: Duration,
    ) -> Result<()> {
        let brokers = cpu_time(broker).context("the broker's processor time")?;
        let each = |used: Duration| used.as_secs_f64() * 1e6 / float(messages);
        self.contender.push(each(used));
        self.broker
            .push(each(brokers.saturating_sub(broker_before)));
        Ok(())
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, broker) = (self.contender.median(), self.broker.median());
        write!(f, "{own:.1} µs, broker {broker:.1}")
    }
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
