//! The server as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use meshcore_testkit::{Program, free_port, http_get};

use crate::machine::{cpu_time, peak_resident_mib, resident_mib};

/// How long it may take to be ready before something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Server {
    program: Program,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    started: Instant,
}

impl Server {
    /// Starts it on `db`, with its log in `folder`.
    pub(crate) fn start(binary: &Path, folder: &Path, db: &Path) -> Result<Self> {
        ensure!(
            binary.exists(),
            "{} is missing: cargo build --release -p meshcore-server",
            binary.display()
        );
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listen = address.to_string();
        let db = db.to_str().context("a path in UTF-8")?;
        let arguments = [
            "--db",
            db,
            "--listen",
            &listen,
            "--max-connections",
            "5000",
            "--max-connections-per-address",
            "5000",
        ];
        let log = folder.join("server.log");
        let started = Instant::now();
        let program = Program::start::<&str, &str>(binary, &arguments, &[], &log)?;
        Ok(Self {
            program,
            address,
            started,
        })
    }

    /// The address of a page.
    pub(crate) fn url(&self, page: &str) -> String {
        format!("http://{}{page}", self.address)
    }

    /// Waits until it is ready; gives how long that took from its start.
    pub(crate) fn wait_ready(&self) -> Result<Duration> {
        let url = self.url("/health/ready");
        loop {
            if http_get(&url).is_ok_and(|(status, _)| status == 200) {
                return Ok(self.started.elapsed());
            }
            ensure!(
                self.started.elapsed() < PATIENCE,
                "the server is not ready:\n{}",
                self.program.log()
            );
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// The most memory it ever had resident, in MiB.
    pub(crate) fn peak_resident_mib(&self) -> Result<f64> {
        peak_resident_mib(self.program.id()).context("the server's memory")
    }

    /// What it has resident now, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        resident_mib(self.program.id()).context("the server's memory")
    }

    /// The processor time that it has taken so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.program.id()).context("the server's clock")
    }

    /// Asks it to stop and waits for its clean end.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.program.terminate()?;
        let status = self.program.wait(Duration::from_mins(1))?;
        ensure!(
            status.success(),
            "the server ended with {status}:\n{}",
            self.program.log()
        );
        Ok(())
    }
}
