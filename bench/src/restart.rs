//! From exec to the first acknowledgement after a SIGKILL, with a large WAL behind and a backlog ahead.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use meshcore_testkit::AckProxy;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::backlog::{Backlog, PATIENCE};
use crate::ingestor::Ingestor;
use crate::measure::{Samples, milliseconds};
use crate::table::Figure;
use crate::traffic::Traffic;
use crate::{Options, runtime};

/// How long a restart may take, in milliseconds.
const LIMIT: f64 = 1_000.0;

pub(crate) fn run(options: &Options) -> Result<Vec<Figure>> {
    let (packets, wal_bytes) = if options.quick {
        (10_000, 4 << 20)
    } else {
        (80_000, 64 << 20)
    };
    let now = jiff::Timestamp::now().as_second();
    let backlog = Backlog::of(&Traffic::new(0, packets, now - 60, 1_000))?;
    let runtime = runtime()?;
    let (mut ours, mut plain) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds() {
        let broker = backlog.in_a_broker(&runtime)?;
        let proxy = runtime.block_on(AckProxy::start(broker.port()))?;
        let folder = options.temp_dir()?;
        let binary = options.ingestor()?;
        let ingestor = Ingestor::start(&binary, folder.path(), proxy.port())?;
        grow_wal(&ingestor, wal_bytes)?;
        let db = ingestor.db.clone();
        ingestor.kill()?;
        // What the dead process had sent is read before the next one is started.
        std::thread::sleep(Duration::from_millis(200));
        let before = proxy.count();
        ensure!(
            before < backlog.len(),
            "the backlog was too small: nothing is left"
        );
        plain.push(milliseconds(recover_a_copy(&db)?));

        let ingestor = Ingestor::start(&binary, folder.path(), proxy.port())?;
        while proxy.count() == before {
            ensure!(ingestor.started.elapsed() < PATIENCE, "no acknowledgement");
            std::thread::park_timeout(Duration::from_micros(500));
        }
        ours.push(milliseconds(ingestor.started.elapsed()));
        ingestor.kill()?;
    }
    let name = format!(
        "restart after SIGKILL to first PUBACK ({} MiB WAL)",
        wal_bytes >> 20
    );
    Ok(vec![
        Figure::new(name, format!("{:.0} ms", ours.median()))
            .limit(format!(
                "{:.0} ms SQLite recovers and commits",
                plain.median()
            ))
            .ratio(plain.median() / ours.median())
            .target("< 1 s", ours.quantile(usize::MAX) < LIMIT)
            .spread(&ours),
    ])
}

/// Keeps a reader open, so that the WAL can't be begun anew, until the WAL is as large as wanted.
fn grow_wal(ingestor: &Ingestor, bytes: u64) -> Result<()> {
    ingestor.wait_for_acks(1)?;
    let reader = Connection::open_with_flags(&ingestor.db, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    reader.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    reader.execute_batch("BEGIN")?;
    let _: i64 = reader.query_row("SELECT count(*) FROM observers", [], |row| row.get(0))?;
    let wal = ingestor.db.with_extension("db-wal");
    let until = Instant::now() + PATIENCE;
    while std::fs::metadata(&wal).map_or(0, |m| m.len()) < bytes {
        ensure!(
            Instant::now() < until,
            "the WAL does not grow to {bytes} bytes"
        );
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}

/// What SQLite alone needs for the same file: recover the WAL, bring it home, commit one row.
fn recover_a_copy(db: &Path) -> Result<Duration> {
    let copy = db.with_file_name("copy.db");
    std::fs::copy(db, &copy).context("copy the database")?;
    std::fs::copy(db.with_extension("db-wal"), copy.with_extension("db-wal"))
        .context("copy the WAL")?;
    rustix::fs::sync();
    let started = Instant::now();
    let plain = Connection::open(&copy)?;
    plain.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE); \
         UPDATE store_state SET dropped = dropped + 1;",
    )?;
    Ok(started.elapsed())
}
