//! What the server asks of a file with a million observations: each query of its interface, and what a row
//! costs on its way to the WebSocket clients.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use meshcore_server::api::packet_frame::packet_data;
use meshcore_store::{NodeFilter, ObservationRow, Reader};
use rusqlite::Connection;
use rusqlite::types::Value;
use tokio::runtime::Runtime;

use crate::measure::{Samples, float, milliseconds};
use crate::storing::{fill, new_file};
use crate::table::Figure;
use crate::traffic::HEARD;
use crate::{Options, runtime};

/// Receptions come at the rate that the server has to follow: 50 a second, up to now.
const PACKETS_PER_SECOND: usize = 10;
/// The longest that a query may take, milliseconds: a twentieth of what no read transaction may last.
const TARGET: f64 = 50.0;
/// How many rows the tail reads at a time here.
const ROWS: u32 = 500;
/// The same page by the shortest way there is.
const PLAIN_PAGE: &str = "SELECT o.id, t.id, o.raw_hex, t.raw_hex, t.hash, t.first_seen, o.timestamp, \
     t.route_type, t.payload_type, t.decoded_json, t.scope_name, t.observation_count, b.id, b.name, b.iata, \
     o.direction, o.snr, o.rssi, o.score, o.path_json, o.resolved_path \
     FROM transmissions t LEFT JOIN observations o ON o.id = (SELECT min(id) FROM observations \
     WHERE transmission_id = t.id) LEFT JOIN observers b ON b.rowid = o.observer_idx \
     WHERE t.id < ? ORDER BY t.id DESC LIMIT 50";

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let (packets, times) = if options.quick {
        (4_000, 50)
    } else {
        (200_000, 1_000)
    };
    let folder = options.temp_dir()?;
    let runtime = runtime()?;
    crate::say(&format!(
        "filling a file with {} observations",
        packets * HEARD
    ));
    let path = runtime.block_on(new_file(&folder))?;
    let lasted = i64::try_from(packets / PACKETS_PER_SECOND)?;
    let start = Timestamp::now().as_second() - lasted;
    fill(&path, packets, start, PACKETS_PER_SECOND)?;
    let reader = runtime.block_on(Reader::open(&path))?;
    let mut asked = Asked {
        runtime,
        reader,
        packets: i64::try_from(packets)?,
        times,
    };
    let mut figures = asked.packets(&path)?;
    figures.extend(asked.lists()?);
    figures.extend(asked.tail()?);
    Ok(figures)
}

/// A reader that is asked again and again.
struct Asked {
    runtime: Runtime,
    reader: Reader,
    packets: i64,
    times: usize,
}

impl Asked {
    /// How long `query` takes. It is given the id of a packet, another one each time.
    fn ask<T>(
        &mut self,
        query: &impl AsyncFn(&mut Reader, i64) -> meshcore_store::Result<T>,
    ) -> Result<Samples> {
        let mut samples = Samples::default();
        for id in ids(self.times, self.packets) {
            let started = Instant::now();
            black_box(self.runtime.block_on(query(&mut self.reader, id))?);
            samples.push(milliseconds(started.elapsed()));
        }
        Ok(samples)
    }

    fn packets(&mut self, path: &Path) -> Result<Vec<Figure>> {
        let page = self.ask(&async |reader, id| reader.packets(id, 50).await)?;
        let plain = plain_page(path, self.times, self.packets)?;
        let long_page = self.ask(&async |reader, id| reader.packets(id, 1000).await)?;
        let rows = self.runtime.block_on(self.reader.packets(i64::MAX, 1000))?;
        ensure!(rows.len() == 1000, "{} packets on a page", rows.len());
        let hashes: Vec<String> = rows.into_iter().map(|row| row.hash).collect();
        let one = self.ask(&async |reader, id| {
            let at = usize::try_from(id).unwrap_or_default() % hashes.len();
            reader.packet(&hashes[at], 1000).await
        })?;
        let limit = format!("{:.2} ms plain SQLite, p50", plain.median());
        Ok(vec![
            line("query: 50 packets anywhere", &page)
                .limit(limit)
                .ratio(plain.median() / page.median()),
            line("query: 1,000 packets anywhere", &long_page),
            line("query: a packet with its observations", &one),
        ])
    }

    fn lists(&mut self) -> Result<Vec<Figure>> {
        let nodes = self.ask(&async |reader, _| {
            let filter = NodeFilter {
                role: Some("repeater".to_owned()),
                search: Some("hill".to_owned()),
            };
            let counts = reader.node_counts(&filter).await?;
            Ok((reader.nodes(&filter, 50, 0).await?, counts))
        })?;
        let observers = self.ask(&async |reader, _| reader.observers(10_000).await)?;
        let stats = self.ask(&async |reader, _| reader.stats().await)?;
        Ok(vec![
            line("query: 50 of 500 nodes, searched, counted", &nodes),
            line(
                "query: 100 observers, receptions of the last hour",
                &observers,
            ),
            line("query: totals", &stats),
        ])
    }

    /// The tail's query, and the frames of its rows.
    fn tail(&mut self) -> Result<Vec<Figure>> {
        let read = self.ask(&async |reader, id| reader.observations_after(id, ROWS).await)?;
        let after = self.packets / 2;
        let rows: Vec<ObservationRow> = self
            .runtime
            .block_on(self.reader.observations_after(after, ROWS))?;
        ensure!(rows.len() == ROWS as usize, "{} rows", rows.len());
        let (mut made, mut bytes) = (Samples::default(), 0);
        for _ in 0..self.times {
            let started = Instant::now();
            bytes = 0;
            for row in &rows {
                bytes += black_box(serde_json::to_vec(&packet_data(row))?).len();
            }
            made.push(milliseconds(started.elapsed()));
        }
        let a_row = |samples: &Samples| samples.median() * 1e3 / f64::from(ROWS);
        let size = float(bytes) / f64::from(ROWS);
        Ok(vec![
            line("query: 500 new observations", &read),
            Figure::new("  … a row of it", format!("{:.1} µs", a_row(&read))),
            Figure::new(
                format!("frame of an observation ({size:.0} bytes)"),
                format!("{:.1} µs", a_row(&made)),
            ),
        ])
    }
}

/// Numbers of packets far apart, so that not each page is in memory already.
fn ids(times: usize, packets: i64) -> impl Iterator<Item = i64> {
    (1_i64..)
        .map(move |n| 1_001 + n * 7_919 % (packets - 1_000))
        .take(times)
}

fn plain_page(path: &Path, times: usize, packets: i64) -> Result<Samples> {
    let db = Connection::open(path)?;
    let mut statement = db.prepare(PLAIN_PAGE)?;
    let columns = statement.column_count();
    let mut samples = Samples::default();
    for id in ids(times, packets) {
        let started = Instant::now();
        let page: Vec<Vec<Value>> = statement
            .query_map([id], |row| (0..columns).map(|at| row.get(at)).collect())?
            .collect::<rusqlite::Result<_>>()?;
        ensure!(page.len() == 50, "{} packets on a page", page.len());
        samples.push(milliseconds(started.elapsed()));
    }
    Ok(samples)
}

fn line(name: &str, samples: &Samples) -> Figure {
    let (half, most) = (samples.median(), samples.quantile(100));
    Figure::new(name, format!("p50 {half:.2} ms, p99 {most:.2} ms"))
        .target(&format!("p99 ≤ {TARGET} ms"), most <= TARGET)
}
