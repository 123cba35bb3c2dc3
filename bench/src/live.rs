//! The live feed: from the PUBACK at a proxy before the ingestor to the frame at a WebSocket client, by one
//! clock, through a real broker, the ingestor, the file and the server.

mod client;
mod plain;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use meshcore_testkit::{AckProxy, Mosquitto, MosquittoOptions, Publisher, numbered_packet};

use self::client::{Client, Seen, Stalled};
use crate::ingestor::Ingestor;
use crate::measure::{Samples, float, milliseconds};
use crate::server::Server;
use crate::table::Figure;
use crate::{Options, runtime};

/// A client that wants each packet in a frame of its own.
const UNBATCHED: &str = "/ws";
/// A client that takes what 50 ms bring in one frame.
const BATCHED: &str = "/ws?batch=50";
/// How long after the last message its frames may come.
const LATEST: Duration = Duration::from_secs(5);
/// How many batched clients look at what they get; the others count bytes, or this program would need more
/// of the processor than the server.
const LOOKING: usize = 100;

/// A run: who listens, and what is published.
struct Scenario {
    clients: usize,
    path: &'static str,
    looking: usize,
    per_second: u32,
    seconds: u32,
    stalled: usize,
}

/// What came of it.
struct Outcome {
    latency: Samples,
    lost: usize,
    /// Processor seconds of the server in each second.
    cores: f64,
    kib_per_client: f64,
    bytes_per_frame: usize,
    frames_per_second: f64,
}

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let seconds = if options.quick { 2 } else { 20 };
    let (few, many) = if options.quick {
        (50, 200)
    } else {
        (500, 2_000)
    };
    let runtime = runtime()?;
    let unbatched = Scenario {
        clients: few,
        path: UNBATCHED,
        looking: few,
        per_second: 50,
        seconds,
        stalled: 0,
    };
    let alone = runtime.block_on(measure(options, &unbatched))?;
    let beside = runtime.block_on(measure(
        options,
        &Scenario {
            stalled: 5,
            ..unbatched
        },
    ))?;
    let batched = runtime.block_on(measure(
        options,
        &Scenario {
            clients: many,
            path: BATCHED,
            looking: LOOKING.min(many),
            per_second: 100,
            seconds,
            stalled: 0,
        },
    ))?;
    let plain = plain::cores(many, batched.bytes_per_frame, batched.frames_per_second)?;
    let (p99_alone, p99_beside) = (alone.latency.quantile(100), beside.latency.quantile(100));
    Ok(vec![
        latency(
            format!("PUBACK to frame, {few} clients, 50 messages/s"),
            &alone,
            100.0,
        ),
        latency(
            "  … beside 5 clients that never read".to_owned(),
            &beside,
            100.0,
        )
        .limit(format!("p99 {p99_alone:.1} ms without them"))
        .ratio(p99_alone / p99_beside),
        latency(
            format!("PUBACK to frame, {many} batched clients, 100 messages/s"),
            &batched,
            200.0,
        ),
        Figure::new(
            "  … the server's processor time",
            format!("{:.2} cores", batched.cores),
        )
        .limit(format!("{plain:.2} cores plain write() of the same bytes"))
        .ratio(plain / batched.cores)
        .target("≤ 1 core", batched.cores <= 1.0),
        Figure::new(
            "  … its memory for each client",
            format!("{:.1} KiB", batched.kib_per_client),
        )
        .target("≤ 40 KB", batched.kib_per_client * 1.024 <= 40.0),
    ])
}

fn latency(name: String, outcome: &Outcome, limit: f64) -> Figure {
    let (p50, p99) = (outcome.latency.median(), outcome.latency.quantile(100));
    Figure::new(
        name,
        format!("p50 {p50:.1} ms, p99 {p99:.1} ms, {} lost", outcome.lost),
    )
    .target(
        &format!("p99 ≤ {limit:.0} ms, 0 lost"),
        p99 <= limit && outcome.lost == 0,
    )
}

async fn measure(options: &Options, scenario: &Scenario) -> Result<Outcome> {
    let folder = options.temp_dir()?;
    let broker = Mosquitto::start(&MosquittoOptions::default())?;
    let proxy = AckProxy::start(broker.port()).await?;
    let ingestor = Ingestor::start(&options.ingestor()?, folder.path(), proxy.port())?;
    let mut publisher = Publisher::start(broker.port(), "bench-live", 100)?;
    // One message through it all: the session, the tables and the caches are there when the clock starts.
    let first = numbered_packet(0);
    while proxy.count() == 0 {
        publisher
            .publish(&first.topic, first.payload.clone())
            .await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let server = Server::start(&options.server()?, folder.path(), &ingestor.db)?;
    tokio::task::block_in_place(|| server.wait_ready())?;
    let before = server.resident_mib()?;
    let outcome = listen(scenario, &server, &proxy, &mut publisher, before).await?;
    server.stop()?;
    ingestor.stop()?;
    Ok(outcome)
}

async fn listen(
    scenario: &Scenario,
    server: &Server,
    proxy: &AckProxy,
    publisher: &mut Publisher,
    resident_before: f64,
) -> Result<Outcome> {
    let mut stalled = Vec::new();
    for _ in 0..scenario.stalled {
        stalled.push(Stalled::connect(server.address, UNBATCHED).await?);
    }
    let seen = Arc::new(Seen::default());
    let mut clients = Vec::new();
    for n in 0..scenario.clients {
        let looks = n < scenario.looking;
        clients
            .push(Client::connect(server.address, scenario.path, looks, Arc::clone(&seen)).await?);
    }
    let acknowledged_before = proxy.count();
    let (started, cpu_before) = (Instant::now(), server.cpu_time()?);
    let messages = scenario.per_second * scenario.seconds;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / scenario.per_second);
    for n in 1..=messages {
        tick.tick().await;
        let packet = numbered_packet(u64::from(n));
        publisher.publish(&packet.topic, packet.payload).await?;
    }
    let worked = server.cpu_time()?.saturating_sub(cpu_before);
    let cores = worked.as_secs_f64() / started.elapsed().as_secs_f64();
    let expected = usize::try_from(messages)? * scenario.looking;
    let until = Instant::now() + LATEST;
    while seen.count() < expected && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let frames_per_second =
        float(seen.frames()) / started.elapsed().as_secs_f64() / float(scenario.clients);
    let kib_per_client =
        (server.resident_mib()? - resident_before) * 1024.0 / float(scenario.clients);
    for client in clients {
        client.close();
    }
    drop(stalled);
    let acknowledged: HashMap<String, Instant> = proxy
        .acknowledged_since(acknowledged_before)
        .into_iter()
        .filter_map(|message| Some((hash_in(&message.payload)?, message.at)))
        .collect();
    ensure!(!acknowledged.is_empty(), "nothing was acknowledged");
    let mut latency = Samples::default();
    for (hash, at) in seen.take() {
        if let Some(acknowledged) = acknowledged.get(&hash) {
            // The commit comes before the PUBACK, so a frame may even be a moment earlier than that.
            latency.push(milliseconds(at.saturating_duration_since(*acknowledged)));
        }
    }
    Ok(Outcome {
        lost: expected.saturating_sub(latency.len()),
        latency,
        cores,
        kib_per_client,
        bytes_per_frame: seen.bytes() / seen.frames().max(1),
        frames_per_second,
    })
}

/// The packet hash of a numbered packet's message.
fn hash_in(payload: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let frame = hex::decode(json.get("raw")?.as_str()?).ok()?;
    Some(meshcore_testkit::packet_hash_of(&frame))
}
