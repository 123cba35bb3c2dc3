//! One batch of records in one transaction: look up, insert observations, then what is derived from those
//! that were really new.
//!
//! Ids are given out here and not by SQLite: there is one writer, and the fence ends it should another one give out
//! ids. So an observation knows its transmission's
//! id before that row exists, and the transmission is written once, with its final count.

mod receptions;
mod reports;

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use crate::error::Result;
use crate::fence::{Fence, Totals};
use crate::known::{KnownObservers, KnownTransmission, KnownTransmissions};
use crate::rows::{
    ClientReception, Describe, Dropped, Neighbors, Observer, Outcome, Reception, Record, Status,
};
use crate::statements::Statements;
use crate::{time, transaction};

/// What the writer keeps between batches: ids, memory of the file, statements.
#[derive(Debug)]
pub(crate) struct BatchState {
    pub(crate) statements: Statements,
    pub(crate) observers: KnownObservers,
    pub(crate) transmissions: KnownTransmissions,
    pub(crate) next_transmission: i64,
    pub(crate) next_observation: i64,
    pub(crate) max_observers: usize,
    pub(crate) fence: Fence,
}

/// An observer's signs of life in this batch, coalesced.
#[derive(Default)]
struct Seen {
    name: Option<String>,
    iata: Option<String>,
    alive_at: Option<i64>,
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
    /// Everything was there before.
    nothing: bool,
}

impl BatchState {
    /// Writes `records` in one transaction and commits it.
    ///
    /// # Errors
    /// Nothing was written then, and nothing is remembered of it.
    pub(crate) fn write(
        &mut self,
        db: &Connection,
        records: &[Record],
        describe: &dyn Describe,
    ) -> Result<Outcome> {
        transaction::begin_batch(db)?;
        let written = self.write_in_transaction(db, records, describe);
        let (outcome, pending) = match written {
            // All of it is durable already. A commit would write all the same: SQLite notes the highest id
            // that an INSERT was tried with.
            Ok((outcome, Pending { nothing: true, .. })) => {
                transaction::abandon_batch(db)?;
                return Ok(outcome);
            }
            written => transaction::finish_batch(db, written)?,
        };
        for (id, idx) in pending.observers {
            self.observers.insert(&id, idx);
        }
        for (hash, known) in pending.transmissions {
            self.transmissions.insert(hash, known);
        }
        Ok(outcome)
    }

    fn write_in_transaction(
        &mut self,
        db: &Connection,
        records: &[Record],
        describe: &dyn Describe,
    ) -> Result<(Outcome, Pending)> {
        self.fence
            .check_ids(db, self.next_transmission, self.next_observation)?;
        let mut outcome = Outcome::default();
        let mut pending = Pending::default();
        let mut dropped: Vec<Dropped> = Vec::new();
        let mut seen: BTreeMap<i64, Seen> = BTreeMap::new();

        let who = self.resolve_observers(db, records, &mut pending, &mut dropped)?;

        let mut receptions: Vec<(&Reception, i64)> = Vec::new();
        let mut statuses: Vec<(&Status, i64)> = Vec::new();
        let mut clients: Vec<&ClientReception> = Vec::new();
        let mut neighbors: Vec<&Neighbors> = Vec::new();
        for (record, idx) in records.iter().zip(&who) {
            // A reception counts as a sign of life only if it is new: a redelivery must not become a write.
            if !matches!(record, Record::Reception(_))
                && let (Some(observer), Some(idx)) = (observer_of(record), *idx)
            {
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
            )?;
        }
        pending.nothing = pending.observers.is_empty()
            && seen.is_empty()
            && outcome.observations == 0
            && statuses.is_empty()
            && clients.is_empty()
            && neighbors.is_empty()
            && dropped.is_empty();
        self.write_statuses(db, &statuses)?;
        self.touch_observers(db, seen)?;
        self.write_clients(db, &clients)?;
        self.write_neighbors(db, &neighbors)?;
        self.write_dropped(db, &dropped, &mut outcome)?;
        self.fence.add_in_batch(db, totals(&outcome))?;
        Ok((outcome, pending))
    }

    /// The `observer_idx` of each record's observer. Rows of observers not seen before are made first: an
    /// observation must never point at nobody.
    fn resolve_observers(
        &self,
        db: &Connection,
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
                .by_key(&key)
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
                values
                    .push(*idx)
                    .push(&observer.id)
                    .push(&observer.name)
                    .push(&observer.iata)
                    .push(observer.seen_at.map(time::text));
            })?;
        pending.observers = rows
            .into_iter()
            .map(|(idx, observer)| (observer.id.clone(), idx))
            .collect();
        Ok(who)
    }
}

/// What a batch adds to the totals of the file.
fn totals(outcome: &Outcome) -> Totals {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Totals {
        transmissions: count(outcome.transmissions),
        observations: count(outcome.observations),
        bad_signatures: count(outcome.bad_signatures),
        dropped: count(outcome.dropped.iter().map(|(_, n)| n).sum()),
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
    seen.alive_at = seen.alive_at.max(*seen_at);
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
