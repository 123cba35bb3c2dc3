//! The operator on a real control plane: how soon many resources are applied, what that costs the API server, and how
//! much memory it takes. Beside it a plain loop that sends the same objects with the same concurrency.
//!
//! Each measurement has a control plane of its own, with the controller manager on it: StatefulSets make pods, which
//! stay pending, and their status comes back to the operator as in a real cluster.

mod bare;
mod cluster;
mod process;
mod received;
mod resources;
mod scene;
mod unrelated;

use anyhow::Result;
use meshcore_testkit::kubernetes::{ControlPlane, Version};
use tokio::runtime::Runtime;

use self::bare::Bare;
use self::cluster::Cluster;
use self::scene::{Applied, Later};
use crate::measure::{Samples, alternate, float};
use crate::table::Figure;
use crate::{Options, runtime};

/// How many resources are worked on at one time, by the operator (its default) and by the plain loop.
const CONCURRENCY: usize = 16;
/// How soon the largest number of resources must be applied, seconds.
const SECONDS: f64 = 60.0;
/// The most API calls that one creation may take.
const CALLS: f64 = 15.0;
/// By how much memory may differ and be called unchanged, MiB: less than what a single list takes for a moment.
const SAME: f64 = 1.0;
/// By how much what is received may differ and be called unchanged, KiB: the API server's index of what it serves,
/// which is read twice a minute, once more or less.
const SAME_RECEIVED: f64 = 64.0;

/// How much is done.
pub(super) struct Size {
    /// How many resources, and the most memory the operator may take then, MiB.
    counts: [(usize, Option<f64>); 3],
    unrelated: unrelated::Counts,
    /// For how long nothing is to happen, and for how long at least others are busy.
    steady: std::time::Duration,
}

impl Size {
    fn of(options: &Options) -> Self {
        let (few, many) = if options.quick { (5, 20) } else { (100, 1_000) };
        Self {
            counts: [(1, Some(25.0)), (few, None), (many, Some(60.0))],
            unrelated: unrelated::Counts {
                secrets: 2 * many,
                config_maps: many / 2,
                pods: many / 5,
            },
            steady: std::time::Duration::from_secs(if options.quick { 3 } else { 60 }),
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let size = Size::of(options);
    let runtime = runtime()?;
    let mut figures = Vec::new();
    for (count, memory) in size.counts {
        let is_last = count == size.counts[2].0;
        let mut rounds = Rounds::default();
        for round in 0..options.rounds() {
            let more = (is_last && round == 0).then_some(&size);
            if !rounds.add(options, &runtime, round, count, more)? {
                return Ok(vec![Figure::new("operator", "SKIPPED: Go is missing")]);
            }
        }
        figures.extend(rounds.figures(count, memory, is_last));
    }
    Ok(figures)
}

/// What the rounds of one number of resources gave.
#[derive(Default)]
struct Rounds {
    ours: Vec<Applied>,
    bare: Vec<Bare>,
    later: Option<Later>,
}

impl Rounds {
    /// Adds a round of both contenders; `false` without a control plane to do it on.
    fn add(
        &mut self,
        options: &Options,
        runtime: &Runtime,
        round: usize,
        count: usize,
        more: Option<&Size>,
    ) -> Result<bool> {
        let mut is_possible = true;
        alternate(round, |ours| {
            let Some(plane) = ControlPlane::start(Version::chosen())? else {
                is_possible = false;
                return Ok(());
            };
            crate::say(&format!(
                "{count} resources by {}",
                if ours { "the operator" } else { "a plain loop" }
            ));
            runtime.block_on(async {
                let cluster = Cluster::prepare(plane).await?;
                if ours {
                    let (applied, later) = scene::play(options, &cluster, count, more).await?;
                    self.ours.push(applied);
                    self.later = self.later.take().or(later);
                } else {
                    self.bare.push(bare::run(&cluster, count).await?);
                }
                Ok(())
            })
        })?;
        Ok(is_possible)
    }

    fn samples<T>(of: &[T], value: impl Fn(&T) -> f64) -> Samples {
        let mut samples = Samples::default();
        for one in of {
            samples.push(value(one));
        }
        samples
    }

    fn figures(&self, count: usize, most_memory: Option<f64>, is_last: bool) -> Vec<Figure> {
        let (ours, bare) = (self.ours.as_slice(), self.bare.as_slice());
        let mut figures = vec![
            self.time(count, is_last),
            Self::calls(ours, count),
            Self::memory(ours, most_memory),
        ];
        let cpu = Self::samples(ours, |one| one.cpu.as_secs_f64() * 1e3 / float(count));
        let created = Self::samples(bare, |one| one.created.as_secs_f64());
        figures.push(
            Figure::new(
                "  … processor time for each",
                format!("{:.1} ms", cpu.median()),
            )
            .limit(format!(
                "{:.2} s the API server takes to create them alone",
                created.median()
            ))
            .spread(&cpu),
        );
        figures.extend(self.later.iter().flat_map(Later::figures));
        figures
    }

    fn time(&self, count: usize, is_last: bool) -> Figure {
        let ours = Self::samples(&self.ours, |one| one.took.as_secs_f64());
        let bare = Self::samples(&self.bare, |one| one.applied.as_secs_f64());
        let figure = Figure::new(
            format!("operator applies {count} new resources"),
            format!("{:.2} s", ours.median()),
        )
        .limit(format!(
            "{:.2} s plain loop, {} writes each",
            bare.median(),
            bare::WRITES
        ))
        .ratio(bare.median() / ours.median())
        .spread(&ours);
        if is_last {
            return figure.target("≤ 60 s", ours.quantile(usize::MAX) <= SECONDS);
        }
        figure
    }

    fn calls(ours: &[Applied], count: usize) -> Figure {
        let each = |calls: usize| float(calls) / float(count);
        let calls = Self::samples(ours, |one| each(one.calls));
        let writes = Self::samples(ours, |one| each(one.writes));
        let figure = Figure::new(
            "  … API calls for each, all until it is quiet",
            format!(
                "{:.1}, {:.1} of them writes",
                calls.median(),
                writes.median()
            ),
        )
        .spread(&calls);
        figure.target("≤ 15", calls.quantile(usize::MAX) <= CALLS)
    }

    fn memory(ours: &[Applied], most: Option<f64>) -> Figure {
        let peak = Self::samples(ours, |one| one.memory.peak);
        let settled = Self::samples(ours, |one| one.memory.now);
        let most_seen = peak.quantile(usize::MAX);
        let figure = Figure::new(
            "  … its peak resident memory, and what stays",
            format!("{most_seen:.1} MiB, {:.1} MiB", settled.median()),
        )
        .spread(&peak);
        match most {
            Some(most) => figure.target(&format!("≤ {most:.0} MiB"), most_seen <= most),
            None => figure,
        }
    }
}
