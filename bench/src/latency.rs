//! One packet at a time: what a single commit costs beside one sync of the same disk.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use anyhow::Result;

use crate::bare::Bare;
use crate::measure::{Samples, milliseconds};
use crate::storing::{new_file, open};
use crate::table::Figure;
use crate::traffic::{Prepared, Traffic};
use crate::{Options, runtime};

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let packets = if options.quick { 40 } else { 200 };
    let traffic = Traffic::new(0, packets, 1_780_000_000, 10);
    let all: Prepared = traffic.prepare(0..traffic.receptions())?;
    let runtime = runtime()?;
    let (ours_in, plain_in, folder) = (
        options.temp_dir()?,
        options.temp_dir()?,
        options.temp_dir()?,
    );
    let mut store = {
        let path = runtime.block_on(new_file(&ours_in))?;
        runtime.block_on(open(&path))?
    };
    let mut bare = Bare::open(&runtime.block_on(new_file(&plain_in))?, "FULL")?;
    let mut file = File::create(folder.path().join("synced"))?;
    let (mut ours, mut plain, mut sync) =
        (Samples::default(), Samples::default(), Samples::default());
    for record in all.records.chunks(1) {
        let started = Instant::now();
        runtime.block_on(store.write(record, &all))?;
        ours.push(milliseconds(started.elapsed()));

        let started = Instant::now();
        bare.write(record, &all)?;
        plain.push(milliseconds(started.elapsed()));

        let started = Instant::now();
        file.write_all(&[0xA5; 4096])?;
        file.sync_data()?;
        sync.push(milliseconds(started.elapsed()));
    }
    runtime.block_on(store.close())?;
    Ok(vec![
        line(
            "commit one reception, p50",
            &ours,
            &sync,
            2,
            "write and fdatasync of 4 KiB",
        ),
        line(
            "commit one reception, p99",
            &ours,
            &sync,
            100,
            "write and fdatasync of 4 KiB",
        ),
        line(
            "  … by the plain loop, p50",
            &plain,
            &sync,
            2,
            "write and fdatasync of 4 KiB",
        ),
    ])
}

fn line(name: &str, measured: &Samples, limit: &Samples, quantile: usize, what: &str) -> Figure {
    let (measured, limit) = (measured.quantile(quantile), limit.quantile(quantile));
    Figure::new(name, format!("{measured:.2} ms"))
        .limit(format!("{limit:.2} ms {what}"))
        .ratio(limit / measured)
}
