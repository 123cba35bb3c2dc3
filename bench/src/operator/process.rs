//! The operator as a process.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use meshcore_testkit::{Program, free_port, http_get};

use super::cluster::{Cluster, SYSTEM};
use super::received::Received;
use crate::machine::{cpu_time, peak_resident_mib, resident_mib};

/// Longer than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// For how long nothing happens in an operator that has done all there is to do: longer than it gathers events, and
/// than a controller takes to answer what the operator did.
const QUIET: Duration = Duration::from_secs(3);
/// How often its metrics are asked for: each time it counts all resources by their conditions.
const PERIOD: Duration = Duration::from_millis(200);

/// Resident memory, MiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// The most that it ever was.
    pub(super) peak: f64,
    /// What it is.
    pub(super) now: f64,
}

/// A running operator.
pub(super) struct Operator {
    program: Program,
    address: String,
    started: Instant,
}

impl Operator {
    /// Starts it with the rights of its account, over the whole cluster, and with the variables of its image.
    pub(super) fn start(binary: &Path, cluster: &Cluster) -> Result<Self> {
        ensure!(
            binary.exists(),
            "{} is missing: cargo build --release -p meshcore-operator",
            binary.display()
        );
        let address = format!("127.0.0.1:{}", free_port());
        let arguments = ["run", "--address", &address, "--lease-namespace", SYSTEM];
        let kubeconfig = cluster.operator.kubeconfig();
        let log = cluster.plane.folder().join("operator.log");
        let started = Instant::now();
        let mut env = image_env()?;
        env.push(("KUBECONFIG", kubeconfig.as_os_str()));
        let program = Program::start(binary, &arguments, &env, &log)?;
        Ok(Self {
            program,
            address,
            started,
        })
    }

    /// Waits until it is ready.
    pub(super) fn wait_ready(&mut self) -> Result<()> {
        let url = format!("http://{}/health/ready", self.address);
        self.program.wait_ready(&url, PATIENCE)
    }

    /// How long it has run.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The value of one of its metrics that has no labels; 0 before it is there.
    pub(super) fn metric(&self, name: &str) -> Result<f64> {
        let (status, text) = http_get(&format!("http://{}/metrics", self.address))?;
        ensure!(status == 200, "/metrics answers {status}");
        let line = text.lines().find_map(|line| {
            let value = line.strip_prefix("meshcore_operator_")?;
            value.strip_prefix(name)?.strip_prefix(' ')
        });
        line.map_or(Ok(0.0), |value| Ok(value.parse()?))
    }

    /// How many reconciles have ended.
    pub(super) fn reconciles(&self) -> Result<f64> {
        self.metric("reconcile_seconds_count")
    }

    /// Waits until it has ended as many reconciles as `count`; gives its age then.
    pub(super) async fn wait_reconciles(&mut self, count: f64) -> Result<Duration> {
        let until = Instant::now() + PATIENCE;
        while self.reconciles().unwrap_or_default() < count {
            ensure!(
                self.program.ended()?.is_none() && Instant::now() < until,
                "the operator has not looked at all resources:\n{}",
                self.program.log()
            );
            tokio::time::sleep(PERIOD).await;
        }
        Ok(self.age())
    }

    /// Waits until it has nothing more to do.
    pub(super) async fn wait_quiet(&self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let (mut last, mut since) = (f64::NAN, Instant::now());
        while since.elapsed() < QUIET {
            ensure!(
                Instant::now() < until,
                "the operator finds no rest:\n{}",
                self.program.log()
            );
            let busy = self.metric("reconciles_running")? + self.metric("queue_depth")?;
            let seen = self.reconciles()? + busy;
            #[expect(clippy::float_cmp, reason = "both are counts")]
            if busy > 0.0 || seen != last {
                (last, since) = (seen, Instant::now());
            }
            tokio::time::sleep(PERIOD).await;
        }
        Ok(())
    }

    /// Its resident memory.
    pub(super) fn memory(&self) -> Result<Memory> {
        let id = self.program.id();
        Ok(Memory {
            peak: peak_resident_mib(id).context("the operator's memory")?,
            now: resident_mib(id).context("the operator's memory")?,
        })
    }

    /// What it has received on its connections.
    pub(super) fn received(&self) -> Result<Received> {
        Received::by(self.program.id())
    }

    /// The processor time that it has taken so far.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.program.id()).context("the operator's clock")
    }

    /// Asks it to stop and waits for its clean end.
    pub(super) fn stop(mut self) -> Result<()> {
        self.program.terminate()?;
        let status = self.program.wait(Duration::from_mins(1))?;
        ensure!(
            status.success(),
            "the operator ended with {status}:\n{}",
            self.program.log()
        );
        Ok(())
    }
}

/// The variables that the Containerfile gives the operator.
fn image_env() -> Result<Vec<(&'static str, &'static OsStr)>> {
    let recipe = include_str!("../../../Containerfile");
    let mut targets = recipe.split("FROM ");
    let target = targets.find(|target| target.starts_with("scratch AS operator\n"));
    let lines = target.context("the Containerfile has no operator")?.lines();
    let variables = lines.filter_map(|line| line.strip_prefix("ENV "));
    let pairs = variables.flat_map(str::split_whitespace).map(|variable| {
        let (name, value) = variable.split_once('=').context("ENV is NAME=value")?;
        Ok((name, OsStr::new(value)))
    });
    pairs.collect()
}
