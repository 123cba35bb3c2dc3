//! Random batches against a plain model: what the file holds is what was heard.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{describe, look, open, reception, record};
use meshcore_store::Record;
use proptest::prelude::*;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

/// Packet number, observer, path and second of a reception, from sets so small that they meet often.
type Heard = (u64, usize, usize, i64);

const OBSERVERS: [&str; 4] = ["a", "b", "A", "a-long-name"];
const PATHS: [&str; 4] = ["", "01", "01FF", "ABCD01"];

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Heard>),
    /// The batch before comes once more, as after a lost acknowledgement.
    Again,
    Reopen,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let heard = (
        0..400_u64,
        0..OBSERVERS.len(),
        0..PATHS.len(),
        0..20_000_i64,
    );
    prop_oneof![
        4 => prop::collection::vec(heard.clone(), 1..40).prop_map(Step::Write),
        2 => prop::collection::vec(heard, 100..700).prop_map(Step::Write),
        2 => Just(Step::Again),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

fn to_record(&(n, observer, path, second): &Heard) -> Record {
    let mut reception = reception(n, OBSERVERS[observer], PATHS[path]);
    reception.heard_at = common::NOW + second;
    reception.observer.seen_at = Some(reception.heard_at);
    record(reception)
}

#[derive(Debug, Default, PartialEq)]
struct Packet {
    observations: BTreeSet<(usize, usize)>,
    first_seen: i64,
    last_seen: i64,
}

/// What the file should hold.
#[derive(Debug, Default)]
struct Model {
    packets: BTreeMap<u64, Packet>,
    /// Observations and packets by hour and observer.
    hourly: BTreeMap<(i64, usize), (i64, i64)>,
    /// Packets counted, last sign of life.
    observers: BTreeMap<usize, (i64, i64)>,
}

impl Model {
    fn hear(&mut self, &(n, observer, path, second): &Heard) {
        let at = common::NOW + second;
        let is_new = !self.packets.contains_key(&n);
        let packet = self.packets.entry(n).or_insert_with(|| Packet {
            first_seen: at,
            ..Packet::default()
        });
        if !packet.observations.insert((observer, path)) {
            return;
        }
        // A redelivery is no sign of life.
        let (count, seen) = self.observers.entry(observer).or_default();
        *count += 1;
        *seen = at.max(*seen);
        packet.first_seen = packet.first_seen.min(at);
        packet.last_seen = packet.last_seen.max(at);
        let hour = self
            .hourly
            .entry((at - at.rem_euclid(3_600), observer))
            .or_default();
        hour.0 += 1;
        hour.1 += i64::from(is_new);
    }
}

async fn compare(db: &mut SqliteConnection, model: &Model) {
    let rows = sqlx::query(
        "SELECT hash, unixepoch(first_seen), last_seen, observation_count FROM transmissions",
    )
    .fetch_all(&mut *db)
    .await
    .unwrap();
    let found: BTreeMap<u64, (i64, i64, i64)> = rows
        .iter()
        .map(|row| {
            let n = u64::from_str_radix(row.get(0), 16).unwrap();
            (n, (row.get(1), row.get(2), row.get(3)))
        })
        .collect();
    let wanted: BTreeMap<_, _> = model
        .packets
        .iter()
        .map(|(n, p)| {
            let count = i64::try_from(p.observations.len()).unwrap();
            (*n, (p.first_seen, p.last_seen, count))
        })
        .collect();
    assert_eq!(found, wanted, "packets");
    assert_eq!(rows.len(), wanted.len());

    let rows = sqlx::query(
        "SELECT t.hash, w.id, o.path_json FROM observations o \
         JOIN transmissions t ON t.id = o.transmission_id JOIN observers w ON w.rowid = o.observer_idx",
    )
    .fetch_all(&mut *db)
    .await
    .unwrap();
    let paths = PATHS.map(|path| reception(0, "", path).path_json);
    let place = |all: &[String], one: String| all.iter().position(|p| *p == one).unwrap();
    let found: BTreeSet<(u64, usize, usize)> = rows
        .iter()
        .map(|row| {
            (
                u64::from_str_radix(row.get(0), 16).unwrap(),
                place(&OBSERVERS.map(str::to_owned), row.get(1)),
                place(&paths, row.get(2)),
            )
        })
        .collect();
    let wanted: BTreeSet<_> = model
        .packets
        .iter()
        .flat_map(|(n, p)| p.observations.iter().map(|(o, path)| (*n, *o, *path)))
        .collect();
    assert_eq!(found, wanted, "observations");
    assert_eq!(rows.len(), wanted.len(), "none twice");

    let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(
        "SELECT hour, w.id, sum(observations), sum(transmissions) FROM observation_counts_hourly h \
         JOIN observers w ON w.rowid = h.observer_idx GROUP BY hour, w.id",
    )
    .fetch_all(&mut *db)
    .await
    .unwrap();
    let found: BTreeMap<(i64, usize), (i64, i64)> = rows
        .into_iter()
        .map(|(hour, id, observations, packets)| {
            let observer = place(&OBSERVERS.map(str::to_owned), id);
            ((hour, observer), (observations, packets))
        })
        .collect();
    assert_eq!(found, model.hourly, "hourly counts");

    let rows: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT id, packet_count, unixepoch(last_seen) FROM observers")
            .fetch_all(&mut *db)
            .await
            .unwrap();
    let found: BTreeMap<usize, (i64, i64)> = rows
        .into_iter()
        .map(|(id, count, seen)| (place(&OBSERVERS.map(str::to_owned), id), (count, seen)))
        .collect();
    assert_eq!(found, model.observers, "observers");

    let totals: (i64, i64) = sqlx::query_as("SELECT transmissions, observations FROM store_state")
        .fetch_one(&mut *db)
        .await
        .unwrap();
    let observations = model.packets.values().map(|p| p.observations.len()).sum();
    let count = |n: usize| i64::try_from(n).unwrap();
    assert_eq!(
        totals,
        (count(model.packets.len()), count(observations)),
        "totals"
    );
}

async fn run(dir: &Path, steps: &[Step]) {
    let mut model = Model::default();
    let (mut store, _) = open(dir).await;
    let mut last: Vec<Record> = Vec::new();
    for step in steps {
        match step {
            Step::Write(batch) => {
                last = batch.iter().map(to_record).collect();
                let known = model.packets.len();
                for heard in batch {
                    model.hear(heard);
                }
                let outcome = store.write(&last, &describe).await.unwrap();
                let new = model.packets.len() - known;
                assert_eq!(outcome.transmissions, new as u64);
                let seen = outcome.observations + outcome.duplicates;
                assert_eq!(seen, batch.len() as u64);
            }
            Step::Again => {
                let outcome = store.write(&last, &describe).await.unwrap();
                assert_eq!((outcome.transmissions, outcome.observations), (0, 0));
                assert_eq!(outcome.duplicates, last.len() as u64);
            }
            Step::Reopen => {
                store.close().await.unwrap();
                store = open(dir).await.0;
            }
            Step::Kill => {
                drop(store);
                store = open(dir).await.0;
            }
        }
    }
    compare(&mut look(dir).await, &model).await;
    store.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_holds_what_was_heard(steps in prop::collection::vec(step(), 1..14)) {
        let dir = tempfile::tempdir().unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(run(dir.path(), &steps));
    }
}
