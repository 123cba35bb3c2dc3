//! `meshcore simulate`: a simulated mesh, published to a broker or written to a file.

mod broker;
mod file;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use meshcore_config::BrokerUrl;
use meshcore_simulator::{FeedMessage, Region, Simulation, SimulationOptions};

use crate::broker::{CredentialArgs, broker_url};
use crate::terminal::Usage;

pub(crate) use broker::send_at_its_pace;

/// What the simulation of a file starts at: equal seeds shall give equal files.
const FILE_START: Timestamp = Timestamp::constant(1_767_225_600, 0);

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    meshcore simulate --broker mqtt://127.0.0.1:1883\n  \
    meshcore simulate --broker mqtt://127.0.0.1:1883 --count 100000 --as-fast-as-possible\n  \
    meshcore simulate --output feed.jsonl --count 2000 --seed 7")]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    credentials: CredentialArgs,

    /// MQTT quality of service: 1 waits for acknowledgements, 0 does not.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,

    /// Receptions per second, over all observers.
    #[arg(long, default_value_t = 5.0, value_name = "PER_SECOND")]
    rate: f64,

    /// End after so many messages.
    #[arg(long, value_name = "MESSAGES")]
    count: Option<u64>,

    /// End after so much simulated time, such as 90s, 10m or 2h.
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,

    /// Everything random follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Number of nodes.
    #[arg(long, default_value_t = 60)]
    nodes: usize,

    /// Number of observers; each one is also a node.
    #[arg(long, default_value_t = 8)]
    observers: usize,

    /// Regions by their airports.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "SJC,SFO,OAK",
        value_name = "IATA,…"
    )]
    regions: Vec<String>,

    /// When the simulation begins, such as 2026-03-01T12:00:00Z [default: now; with --output
    /// 2026-01-01T00:00:00Z; with --as-fast-as-possible so that it ends about now].
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,

    /// Do not wait between messages.
    #[arg(long)]
    as_fast_as_possible: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Publish to this broker: mqtt://, mqtts://, ws:// or wss://.
    #[arg(long, value_name = "URL", value_parser = broker_url)]
    broker: Option<BrokerUrl>,

    /// Write to this file, - for standard output: a JSON object with topic and payload per line.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: SimulateArgs) -> anyhow::Result<std::process::ExitCode> {
    let SimulateArgs {
        target: Target { broker, output },
        credentials,
        qos,
        rate,
        count,
        duration,
        seed,
        nodes,
        observers,
        regions,
        start,
        as_fast_as_possible,
    } = args;
    let limits = Limits { count, duration };
    let is_paced = broker.is_some() && !as_fast_as_possible;
    let default_start = match &broker {
        Some(_) if is_paced => Timestamp::now(),
        Some(_) => begin_of(Timestamp::now(), limits.span(rate)),
        None => FILE_START,
    };
    let options = SimulationOptions {
        seed,
        start: start.unwrap_or(default_start),
        nodes,
        observers,
        regions: regions
            .iter()
            .map(|iata| Region::named(iata.trim()))
            .collect(),
        receptions_per_second: rate,
        ..SimulationOptions::default()
    };
    let simulation = Simulation::new(options).map_err(|err| Usage(err.to_string()))?;
    match (broker, output) {
        (Some(url), _) => {
            let broker = broker::Target {
                url,
                credentials,
                qos,
                is_paced,
            };
            crate::runtime()?.block_on(broker::publish(simulation, limits, broker))
        }
        (None, Some(path)) => file::write(simulation, limits, &path),
        (None, None) => Err(Usage("give --broker or --output".to_owned()).into()),
    }
}

/// When to end.
#[derive(Clone, Copy, Debug)]
struct Limits {
    count: Option<u64>,
    duration: Option<Duration>,
}

impl Limits {
    /// Whether the simulation ends before this message.
    fn ends_before(self, message: &FeedMessage, published: u64) -> bool {
        self.count.is_some_and(|count| published >= count)
            || self.duration.is_some_and(|duration| message.at >= duration)
    }

    /// Whether it ends at all.
    fn is_endless(self) -> bool {
        self.count.is_none() && self.duration.is_none()
    }

    /// About how much simulated time there will be; none when it is endless.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn span(self, rate: f64) -> Duration {
        let by_count = self
            .count
            .and_then(|count| Duration::try_from_secs_f64(count as f64 / rate).ok());
        match (by_count, self.duration) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(Duration::ZERO),
        }
    }
}

fn begin_of(end: Timestamp, span: Duration) -> Timestamp {
    let begin = SignedDuration::try_from(span)
        .ok()
        .and_then(|span| end.checked_sub(span).ok());
    begin.unwrap_or(end)
}

/// `90s`, `10m`, `2h 30m`; a bare number counts seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let duration = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok()),
    };
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "give a time such as 90s, 10m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_count_seconds() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("2h30m"), Ok(Duration::from_mins(150)));
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1_500)));
        for text in ["", "0", "-5s", "soon", "NaN"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_span_is_the_shorter_of_the_limits() {
        let limits = |count, duration| Limits { count, duration };
        let minute = Some(Duration::from_mins(1));
        assert_eq!(limits(Some(50), minute).span(5.0), Duration::from_secs(10));
        assert_eq!(
            limits(Some(5_000), minute).span(5.0),
            Duration::from_mins(1)
        );
        assert_eq!(limits(None, None).span(5.0), Duration::ZERO);
    }
}
