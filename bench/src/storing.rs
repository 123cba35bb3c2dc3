//! The store alone: receptions into durable rows, beside the plain loop of [`crate::bare`].
//!
//! Once into an empty file, and once into a file that already holds a million packets, where looking up and
//! inserting hashes is not all in memory any more.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use meshcore_store::{BATCH_ROWS, Store, StoreOptions};
use tempfile::TempDir;

use crate::bare::{self, Bare};
use crate::checkpoints::Checkpoints;
use crate::measure::{Samples, alternate, rate};
use crate::table::Figure;
use crate::traffic::{HEARD, Prepared, Traffic};
use crate::{Options, runtime};

/// What we want on the reference machine, and as a part of the plain loop.
const RECEPTIONS: f64 = 60_000.0;
const RATIO: f64 = 0.6;
/// When the made-up traffic begins.
const START: i64 = 1_780_000_000;
/// How many receptions are prepared at a time to fill a file.
const FILL_BATCH: usize = 50_000;

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let packets = if options.quick { 4_000 } else { 40_000 };
    let already = if options.quick { 20_000 } else { 1_000_000 };
    Ok(vec![
        into_empty(options, packets)?,
        into_full(options, packets, already)?,
    ])
}

fn into_empty(options: &Options, packets: usize) -> Result<Figure> {
    let traffic = Traffic::new(0, packets, START, 1_000);
    let prepared = traffic.prepare(0..traffic.receptions())?;
    let runtime = runtime()?;
    let (mut ours, mut plain) = (Samples::default(), Samples::default());
    for round in 0..options.rounds() {
        alternate(round, |first| {
            let folder = options.temp_dir()?;
            let path = runtime.block_on(new_file(&folder))?;
            if first {
                let mut store = runtime.block_on(open(&path))?;
                ours.push(write_store(&runtime, &mut store, &prepared)?);
                runtime.block_on(store.close())?;
            } else {
                let mut bare = Bare::open(&path, "FULL")?;
                plain.push(write_bare(&mut bare, &prepared)?);
            }
            check(&path, traffic.receptions(), packets)
        })?;
    }
    Ok(figure(
        "store receptions, empty file".to_owned(),
        &ours,
        &plain,
    ))
}

/// With more rounds than elsewhere: when a checkpoint falls due, and what the disk is doing then, is chance.
fn into_full(options: &Options, packets: usize, already: usize) -> Result<Figure> {
    let folder = options.temp_dir()?;
    let runtime = runtime()?;
    crate::say(&format!(
        "filling a file with {} observations",
        already * HEARD
    ));
    let path = runtime.block_on(new_file(&folder))?;
    fill(&path, already, START, 1)?;
    let size = std::fs::metadata(&path)?.len() >> 20;
    // Both get a copy: one that was filled bit by bit lies differently on the disk.
    let [ours_in, plain_in] = ["ours.db", "plain.db"].map(|name| folder.path().join(name));
    std::fs::copy(&path, &ours_in).context("copy the file")?;
    std::fs::copy(&path, &plain_in).context("copy the file")?;
    std::fs::remove_file(&path)?;
    // What is still on its way to the disk would slow down whoever comes first.
    rustix::fs::sync();
    let mut store = runtime.block_on(open(&ours_in))?;
    let mut bare = Bare::open(&plain_in, "FULL")?;
    let (mut ours, mut plain) = (Samples::default(), Samples::default());
    let start = START + i64::try_from(already)?;
    let rounds = options.rounds() * 2 - 1;
    for round in 0..rounds {
        let traffic = Traffic::new(already + round * packets, packets, start, 1_000);
        let prepared = traffic.prepare(0..traffic.receptions())?;
        alternate(round, |first| {
            if first {
                ours.push(write_store(&runtime, &mut store, &prepared)?);
            } else {
                plain.push(write_bare(&mut bare, &prepared)?);
            }
            Ok(())
        })?;
    }
    runtime.block_on(store.close())?;
    let all = already + rounds * packets;
    ensure!(
        bare.counts()? == (all * HEARD, all, all * HEARD),
        "the plain loop lost rows: {:?}",
        bare.counts()?
    );
    check(&ours_in, all * HEARD, all)?;
    let name = format!(
        "store receptions, {} observations there ({size} MiB)",
        already * HEARD
    );
    Ok(figure(name, &ours, &plain))
}

fn figure(name: String, ours: &Samples, plain: &Samples) -> Figure {
    Figure::rates(name, ours, plain, "plain SQLite loop")
        .target("≥ 60 k/s", ours.median() >= RECEPTIONS)
        .target("≥ 0.6", ours.median() >= RATIO * plain.median())
}

/// A new file with the schema, closed.
pub(crate) async fn new_file(folder: &TempDir) -> Result<PathBuf> {
    let path = folder.path().join("meshcore.db");
    open(&path).await?.close().await?;
    Ok(path)
}

/// The store as the ingestor opens it, without the ballast.
pub(crate) async fn open(path: &Path) -> Result<Store> {
    let options = StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::new(path, "meshcore-bench")
    };
    let (store, _) = Store::open(options).await?;
    Ok(store)
}

/// Writes everything in batches as large as the writer's, and gives back receptions per second.
fn write_store(
    runtime: &tokio::runtime::Runtime,
    store: &mut Store,
    prepared: &Prepared,
) -> Result<f64> {
    let mut checkpoints = Checkpoints::new();
    let started = Instant::now();
    runtime.block_on(async {
        for batch in prepared.records.chunks(BATCH_ROWS) {
            store.write(batch, prepared).await?;
            checkpoints.step(store).await?;
        }
        anyhow::Ok(())
    })?;
    Ok(rate(prepared.records.len(), started.elapsed()))
}

fn write_bare(bare: &mut Bare, prepared: &Prepared) -> Result<f64> {
    let started = Instant::now();
    for batch in prepared.records.chunks(BATCH_ROWS) {
        bare.write(batch, prepared)?;
    }
    Ok(rate(prepared.records.len(), started.elapsed()))
}

/// Fills a file with history from `start` on, so many packets a second.
pub(crate) fn fill(path: &Path, packets: usize, start: i64, per_second: usize) -> Result<()> {
    let traffic = Traffic::new(0, packets, start, per_second);
    let mut bare = Bare::open(path, "OFF")?;
    let mut from = 0;
    while from < traffic.receptions() {
        let to = traffic.receptions().min(from + FILL_BATCH);
        let prepared = traffic.prepare(from..to)?;
        bare.write(&prepared.records, &prepared)?;
        from = to;
    }
    bare.checkpoint("TRUNCATE")?;
    Ok(())
}

/// Everything is there, and the aggregates agree.
fn check(path: &Path, observations: usize, transmissions: usize) -> Result<()> {
    let db = rusqlite::Connection::open(path)?;
    let counts = bare::counts(&db)?;
    ensure!(
        counts == (observations, transmissions, observations),
        "{counts:?} rows, but there should be {observations} and {transmissions}"
    );
    Ok(())
}
