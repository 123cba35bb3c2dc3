//! One batch of records in one transaction: look up, insert observations, then what is derived from those
//! that were really new.
//!
//! Ids are given out here and not by SQLite: there is one writer. So an observation knows its transmission's
//! id before that row exists, and the transmission is written once, with its final count.

use std::collections::{BTreeMap, HashMap};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, SqlStr};

use crate::error::{Error, Result, SqliteContext};
use crate::known::{FrameHead, KnownObservers, KnownTransmission, KnownTransmissions};
use crate::rows::{
    ClientReception, Describe, Description, Dropped, MAX_DROPPED_RAW, Neighbors, NodeAdvert,
    Observer, Outcome, Reception, Record, Status,
};
use crate::statements::{LOOKUP_SIZES, Statements};
use crate::time;

/// What the writer keeps between batches: ids, memory of the file, statements.
#[derive(Debug)]
pub(crate) struct BatchState {
    pub(crate) statements: Statements,
    pub(crate) observers: KnownObservers,
    pub(crate) transmissions: KnownTransmissions,
    pub(crate) next_transmission: i64,
    pub(crate) next_observation: i64,
    pub(crate) max_observers: usize,
    pub(crate) fencing_token: String,
}

/// A transmission that this batch touches.
struct Touched<'a> {
    known: KnownTransmission,
    /// The reception that brought it, if it is new.
    new: Option<(&'a Reception, Box<Description>)>,
    observations: i64,
    last_seen: i64,
    first_seen: i64,
}

/// An observation to insert.
struct Observation<'a> {
    id: i64,
    transmission: usize,
    observer_idx: i64,
    reception: &'a Reception,
    raw_hex: Option<String>,
    inserted: bool,
}

/// An observer's signs of life in this batch, coalesced.
#[derive(Default)]
struct Seen {
    name: Option<String>,
    iata: Option<String>,
    seen_at: Option<i64>,
    packet_at: Option<i64>,
    packets: i64,
    skew: Option<i64>,
    naive_at: Option<i64>,
}

/// Changes to the memory that must wait for the commit.
#[derive(Default)]
struct Pending {
    observers: Vec<(String, i64)>,
    transmissions: Vec<([u8; 8], KnownTransmission)>,
}

impl BatchState {
    /// Writes `records` in one transaction and commits it.
    ///
    /// # Errors
    /// Nothing was written then, and nothing is remembered of it.
    pub(crate) async fn write(
        &mut self,
        db: &mut SqliteConnection,
        records: &[Record],
        describe: &dyn Describe,
    ) -> Result<Outcome> {
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *db)
            .await
            .during("begin a transaction")?;
        let written = match self.write_in_transaction(db, records, describe).await {
            Ok(done) => sqlx::query("COMMIT")
                .execute(&mut *db)
                .await
                .during("commit")
                .map(|_| done),
            Err(error) => Err(error),
        };
        match written {
            Ok((outcome, pending)) => {
                for (id, idx) in pending.observers {
                    self.observers.insert(&id, idx);
                }
                for (hash, known) in pending.transmissions {
                    self.transmissions.insert(hash, known);
                }
                Ok(outcome)
            }
            Err(error) => {
                // SQLite has rolled back by itself after some errors; then this one does nothing.
                if let Err(rollback) = sqlx::query("ROLLBACK").execute(&mut *db).await {
                    tracing::debug!(error = %rollback, "Nothing to roll back");
                }
                Err(error)
            }
        }
    }

    async fn write_in_transaction(
        &mut self,
        db: &mut SqliteConnection,
        records: &[Record],
        describe: &dyn Describe,
    ) -> Result<(Outcome, Pending)> {
        let mut outcome = Outcome::default();
        let mut pending = Pending::default();
        let mut dropped: Vec<Dropped> = Vec::new();
        let mut seen: BTreeMap<i64, Seen> = BTreeMap::new();

        let who = self
            .resolve_observers(db, records, &mut pending, &mut dropped)
            .await?;

        let mut receptions: Vec<(&Reception, i64)> = Vec::new();
        let mut statuses: Vec<(&Status, i64)> = Vec::new();
        let mut clients: Vec<&ClientReception> = Vec::new();
        let mut neighbors: Vec<&Neighbors> = Vec::new();
        for (record, idx) in records.iter().zip(&who) {
            if let (Some(observer), Some(idx)) = (observer_of(record), *idx) {
                note_sign_of_life(seen.entry(idx).or_default(), observer);
            }
            match (record, *idx) {
                (Record::Reception(reception), Some(idx)) => receptions.push((reception, idx)),
                (Record::Status(status), Some(idx)) => statuses.push((status, idx)),
                (Record::Neighbors(report), Some(_)) => neighbors.push(report),
                (Record::ClientReception(reception), _) => clients.push(reception),
                (Record::Dropped(letter), _) => dropped.push(letter.as_ref().clone()),
                // Without an observer: beyond the limit, already among the dead letters.
                _ => {}
            }
        }

        if !receptions.is_empty() {
            self.write_receptions(
                db,
                &receptions,
                describe,
                &mut seen,
                &mut outcome,
                &mut pending,
            )
            .await?;
        }
        self.write_statuses(db, &statuses).await?;
        self.touch_observers(db, seen).await?;
        self.write_clients(db, &clients).await?;
        self.write_neighbors(db, &neighbors).await?;
        self.write_dropped(db, &dropped, &mut outcome).await?;
        self.update_state(db, &outcome).await?;
        Ok((outcome, pending))
    }

    /// The `observer_idx` of each record's observer. Rows of observers not seen before are made first: an
    /// observation must never point at nobody.
    async fn resolve_observers(
        &self,
        db: &mut SqliteConnection,
        records: &[Record],
        pending: &mut Pending,
        dropped: &mut Vec<Dropped>,
    ) -> Result<Vec<Option<i64>>> {
        let mut fresh: HashMap<String, i64> = HashMap::new();
        let mut rows: Vec<(i64, &Observer)> = Vec::new();
        let mut next = self.observers.next_idx();
        let mut who = Vec::with_capacity(records.len());
        for record in records {
            let Some(observer) = observer_of(record) else {
                who.push(None);
                continue;
            };
            let key = crate::rows::observer_key(&observer.id);
            if let Some(idx) = self
                .observers
                .get(&observer.id)
                .or_else(|| fresh.get(key.as_ref()).copied())
            {
                who.push(Some(idx));
            } else if self.observers.len() + fresh.len() >= self.max_observers {
                dropped.push(beyond_the_limit(record, observer));
                who.push(None);
            } else {
                fresh.insert(key.into_owned(), next);
                rows.push((next, observer));
                who.push(Some(next));
                next += 1;
            }
        }
        self.statements
            .insert_observers
            .execute(db, &rows, |values, (idx, observer)| {
                let since = time::text(observer.seen_at.unwrap_or_else(time::now_seconds));
                values
                    .push(*idx)
                    .push(&observer.id)
                    .push(&observer.name)
                    .push(&observer.iata)
                    .push(since);
            })
            .await?;
        pending.observers = rows
            .into_iter()
            .map(|(idx, observer)| (observer.id.clone(), idx))
            .collect();
        Ok(who)
    }

    async fn write_receptions(
        &mut self,
        db: &mut SqliteConnection,
        receptions: &[(&Reception, i64)],
        describe: &dyn Describe,
        seen: &mut BTreeMap<i64, Seen>,
        outcome: &mut Outcome,
        pending: &mut Pending,
    ) -> Result<()> {
        let in_file = self.look_up(db, receptions).await?;
        let mut index: HashMap<[u8; 8], usize> = HashMap::new();
        let mut touched: Vec<Touched<'_>> = Vec::new();
        let mut observations: Vec<Observation<'_>> = Vec::with_capacity(receptions.len());
        for &(reception, observer_idx) in receptions {
            let transmission = *index.entry(reception.hash).or_insert_with(|| {
                let known = self
                    .transmissions
                    .get(&reception.hash)
                    .or_else(|| in_file.get(&reception.hash).copied());
                touched.push(if let Some(known) = known {
                    Touched {
                        known,
                        new: None,
                        observations: 0,
                        last_seen: 0,
                        first_seen: known.first_seen,
                    }
                } else {
                    let known = KnownTransmission {
                        id: self.next_transmission,
                        head: FrameHead::of(&reception.raw),
                        first_seen: reception.heard_at,
                    };
                    self.next_transmission += 1;
                    let description = reception
                        .description
                        .clone()
                        .unwrap_or_else(|| Box::new(describe.describe(reception)));
                    let new = Some((reception, description));
                    Touched {
                        known,
                        new,
                        observations: 0,
                        last_seen: 0,
                        first_seen: reception.heard_at,
                    }
                });
                touched.len() - 1
            });
            observations.push(Observation {
                id: self.next_observation,
                transmission,
                observer_idx,
                reception,
                raw_hex: own_raw_hex(reception, &touched[transmission]),
                inserted: true,
            });
            self.next_observation += 1;
        }

        self.insert_observations(db, &mut observations, &touched)
            .await?;

        let mut hourly: BTreeMap<(i64, i64, u8), (i64, i64)> = BTreeMap::new();
        for observation in &observations {
            if !observation.inserted {
                outcome.duplicates += 1;
                continue;
            }
            outcome.observations += 1;
            let reception = observation.reception;
            let transmission = &mut touched[observation.transmission];
            let is_first = transmission.new.is_some() && transmission.observations == 0;
            transmission.observations += 1;
            transmission.last_seen = transmission.last_seen.max(reception.heard_at);
            transmission.first_seen = transmission.first_seen.min(reception.heard_at);
            let hour = reception.heard_at - reception.heard_at.rem_euclid(3600);
            let counts = hourly
                .entry((hour, observation.observer_idx, reception.payload_type))
                .or_default();
            counts.0 += 1;
            counts.1 += i64::from(is_first);
            let observer = seen.entry(observation.observer_idx).or_default();
            observer.packets += 1;
            if reception.observer.seen_at.is_some() {
                observer.packet_at = observer.packet_at.max(Some(reception.heard_at));
            }
        }

        self.write_transmissions(db, &touched, outcome).await?;
        self.write_nodes(db, &touched).await?;
        let hourly: Vec<_> = hourly.into_iter().collect();
        self.statements
            .count_hourly
            .execute(
                db,
                &hourly,
                |values, ((hour, observer, kind), (observations, transmissions))| {
                    values
                        .push(*hour)
                        .push(*observer)
                        .push(*kind)
                        .push(*observations)
                        .push(*transmissions);
                },
            )
            .await?;
        pending
            .transmissions
            .extend(index.into_iter().map(|(hash, at)| {
                let Touched {
                    known, first_seen, ..
                } = &touched[at];
                (
                    hash,
                    KnownTransmission {
                        first_seen: *first_seen,
                        ..*known
                    },
                )
            }));
        Ok(())
    }

    /// Which of the hashes that memory doesn't know are in the file.
    async fn look_up(
        &self,
        db: &mut SqliteConnection,
        receptions: &[(&Reception, i64)],
    ) -> Result<HashMap<[u8; 8], KnownTransmission>> {
        let mut unknown: Vec<[u8; 8]> = receptions
            .iter()
            .map(|(r, _)| r.hash)
            .filter(|h| self.transmissions.get(h).is_none())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        let mut found = HashMap::new();
        let mut rest = unknown.as_slice();
        while !rest.is_empty() {
            let size = if rest.len() > LOOKUP_SIZES[1] { 0 } else { 1 };
            let (now, later) = rest.split_at(rest.len().min(LOOKUP_SIZES[size]));
            rest = later;
            let sql: SqlStr = self.statements.lookup[size].clone();
            // Unbound parameters are NULL, which IN never matches.
            let query = now.iter().fold(sqlx::query(sql), |query, hash| {
                query.bind(hex::encode(hash))
            });
            for row in query
                .fetch_all(&mut *db)
                .await
                .during("look up transmissions")?
            {
                if let Some((hash, known)) = known_from_row(&row).during("look up transmissions")? {
                    found.insert(hash, known);
                }
            }
        }
        Ok(found)
    }

    async fn insert_observations(
        &self,
        db: &mut SqliteConnection,
        observations: &mut [Observation<'_>],
        touched: &[Touched<'_>],
    ) -> Result<()> {
        let mut incomplete: Vec<std::ops::Range<usize>> = Vec::new();
        self.statements
            .insert_observations
            .run(
                db,
                observations,
                |values, o| {
                    let r = o.reception;
                    values
                        .push(o.id)
                        .push(touched[o.transmission].known.id)
                        .push(o.observer_idx)
                        .push(r.direction)
                        .push(r.snr)
                        .push(r.rssi)
                        .push(r.score)
                        .push(&r.path_json)
                        .push(r.heard_at)
                        .push(&o.raw_hex)
                        .push(r.arrived_at_ms)
                        .push(r.feeder_time_ms)
                        .push(r.time_source as u8)
                        .push(r.duration_ms);
                },
                |range, changed| {
                    if changed < range.len() as u64 {
                        incomplete.push(range);
                    }
                },
            )
            .await?;
        // Some rows of these chunks were there already: ask which ones are new.
        for range in incomplete {
            let chunk = &mut observations[range];
            let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else {
                continue;
            };
            let ids: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM observations WHERE id BETWEEN ? AND ? ORDER BY id",
            )
            .bind(first.id)
            .bind(last.id)
            .fetch_all(&mut *db)
            .await
            .during("look for duplicates")?;
            for observation in chunk {
                observation.inserted = ids.binary_search(&observation.id).is_ok();
            }
        }
        Ok(())
    }

    async fn write_transmissions(
        &self,
        db: &mut SqliteConnection,
        touched: &[Touched<'_>],
        outcome: &mut Outcome,
    ) -> Result<()> {
        let mut new = Vec::new();
        let mut again = Vec::new();
        let mut earlier = Vec::new();
        for transmission in touched {
            if let Some((reception, description)) = &transmission.new {
                outcome.transmissions += 1;
                outcome.bad_signatures += u64::from(description.bad_signature);
                new.push((transmission, *reception, description));
            } else if transmission.observations > 0 {
                again.push(transmission);
                if transmission.first_seen < transmission.known.first_seen {
                    earlier.push(transmission);
                }
            }
        }
        self.statements
            .insert_transmissions
            .execute(
                db,
                &new,
                |values, (transmission, reception, description)| {
                    values
                        .push(transmission.known.id)
                        .push(hex::encode_upper(&reception.raw))
                        .push(hex::encode(reception.hash))
                        .push(time::text(transmission.first_seen))
                        .push(reception.route_type)
                        .push(reception.payload_type)
                        .push(description.payload_version)
                        .push(&description.decoded_json)
                        .push(&description.from_pubkey)
                        .push(transmission.last_seen)
                        .push(&description.channel_hash)
                        .push(&description.scope_name)
                        .push(transmission.observations);
                },
            )
            .await?;
        self.statements
            .touch_transmissions
            .execute(db, &again, |values, t| {
                values
                    .push(t.known.id)
                    .push(t.observations)
                    .push(t.last_seen);
            })
            .await?;
        self.statements
            .first_seen_earlier
            .execute(db, &earlier, |values, t| {
                values.push(t.known.id).push(time::text(t.first_seen));
            })
            .await
    }

    async fn write_nodes(&self, db: &mut SqliteConnection, touched: &[Touched<'_>]) -> Result<()> {
        // One row a node: the newest advert of the batch, with the number of adverts it stands for.
        let mut nodes: BTreeMap<&str, (&NodeAdvert, &Touched<'_>, Option<&str>, i64)> =
            BTreeMap::new();
        for transmission in touched {
            let Some((_, description)) = &transmission.new else {
                continue;
            };
            let Some(node) = &description.node else {
                continue;
            };
            let scope = description
                .scope_name
                .as_deref()
                .filter(|scope| !scope.is_empty());
            let entry = nodes
                .entry(&node.public_key)
                .or_insert((node, transmission, scope, 0));
            entry.3 += 1;
            if node.timestamp >= entry.0.timestamp {
                (entry.0, entry.1, entry.2) = (node, transmission, scope.or(entry.2));
            }
        }
        let nodes: Vec<_> = nodes.into_values().collect();
        self.statements
            .revive_nodes
            .execute(db, &nodes, |values, node| {
                values.push(&node.0.public_key);
            })
            .await?;
        self.statements
            .forget_inactive_nodes
            .execute(db, &nodes, |values, node| {
                values.push(&node.0.public_key);
            })
            .await?;
        self.statements
            .upsert_nodes
            .execute(
                db,
                &nodes,
                |values, (node, transmission, scope, adverts)| {
                    let seen = time::text(transmission.last_seen);
                    values
                        .push(&node.public_key)
                        .push(&node.name)
                        .push(&node.role)
                        .push(node.position.map(|p| p.0))
                        .push(node.position.map(|p| p.1))
                        .push(&seen)
                        .push(&seen)
                        .push(*adverts)
                        .push(*scope)
                        .push(node.timestamp)
                        .push(node.is_foreign);
                },
            )
            .await
    }

    async fn touch_observers(
        &self,
        db: &mut SqliteConnection,
        seen: BTreeMap<i64, Seen>,
    ) -> Result<()> {
        let rows: Vec<_> = seen.into_iter().collect();
        self.statements
            .touch_observers
            .execute(db, &rows, |values, (idx, seen)| {
                values
                    .push(*idx)
                    .push(&seen.name)
                    .push(&seen.iata)
                    .push(seen.seen_at.map(time::text))
                    .push(seen.packet_at.map(time::text))
                    .push(seen.packets)
                    .push(seen.skew)
                    .push(seen.naive_at.map(time::text));
            })
            .await
    }

    async fn write_statuses(
        &self,
        db: &mut SqliteConnection,
        statuses: &[(&Status, i64)],
    ) -> Result<()> {
        // UPDATE … FROM takes one row for each target: later reports of one observer win here.
        let mut latest: BTreeMap<i64, Status> = BTreeMap::new();
        for (status, idx) in statuses {
            latest
                .entry(*idx)
                .and_modify(|known| known.overlay(status))
                .or_insert_with(|| (*status).clone());
        }
        let rows: Vec<_> = latest.into_iter().collect();
        self.statements
            .report_observers
            .execute(db, &rows, |values, (idx, s)| {
                values
                    .push(*idx)
                    .push(s.online)
                    .push(&s.model)
                    .push(&s.firmware)
                    .push(&s.client_version)
                    .push(&s.radio)
                    .push(s.can_relay)
                    .push(s.battery_mv)
                    .push(s.uptime_secs)
                    .push(s.noise_floor);
            })
            .await?;
        let samples: Vec<_> = statuses
            .iter()
            .filter_map(|(status, _)| Some((*status, status.sample_at?)))
            .collect();
        self.statements
            .sample_metrics
            .execute(db, &samples, |values, (s, at)| {
                values
                    .push(&s.observer.id)
                    .push(time::text(*at))
                    .push(s.noise_floor)
                    .push(s.tx_air_secs)
                    .push(s.rx_air_secs)
                    .push(s.recv_errors)
                    .push(s.battery_mv)
                    .push(s.packets_sent)
                    .push(s.packets_recv);
            })
            .await
    }

    async fn write_clients(
        &self,
        db: &mut SqliteConnection,
        clients: &[&ClientReception],
    ) -> Result<()> {
        self.statements
            .insert_client_receptions
            .execute(db, clients, |values, c| {
                #[expect(clippy::cast_possible_truncation, reason = "v3 keeps whole dBm")]
                let rssi = c.rssi.map(|rssi| rssi.round() as i64);
                let key_bytes = i64::try_from(c.heard_key.len() / 2).unwrap_or(i64::MAX);
                values
                    .push(&c.rx_pubkey)
                    .push(&c.heard_key)
                    .push(key_bytes)
                    .push(rssi)
                    .push(c.snr)
                    .push(c.lat)
                    .push(c.lon)
                    .push(c.accuracy_m)
                    .push(time::text(c.rx_at))
                    .push(time::now_text())
                    .push(c.src);
            })
            .await?;
        self.statements
            .touch_client_observers
            .execute(db, clients, |values, c| {
                values.push(&c.rx_pubkey).push(time::text(c.rx_at));
            })
            .await
    }

    async fn write_neighbors(
        &self,
        db: &mut SqliteConnection,
        reports: &[&Neighbors],
    ) -> Result<()> {
        let mut edges = Vec::new();
        for report in reports {
            let own = report.observer.id.to_ascii_lowercase();
            let seen = time::text(report.observer.seen_at.unwrap_or_else(time::now_seconds));
            for other in &report.neighbors {
                let other = other.to_ascii_lowercase();
                let (a, b) = if own <= other {
                    (own.clone(), other)
                } else {
                    (other, own.clone())
                };
                edges.push((a, b, seen.clone()));
            }
        }
        self.statements
            .upsert_neighbors
            .execute(db, &edges, |values, (a, b, seen)| {
                values.push(a).push(b).push(seen);
            })
            .await
    }

    async fn write_dropped(
        &self,
        db: &mut SqliteConnection,
        dropped: &[Dropped],
        outcome: &mut Outcome,
    ) -> Result<()> {
        for letter in dropped {
            outcome.count_dropped(&letter.reason, 1);
        }
        self.statements
            .insert_dropped
            .execute(db, dropped, |values, letter| {
                let raw = letter.raw.get(..MAX_DROPPED_RAW).unwrap_or(&letter.raw);
                values
                    .push(letter.hash.map(hex::encode))
                    .push((!raw.is_empty()).then(|| hex::encode_upper(raw)))
                    .push(letter.reason.as_ref())
                    .push(&letter.observer_id)
                    .push(&letter.observer_name);
            })
            .await
    }

    /// Adds to the totals, and finds out in the same statement whether another writer has taken over.
    async fn update_state(&self, db: &mut SqliteConnection, outcome: &Outcome) -> Result<()> {
        let dropped: u64 = outcome.dropped.iter().map(|(_, n)| n).sum();
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let result = sqlx::query(
            "UPDATE store_state SET transmissions = transmissions + ?, observations = observations + ?, \
             bad_signatures = bad_signatures + ?, dropped = dropped + ? WHERE id = 1 AND fencing_token = ?",
        )
        .bind(count(outcome.transmissions))
        .bind(count(outcome.observations))
        .bind(count(outcome.bad_signatures))
        .bind(count(dropped))
        .bind(&self.fencing_token)
        .execute(&mut *db)
        .await
        .during("update the totals")?;
        if result.rows_affected() == 1 {
            Ok(())
        } else {
            Err(Error::Fenced {
                path: "the database".into(),
            })
        }
    }
}

impl Status {
    /// Takes from `later` what it says.
    fn overlay(&mut self, later: &Self) {
        macro_rules! take {
            ($($field:ident),*) => { $( if later.$field.is_some() { self.$field.clone_from(&later.$field); } )* };
        }
        take!(
            online,
            model,
            firmware,
            client_version,
            radio,
            can_relay,
            battery_mv,
            uptime_secs,
            noise_floor
        );
    }
}

/// The observer a record is from.
fn observer_of(record: &Record) -> Option<&Observer> {
    match record {
        Record::Reception(reception) => Some(&reception.observer),
        Record::Status(status) => Some(&status.observer),
        Record::Neighbors(report) => Some(&report.observer),
        Record::SignOfLife(observer) => Some(observer),
        Record::Dropped(_) | Record::ClientReception(_) | Record::Nothing => None,
    }
}

fn note_sign_of_life(seen: &mut Seen, observer: &Observer) {
    let Observer {
        id: _,
        name,
        iata,
        seen_at,
        clock_skew_seconds,
        naive_clock,
    } = observer;
    if name.is_some() {
        seen.name.clone_from(name);
    }
    if iata.is_some() {
        seen.iata.clone_from(iata);
    }
    seen.seen_at = seen.seen_at.max(*seen_at);
    seen.skew = clock_skew_seconds.or(seen.skew);
    if *naive_clock {
        seen.naive_at = seen.naive_at.max(*seen_at);
    }
}

/// The dead letter of a record whose observer is one too many.
fn beyond_the_limit(record: &Record, observer: &Observer) -> Dropped {
    let (hash, raw) = match record {
        Record::Reception(reception) => (Some(reception.hash), reception.raw.clone()),
        _ => (None, Vec::new()),
    };
    Dropped {
        reason: "observer_limit".into(),
        hash,
        raw,
        observer_id: Some(observer.id.clone()),
        observer_name: observer.name.clone(),
    }
}

/// The frame's hex, unless it can be rebuilt from the transmission's and `path_json`.
fn own_raw_hex(reception: &Reception, transmission: &Touched<'_>) -> Option<String> {
    if reception.raw.is_empty() {
        return None;
    }
    if let Some((first, _)) = &transmission.new
        && first.raw == reception.raw
    {
        return None;
    }
    let rebuildable =
        reception.path_is_frame_path && FrameHead::of(&reception.raw) == transmission.known.head;
    (!rebuildable).then(|| hex::encode_upper(&reception.raw))
}

/// A row of the look-up; `None` for a hash that isn't ours (older files hold other forms).
fn known_from_row(
    row: &sqlx::sqlite::SqliteRow,
) -> Result<Option<([u8; 8], KnownTransmission)>, sqlx::Error> {
    let (hash, head): (String, String) = (row.try_get(0)?, row.try_get(2)?);
    let mut bytes = [0; 8];
    if hex::decode_to_slice(&hash, &mut bytes).is_err() {
        return Ok(None);
    }
    let head = FrameHead::of(&hex::decode(head).unwrap_or_default());
    let first_seen = row.try_get::<Option<i64>, _>(3)?.unwrap_or(0);
    Ok(Some((
        bytes,
        KnownTransmission {
            id: row.try_get(1)?,
            head,
            first_seen,
        },
    )))
}
