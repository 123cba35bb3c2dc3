//! The server on a file with a long history: how soon it is ready, and how much memory it takes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use meshcore_store::BATCH_ROWS;
use meshcore_testkit::http_get;
use rusqlite::{Connection, OpenFlags};

use crate::measure::{Samples, milliseconds};
use crate::server::Server;
use crate::storing::{new_file, open};
use crate::table::Figure;
use crate::traffic::{Prepared, Shape, Traffic};
use crate::{Options, runtime};

/// How soon the server must be ready, milliseconds.
const READY: f64 = 500.0;
/// The most memory the server may take, MiB.
const MEMORY: f64 = 64.0;
/// How often each page is asked for.
const ASKED: usize = 50;
/// What a page of the web asks for.
const PAGES: [&str; 5] = [
    "/api/stats",
    "/api/packets?limit=100",
    "/api/packets?limit=1000",
    "/api/nodes?limit=500",
    "/api/observers",
];

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let packets = if options.quick { 2_000 } else { 100_000 };
    let shape = Shape {
        heard: 10,
        observers: 80,
        nodes: 1_000,
    };
    let traffic = Traffic::shaped(shape, 0, packets, 1_780_000_000, 1);
    let folder = options.temp_dir()?;
    crate::say(&format!(
        "filling a file with {} observations",
        traffic.receptions()
    ));
    let db = fill(&traffic, &folder)?;
    let (mut ready, mut plain, mut memory) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut pages: Vec<Samples> = PAGES.iter().map(|_| Samples::default()).collect();
    for _ in 0..options.rounds() {
        let started = Instant::now();
        plain_totals(&db)?;
        plain.push(milliseconds(started.elapsed()));

        let server = Server::start(&options.server()?, folder.path(), &db)?;
        ready.push(milliseconds(server.wait_ready()?));
        for (page, times) in PAGES.iter().zip(&mut pages) {
            let url = server.url(page);
            for _ in 0..ASKED {
                let started = Instant::now();
                let (status, _) = http_get(&url)?;
                times.push(milliseconds(started.elapsed()));
                ensure!(status == 200, "{url} answered {status}");
            }
        }
        memory.push(server.peak_resident_mib()?);
        server.stop()?;
    }
    let observations = traffic.receptions();
    let mut figures = vec![
        Figure::new(
            format!("server ready on {observations} observations"),
            format!("{:.0} ms", ready.median()),
        )
        .limit(format!(
            "{:.0} ms SQLite opens and reads totals",
            plain.median()
        ))
        .ratio(plain.median() / ready.median())
        .target("≤ 500 ms", ready.quantile(usize::MAX) <= READY)
        .spread(&ready),
        Figure::new(
            "  … its peak resident memory, pages asked for",
            format!("{:.1} MiB", memory.quantile(usize::MAX)),
        )
        .target("≤ 64 MiB", memory.quantile(usize::MAX) <= MEMORY)
        .spread(&memory),
    ];
    for (page, times) in PAGES.iter().zip(&pages) {
        let (p50, p99) = (times.median(), times.quantile(100));
        figures.push(Figure::new(
            format!("  … GET {page}"),
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        ));
    }
    Ok(figures)
}

/// A file that the store itself wrote.
fn fill(traffic: &Traffic, folder: &tempfile::TempDir) -> Result<PathBuf> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let path = new_file(folder).await?;
        let mut store = open(&path).await?;
        let mut from = 0;
        while from < traffic.receptions() {
            let to = traffic.receptions().min(from + 10 * BATCH_ROWS);
            let prepared: Prepared = traffic.prepare(from..to)?;
            for batch in prepared.records.chunks(BATCH_ROWS) {
                store.write(batch, &prepared).await?;
            }
            from = to;
        }
        store.close().await?;
        Ok(path)
    })
}

/// What SQLite alone needs to open the file and read what `/api/stats` shows.
fn plain_totals(db: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let plain = Connection::open_with_flags(db, flags)?;
    let _: i64 = plain.query_row("SELECT observations FROM store_state", [], |row| row.get(0))?;
    let _: i64 = plain.query_row("SELECT count(*) FROM nodes", [], |row| row.get(0))?;
    let _: i64 = plain.query_row("SELECT count(*) FROM observers", [], |row| row.get(0))?;
    Ok(())
}
