//! The limit of the store: a plain loop over SQLite on one thread, with prepared statements. Same file, same
//! pragmas, same batches, same rows, indexes and aggregates; no async, no channel, no checks, no dead letters.

mod statements;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use meshcore_store::{Describe, Description, Reception, Record};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use self::statements::{
    ADD_OBSERVATION, ADD_OBSERVER, ADD_TRANSMISSION, COUNT_HOURLY, FORGET_INACTIVE_NODE, LOOK_UP,
    REVIVE_NODE, TOTALS, TOUCH_OBSERVER, TOUCH_TRANSMISSION, UPSERT_NODE,
};
use self::text::{Clock, upper_hex};
use crate::checkpoints::{LOOK, WAL_PAGES};

/// The plain loop and what it keeps between batches.
pub(crate) struct Bare {
    db: Connection,
    observers: HashMap<String, i64>,
    next_transmission: i64,
    next_observation: i64,
    fencing_token: String,
    next_look: Instant,
    clock: Clock,
}

/// A packet that a batch touches.
struct Touched<'a> {
    id: i64,
    head: u8,
    new: Option<(&'a Reception, Description)>,
    observations: i64,
    last_seen: i64,
}

impl Bare {
    /// Opens a file that the store has made.
    pub(crate) fn open(path: &Path, synchronous: &str) -> Result<Self> {
        let db = Connection::open(path)?;
        db.set_prepared_statement_cache_capacity(32);
        db.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; \
             PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; \
             PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;"
        ))?;
        let observers = db
            .prepare("SELECT id, rowid FROM observers")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let next = |table: &str| -> Result<i64> {
            let sql = format!("SELECT coalesce(max(id), 0) + 1 FROM {table}");
            Ok(db.query_row(&sql, [], |row| row.get(0))?)
        };
        Ok(Self {
            next_transmission: next("transmissions")?,
            next_observation: next("observations")?,
            fencing_token: db.query_row("SELECT fencing_token FROM store_state", [], |row| {
                row.get(0)
            })?,
            observers,
            next_look: Instant::now(),
            clock: Clock::default(),
            db,
        })
    }

    /// Writes a batch in one transaction, and checkpoints when that is due.
    pub(crate) fn write(&mut self, records: &[Record], describe: &dyn Describe) -> Result<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.write_in_transaction(records, describe)?;
        self.db.prepare_cached("COMMIT")?.execute([])?;
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK;
            if self.checkpoint("NOOP")? >= WAL_PAGES {
                self.checkpoint("PASSIVE")?;
            }
        }
        Ok(())
    }

    fn write_in_transaction(&mut self, records: &[Record], describe: &dyn Describe) -> Result<()> {
        let Self { db, clock, .. } = self;
        let db = &*db;
        let mut look_up = db.prepare_cached(LOOK_UP)?;
        let mut add_observation = db.prepare_cached(ADD_OBSERVATION)?;
        let mut at_hash: HashMap<[u8; 8], usize> = HashMap::new();
        let mut touched: Vec<Touched<'_>> = Vec::new();
        let mut hourly: BTreeMap<(i64, i64, u8), (i64, i64)> = BTreeMap::new();
        let mut seen: BTreeMap<i64, (&Reception, i64)> = BTreeMap::new();
        let mut inserted = 0;
        for record in records {
            let Record::Reception(reception) = record else {
                bail!("the plain loop knows receptions only");
            };
            let observer = observer_idx(db, &mut self.observers, reception, clock)?;
            let at = if let Some(at) = at_hash.get(&reception.hash) {
                *at
            } else {
                let found = find(&mut look_up, reception)?;
                let (id, head) = found.unwrap_or((self.next_transmission, reception.raw[0]));
                self.next_transmission += i64::from(found.is_none());
                touched.push(Touched {
                    id,
                    head,
                    new: found
                        .is_none()
                        .then(|| (&**reception, describe.describe(reception))),
                    observations: 0,
                    last_seen: 0,
                });
                at_hash.insert(reception.hash, touched.len() - 1);
                touched.len() - 1
            };
            let packet = &mut touched[at];
            let own_raw = (packet.head != reception.raw[0]).then(|| upper_hex(&reception.raw));
            let new = add_observation.execute(params![
                self.next_observation,
                packet.id,
                observer,
                reception.direction,
                reception.snr,
                reception.rssi,
                reception.score,
                reception.path_json,
                reception.heard_at,
                own_raw,
                reception.arrived_at_ms,
                reception.feeder_time_ms,
                reception.time_source as u8,
                reception.duration_ms,
            ])?;
            self.next_observation += 1;
            let sign_of_life = seen.entry(observer).or_insert((reception, 0));
            sign_of_life.0 = reception;
            if new == 0 {
                continue;
            }
            inserted += 1;
            sign_of_life.1 += 1;
            let is_first = packet.new.is_some() && packet.observations == 0;
            packet.observations += 1;
            packet.last_seen = packet.last_seen.max(reception.heard_at);
            let hour = reception.heard_at - reception.heard_at.rem_euclid(3600);
            let counts = hourly
                .entry((hour, observer, reception.payload_type))
                .or_default();
            counts.0 += 1;
            counts.1 += i64::from(is_first);
        }
        let new = write_transmissions(db, &touched, clock)?;
        let mut count_hourly = db.prepare_cached(COUNT_HOURLY)?;
        for ((hour, observer, kind), (observations, transmissions)) in hourly {
            count_hourly.execute(params![hour, observer, kind, observations, transmissions])?;
        }
        let mut touch = db.prepare_cached(TOUCH_OBSERVER)?;
        for (idx, (reception, packets)) in seen {
            let (observer, at) = (&reception.observer, clock.text(reception.heard_at));
            let skew = observer.clock_skew_seconds;
            touch.execute(params![
                observer.name,
                observer.iata,
                at,
                at,
                packets,
                skew,
                idx
            ])?;
        }
        db.prepare_cached(TOTALS)?
            .execute(params![new, inserted, self.fencing_token])?;
        Ok(())
    }

    /// A checkpoint; gives back how many pages of the WAL are not in the main file yet.
    pub(crate) fn checkpoint(&self, mode: &str) -> Result<u64> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let (log, done): (i64, i64) = self
            .db
            .query_row(&sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        Ok(u64::try_from(log - done).unwrap_or(0))
    }

    /// Rows of observations and transmissions, and how many observations the aggregates count.
    pub(crate) fn counts(&self) -> Result<(usize, usize, usize)> {
        counts(&self.db)
    }
}

/// See [`Bare::counts`].
pub(crate) fn counts(db: &Connection) -> Result<(usize, usize, usize)> {
    let one = |sql: &str| -> Result<usize> {
        let count: i64 = db.query_row(sql, [], |row| row.get(0))?;
        Ok(usize::try_from(count)?)
    };
    Ok((
        one("SELECT count(*) FROM observations")?,
        one("SELECT count(*) FROM transmissions")?,
        one("SELECT coalesce(sum(observations), 0) FROM observation_counts_hourly")?,
    ))
}

fn observer_idx(
    db: &Connection,
    known: &mut HashMap<String, i64>,
    reception: &Reception,
    clock: &mut Clock,
) -> Result<i64> {
    let observer = &reception.observer;
    if let Some(idx) = known.get(&observer.id) {
        return Ok(*idx);
    }
    let idx = i64::try_from(known.len())? + 1;
    let since = clock.text(reception.heard_at);
    db.prepare_cached(ADD_OBSERVER)?.execute(params![
        idx,
        observer.id,
        observer.name,
        observer.iata,
        since
    ])?;
    known.insert(observer.id.clone(), idx);
    Ok(idx)
}

fn find(look_up: &mut CachedStatement<'_>, reception: &Reception) -> Result<Option<(i64, u8)>> {
    let found: Option<(i64, String)> = look_up
        .query_row([hex::encode(reception.hash)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    found
        .map(|(id, head)| Ok((id, u8::from_str_radix(&head, 16).context("a frame's head")?)))
        .transpose()
}

/// New packets with their counts, the counts of known ones, and the nodes of new adverts.
fn write_transmissions(db: &Connection, touched: &[Touched<'_>], clock: &mut Clock) -> Result<i64> {
    let mut add = db.prepare_cached(ADD_TRANSMISSION)?;
    let mut touch = db.prepare_cached(TOUCH_TRANSMISSION)?;
    let mut revive = db.prepare_cached(REVIVE_NODE)?;
    let mut forget = db.prepare_cached(FORGET_INACTIVE_NODE)?;
    let mut upsert = db.prepare_cached(UPSERT_NODE)?;
    let mut new = 0;
    for packet in touched {
        let Some((reception, description)) = &packet.new else {
            if packet.observations > 0 {
                touch.execute(params![packet.observations, packet.last_seen, packet.id])?;
            }
            continue;
        };
        new += 1;
        add.execute(params![
            packet.id,
            upper_hex(&reception.raw),
            hex::encode(reception.hash),
            clock.text(reception.heard_at),
            reception.route_type,
            reception.payload_type,
            description.payload_version,
            description.decoded_json,
            description.from_pubkey,
            packet.last_seen,
            description.channel_hash,
            description.scope_name,
            packet.observations,
        ])?;
        if let Some(node) = &description.node {
            revive.execute([&node.public_key])?;
            forget.execute([&node.public_key])?;
            let seen = clock.text(packet.last_seen);
            let (lat, lon) = node.position.unzip();
            let scope: Option<&str> = None;
            upsert.execute(params![
                node.public_key,
                node.name,
                node.role,
                lat,
                lon,
                seen,
                seen,
                1,
                scope,
                node.timestamp,
                node.is_foreign
            ])?;
        }
    }
    Ok(new)
}
