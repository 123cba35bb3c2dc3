//! The ingestor as a process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use meshcore_testkit::{Program, free_port, http_get};
use serde_json::json;

use crate::backlog::{CLIENT_ID, PATIENCE, TOPICS};
use crate::machine::{cpu_time, peak_resident_mib};

/// A running ingestor.
pub(crate) struct Ingestor {
    program: Program,
    health: String,
    /// When it was started.
    pub(crate) started: Instant,
    /// Its database.
    pub(crate) db: PathBuf,
}

impl Ingestor {
    /// Starts it with its files in `folder`, on the session that has the backlog.
    pub(crate) fn start(binary: &Path, folder: &Path, broker_port: u16) -> Result<Self> {
        ensure!(
            binary.exists(),
            "{} is missing: cargo build --release -p meshcore-ingestor",
            binary.display()
        );
        let db = folder.join("meshcore.db");
        let health = format!("127.0.0.1:{}", free_port());
        let config = json!({
            "dbPath": db,
            "healthAddress": health,
            "mqttSources": [{
                "name": "bench",
                "broker": format!("mqtt://127.0.0.1:{broker_port}"),
                "clientId": CLIENT_ID,
                "topics": [TOPICS],
            }],
        });
        let file = folder.join("config.json");
        std::fs::write(&file, config.to_string())?;
        let arguments = ["--config", file.to_str().context("a path in UTF-8")?];
        let log = folder.join("ingestor.log");
        let started = Instant::now();
        let program = Program::start::<&str, &str>(binary, &arguments, &[], &log)?;
        Ok(Self {
            program,
            health,
            started,
            db,
        })
    }

    /// Waits until it has acknowledged `count` messages.
    pub(crate) fn wait_for_acks(&self, count: usize) -> Result<()> {
        let url = format!("http://{}/metrics", self.health);
        loop {
            let text = http_get(&url).map(|(_, body)| body).unwrap_or_default();
            let acks = text
                .lines()
                .find_map(|line| line.strip_prefix("meshcore_acks_sent_total "))
                .and_then(|value| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if acks >= count {
                return Ok(());
            }
            ensure!(
                self.started.elapsed() < PATIENCE,
                "{acks} of {count} acknowledged:\n{}",
                self.program.log()
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The most memory it ever had resident, in MiB.
    pub(crate) fn peak_resident_mib(&self) -> Result<f64> {
        peak_resident_mib(self.program.id()).context("the ingestor's memory")
    }

    /// The processor time it has used so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.program.id()).context("the ingestor's processor time")
    }

    /// Asks it to stop and waits for its clean end.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.program.terminate()?;
        let status = self.program.wait(Duration::from_mins(1))?;
        ensure!(
            status.success(),
            "the ingestor ended with {status}:\n{}",
            self.program.log()
        );
        Ok(())
    }

    /// Kills it without a word.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.program.kill()?;
        Ok(())
    }
}
