//! `meshcore replay`: publish a recorded feed.

mod pace;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use meshcore_config::BrokerUrl;
use tokio::time::{Instant, sleep_until};

use crate::broker::{CredentialArgs, broker_url};
use crate::feed_line::Recorded;
use crate::publisher::Publisher;
use crate::session;
use crate::stop::Stop;
use crate::terminal::{Usage, counted, tell};
use pace::Pace;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    meshcore replay feed.jsonl --broker mqtt://127.0.0.1:1883 --speed 60\n  \
    meshcore replay feed.jsonl --broker mqtt://127.0.0.1:1883 --as-fast-as-possible --loop 10")]
pub(crate) struct ReplayArgs {
    /// The recorded feed: a JSON object with topic and payload per line; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Publish to this broker: mqtt://, mqtts://, ws:// or wss://.
    #[arg(long, value_name = "URL", value_parser = broker_url)]
    broker: BrokerUrl,

    #[command(flatten)]
    credentials: CredentialArgs,

    /// MQTT quality of service: 1 waits for acknowledgements, 0 does not.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,

    /// How much faster than it was recorded, by the timestamps in the payloads.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = parse_speed)]
    speed: f64,

    /// Do not wait between messages.
    #[arg(long, conflicts_with = "speed")]
    as_fast_as_possible: bool,

    /// Play the file so many times.
    #[arg(long = "loop", default_value_t = 1, value_name = "TIMES",
        value_parser = clap::value_parser!(u64).range(1..))]
    times: u64,
}

pub(crate) fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    if args.times > 1 && args.file == Path::new("-") {
        let cure = "standard input can be played once only; give a file to --loop";
        return Err(Usage(cure.to_owned()).into());
    }
    crate::runtime()?.block_on(replay(args))
}

async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let ReplayArgs {
        file,
        broker,
        credentials,
        qos,
        speed,
        as_fast_as_possible,
        times,
    } = args;
    // A wrong file name shall not cost a connection.
    let bytes = size(&file)?;
    let bar = progress_bar(bytes.map(|bytes| bytes * times));
    let mut stop = Stop::on_signals()?;
    let notices = bar.clone();
    let tell_notice = move |line: &str| notices.suspend(|| tell(line));
    let mut publisher =
        session::connect(&broker, &credentials, qos, &mut stop, tell_notice).await?;
    let begin = Instant::now();
    let mut player = Player {
        pace: (!as_fast_as_possible).then(|| Pace::new(speed)),
        publisher: &mut publisher,
        stop: &mut stop,
        bar: &bar,
        failed: 0,
    };
    for _ in 0..times {
        let lines = open(&file)?;
        player.restart();
        if !player.play(lines).await? {
            break;
        }
    }
    let failed = player.failed;
    bar.finish_and_clear();
    let code = session::finish(publisher, qos, &stop, begin.elapsed()).await?;
    if failed > 0 {
        bail!("{} could not be read", counted(failed, "line"));
    }
    Ok(code)
}

/// What is needed to play one file.
struct Player<'a> {
    /// `None` for as fast as possible.
    pace: Option<Pace>,
    publisher: &'a mut Publisher,
    stop: &'a mut Stop,
    bar: &'a ProgressBar,
    /// Lines that could not be read.
    failed: u64,
}

impl Player<'_> {
    /// Begins the file again.
    fn restart(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.restart();
        }
    }

    /// Publishes all lines; gives false when somebody asked to stop or the broker refuses.
    async fn play(&mut self, mut lines: impl BufRead) -> anyhow::Result<bool> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let len = lines
                .read_until(b'\n', &mut line)
                .context("cannot read on")?;
            if len == 0 {
                break;
            }
            self.bar.inc(u64::try_from(len).unwrap_or(0));
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            match read_line(text) {
                Ok(recorded) => {
                    if !self.publish(recorded).await {
                        return Ok(false);
                    }
                }
                Err(err) => {
                    self.failed += 1;
                    self.bar
                        .suspend(|| tell(&format!("line {number}: {err:#}")));
                }
            }
        }
        Ok(true)
    }

    async fn publish(&mut self, recorded: Recorded) -> bool {
        let due = self.pace.as_mut().and_then(|pace| pace.due(recorded.at?));
        if let Some(due) = due {
            tokio::select! {
                biased;
                () = self.stop.asked() => return false,
                () = sleep_until(due) => {}
            }
        }
        tokio::select! {
            biased;
            () = self.stop.asked() => false,
            published = self.publisher.publish(recorded.message) => published.is_ok(),
        }
    }
}

fn read_line(line: &[u8]) -> anyhow::Result<Recorded> {
    Ok(Recorded::parse(std::str::from_utf8(line)?)?)
}

/// Size of the file in bytes; `None` for standard input.
fn size(path: &Path) -> anyhow::Result<Option<u64>> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let metadata = std::fs::metadata(path)
        .with_context(|| format!("cannot read the feed {}", path.display()))?;
    if metadata.is_dir() {
        bail!(
            "{} is a folder; give the file with the feed",
            path.display()
        );
    }
    Ok(Some(metadata.len()))
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file =
        File::open(path).with_context(|| format!("cannot read the feed {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(256 * 1024, file)))
}

/// A bar on a terminal; nothing elsewhere.
fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    let Some(bytes) = bytes else {
        return ProgressBar::hidden();
    };
    let style = "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {eta} left";
    ProgressBar::new(bytes).with_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok();
    speed
        .filter(|speed| speed.is_finite() && *speed > 0.0)
        .ok_or_else(|| "give a number above 0, such as 60".to_owned())
}
