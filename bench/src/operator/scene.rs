//! What is measured of the operator on one control plane.

use std::time::{Duration, Instant};

use anyhow::Result;
use meshcore_resource::MeshCoreDeployment;
use meshcore_testkit::kubernetes::{AuditEntry, AuditMark, Requests};

use super::cluster::{Cluster, MESHES};
use super::process::{Memory, Operator};
use super::{SAME, SAME_RECEIVED, Size, received, resources, unrelated};
use crate::Options;
use crate::measure::float;
use crate::table::Figure;

/// What the operator did with new resources.
pub(super) struct Applied {
    /// From the first creation until all have their objects and a status.
    pub(super) took: Duration,
    /// Requests until nothing more came.
    pub(super) calls: usize,
    pub(super) writes: usize,
    pub(super) memory: Memory,
    /// Processor time until nothing more came.
    pub(super) cpu: Duration,
}

/// What the operator does with resources that it has.
pub(super) struct Later {
    steady: Steady,
    unrelated: Unrelated,
    restart: Restart,
}

/// A while in which nothing happens.
struct Steady {
    minutes: f64,
    calls: usize,
    /// Renewals of the Lease.
    renewals: usize,
    /// Questions at fixed times.
    questions: usize,
    cpu: Duration,
    received: Received,
}

/// What came over the connections in some time.
#[derive(Debug, Clone, Copy)]
struct Received {
    kib: f64,
    seconds: f64,
}

/// Objects come that are none of its business.
struct Unrelated {
    counts: unrelated::Counts,
    before: Memory,
    after: Memory,
    calls: usize,
    received: Received,
    /// What was received while nothing happened.
    at_rest: Received,
}

/// A new process finds what is there.
struct Restart {
    took: Duration,
    calls: usize,
    writes: usize,
    memory: Memory,
}

/// Measures `count` new resources, and with `more` what comes after.
pub(super) async fn play(
    options: &Options,
    cluster: &Cluster,
    count: usize,
    more: Option<&Size>,
) -> Result<(Applied, Option<Later>)> {
    let mut operator = Operator::start(&options.operator()?, cluster)?;
    operator.wait_ready()?;
    // Until it has the Lease and its watches have listed what there is, which no resource is charged for.
    operator.wait_quiet().await?;
    let applied = apply(cluster, &operator, count).await?;
    let Some(size) = more else {
        operator.stop()?;
        return Ok((applied, None));
    };
    let steady = stay(cluster, &operator, size.steady).await?;
    let unrelated = disregard(cluster, &operator, size, steady.received).await?;
    operator.stop()?;
    let later = Later {
        steady,
        unrelated,
        restart: restart(options, cluster, count).await?,
    };
    Ok((applied, Some(later)))
}

async fn apply(cluster: &Cluster, operator: &Operator, count: usize) -> Result<Applied> {
    let followed = resources::follow(cluster, count).await?;
    let mark = cluster.plane.audit().mark().await?;
    let (began, used) = (Instant::now(), operator.cpu_time()?);
    let api = cluster.api::<MeshCoreDeployment>(MESHES);
    resources::create(&api, count, drop).await?;
    let ended = followed.end().await?;
    // All were applied before the status was; if not, the wait for them counts.
    let missing = resources::all_there(cluster, count).await?;
    let is_late = missing > Duration::from_secs(5);
    let took = ended - began + if is_late { missing } else { Duration::ZERO };
    operator.wait_quiet().await?;
    let calls = calls(cluster, mark).await?;
    Ok(Applied {
        took,
        calls: calls.len(),
        writes: calls.writes().len(),
        memory: operator.memory()?,
        cpu: operator.cpu_time()?.saturating_sub(used),
    })
}

async fn stay(cluster: &Cluster, operator: &Operator, time: Duration) -> Result<Steady> {
    crate::say(&format!("{} s of doing nothing", time.as_secs()));
    let mark = cluster.plane.audit().mark().await?;
    let (began, used) = (Instant::now(), operator.cpu_time()?);
    let before = operator.received()?;
    tokio::time::sleep(time).await;
    let received = Received::since(&before, began, operator)?;
    let cpu = operator.cpu_time()?.saturating_sub(used);
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let all = cluster.plane.audit().since(mark).await?;
    let all = all.by_user(cluster.operator.user());
    let renewals = all.iter().filter(|call| call.resource == "leases").count();
    let questions = all.iter().filter(|call| is_at_fixed_times(call)).count();
    let calls = calls(cluster, mark).await?;
    Ok(Steady {
        minutes,
        calls: calls.len(),
        renewals,
        questions,
        cpu,
        received,
    })
}

async fn disregard(
    cluster: &Cluster,
    operator: &Operator,
    size: &Size,
    at_rest: Received,
) -> Result<Unrelated> {
    crate::say("objects that are none of the operator's business");
    let (before, received) = (operator.memory()?, operator.received()?);
    let mark = cluster.plane.audit().mark().await?;
    let began = Instant::now();
    unrelated::create(cluster, size.unrelated).await?;
    tokio::time::sleep(size.steady.saturating_sub(began.elapsed())).await;
    let received = Received::since(&received, began, operator)?;
    operator.wait_quiet().await?;
    Ok(Unrelated {
        counts: size.unrelated,
        before,
        after: operator.memory()?,
        calls: calls(cluster, mark).await?.len(),
        received,
        at_rest,
    })
}

async fn restart(options: &Options, cluster: &Cluster, count: usize) -> Result<Restart> {
    crate::say("the operator starts again");
    let mark = cluster.plane.audit().mark().await?;
    let mut operator = Operator::start(&options.operator()?, cluster)?;
    let took = operator.wait_reconciles(float(count)).await?;
    operator.wait_quiet().await?;
    let calls = calls(cluster, mark).await?;
    let memory = operator.memory()?;
    operator.stop()?;
    Ok(Restart {
        took,
        calls: calls.len(),
        writes: calls.writes().len(),
        memory,
    })
}

/// What the operator asked of objects since `mark`, but for its Lease and its watches. What it asks at fixed times,
/// however many objects there are, is left out: whether the API server lives and lets it list, and what it serves.
async fn calls(cluster: &Cluster, mark: AuditMark) -> Result<Requests> {
    let all = cluster.plane.audit().since(mark).await?;
    Ok(all.by_user(cluster.operator.user()).only(is_about_objects))
}

fn is_about_objects(call: &AuditEntry) -> bool {
    !is_at_fixed_times(call) && call.resource != "leases" && call.verb != "watch"
}

/// What the API server serves, or its answer to a list of one resource at most, by which the operator probes it.
fn is_at_fixed_times(call: &AuditEntry) -> bool {
    let query = call.uri.split_once('?').map_or("", |(_, query)| query);
    call.resource.is_empty()
        || call.verb == "list" && query.split('&').any(|pair| pair == "limit=1")
}

impl Received {
    fn since(before: &received::Received, began: Instant, operator: &Operator) -> Result<Self> {
        let bytes = operator.received()?.since(before);
        Ok(Self {
            kib: float(usize::try_from(bytes)?) / 1024.0,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// By how much this is more than what `other` would be in the same time, KiB.
    fn more_than(self, other: Self) -> f64 {
        self.kib - other.kib * self.seconds / other.seconds
    }
}

impl Later {
    /// The lines of the table.
    pub(super) fn figures(&self) -> Vec<Figure> {
        vec![self.steady(), self.unrelated(), self.restart()]
    }

    fn steady(&self) -> Figure {
        let Steady {
            minutes,
            calls,
            renewals,
            questions,
            cpu,
            received,
        } = &self.steady;
        Figure::new(
            "  … API calls a minute when nothing happens",
            format!(
                "{:.0}; {:.0} for the Lease, {:.0} at fixed times; {:.2} s of processor time, {:.0} KiB received",
                float(*calls) / minutes,
                float(*renewals) / minutes,
                float(*questions) / minutes,
                cpu.as_secs_f64() / minutes,
                received.kib / minutes,
            ),
        )
        .target("0 for objects", *calls == 0)
    }

    fn unrelated(&self) -> Figure {
        let Unrelated {
            counts,
            before,
            after,
            calls,
            received,
            at_rest,
        } = &self.unrelated;
        let more = after.now - before.now;
        let more_received = received.more_than(*at_rest);
        Figure::new(
            format!(
                "  … beside {} new Secrets, {} ConfigMaps and {} pods of others",
                counts.secrets, counts.config_maps, counts.pods
            ),
            format!(
                "{calls} calls, {more:+.1} MiB, peak {:.1} MiB, {more_received:+.0} KiB received",
                after.peak
            ),
        )
        .limit(format!("{:.0} KiB of others", unrelated::kib(*counts)))
        .target(
            "unchanged",
            more <= SAME
                && after.peak - before.peak <= SAME
                && more_received <= SAME_RECEIVED
                && *calls == 0,
        )
    }

    fn restart(&self) -> Figure {
        let Restart {
            took,
            calls,
            writes,
            memory,
        } = &self.restart;
        Figure::new(
            "  … started again among all of these, looks at each",
            format!(
                "{:.2} s, {calls} calls, {writes} writes, peak {:.1} MiB",
                took.as_secs_f64(),
                memory.peak
            ),
        )
        .target("0 writes", *writes == 0)
    }
}
