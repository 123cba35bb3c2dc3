//! Receptions: which packets are new, their observations, and what is counted of them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension};

use super::{BatchState, Pending, Seen, note_sign_of_life};
use crate::error::{Result, SqliteContext};
use crate::known::{FrameHead, KnownTransmission};
use crate::observed_frame;
use crate::rows::{Describe, Description, NodeAdvert, Outcome, Reception};
use crate::statements::LOOK_UP;
use crate::time;

/// A transmission that this batch touches.
struct Touched<'a> {
    known: KnownTransmission,
    /// The reception that brought it, if it is new.
    new: Option<(&'a Reception, Box<Description>)>,
    observations: i64,
    last_seen: i64,
    first_seen: i64,
}

impl<'a> Touched<'a> {
    /// One that is in the file.
    fn again(known: KnownTransmission) -> Self {
        Self {
            known,
            new: None,
            observations: 0,
            last_seen: 0,
            first_seen: known.first_seen,
        }
    }

    /// One that is not.
    fn new(reception: &'a Reception, id: i64, describe: &dyn Describe) -> Self {
        let description = reception
            .description
            .clone()
            .unwrap_or_else(|| Box::new(describe.describe(reception)));
        let known = KnownTransmission {
            id,
            head: FrameHead::of(&reception.raw),
            first_seen: reception.heard_at,
        };
        Self {
            new: Some((reception, description)),
            ..Self::again(known)
        }
    }

    /// What is stored of a reception's frame beside the transmission's.
    fn own_frame(&self, reception: &Reception) -> Option<String> {
        let is_first = |(first, _): &(&Reception, _)| first.raw == reception.raw;
        observed_frame::to_store(
            reception,
            self.known.head,
            self.new.as_ref().is_some_and(is_first),
        )
    }
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

impl BatchState {
    pub(super) fn write_receptions(
        &mut self,
        db: &Connection,
        receptions: &[(&Reception, i64)],
        describe: &dyn Describe,
        seen: &mut BTreeMap<i64, Seen>,
        outcome: &mut Outcome,
        pending: &mut Pending,
    ) -> Result<()> {
        let mut index: HashMap<[u8; 8], usize> = HashMap::new();
        let mut touched: Vec<Touched<'_>> = Vec::new();
        let mut observations: Vec<Observation<'_>> = Vec::with_capacity(receptions.len());
        for &(reception, observer_idx) in receptions {
            let transmission = match index.entry(reception.hash) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let known = match self.transmissions.get(reception.hash) {
                        Some(known) => Some(known),
                        None => look_up(db, reception.hash)?,
                    };
                    touched.push(match known {
                        Some(known) => Touched::again(known),
                        None => Touched::new(reception, self.next_transmission, describe),
                    });
                    self.next_transmission += i64::from(known.is_none());
                    *entry.insert(touched.len() - 1)
                }
            };
            observations.push(Observation {
                id: self.next_observation,
                transmission,
                observer_idx,
                reception,
                raw_hex: touched[transmission].own_frame(reception),
                inserted: true,
            });
            self.next_observation += 1;
        }

        self.insert_observations(db, &mut observations, &touched)?;

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
            note_sign_of_life(observer, &reception.observer);
            observer.packets += 1;
            if reception.observer.seen_at.is_some() {
                observer.packet_at = observer.packet_at.max(Some(reception.heard_at));
            }
        }

        self.write_transmissions(db, &touched, outcome)?;
        self.write_nodes(db, &touched)?;
        let hourly: Vec<_> = hourly.into_iter().collect();
        self.statements.count_hourly.execute(
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
        )?;
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

    fn insert_observations(
        &self,
        db: &Connection,
        observations: &mut [Observation<'_>],
        touched: &[Touched<'_>],
    ) -> Result<()> {
        let mut incomplete: Vec<std::ops::Range<usize>> = Vec::new();
        self.statements.insert_observations.run(
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
                if changed < range.len() {
                    incomplete.push(range);
                }
            },
        )?;
        // Some rows of these chunks were there already: ask which ones are new.
        for range in incomplete {
            let chunk = &mut observations[range];
            let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else {
                continue;
            };
            let ids: Vec<i64> = db
                .prepare_cached("SELECT id FROM observations WHERE id BETWEEN ? AND ? ORDER BY id")
                .and_then(|mut query| {
                    query
                        .query_map([first.id, last.id], |row| row.get(0))?
                        .collect()
                })
                .during("look for duplicates")?;
            for observation in chunk {
                observation.inserted = ids.binary_search(&observation.id).is_ok();
            }
        }
        Ok(())
    }

    fn write_transmissions(
        &self,
        db: &Connection,
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
        self.statements.insert_transmissions.execute(
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
        )?;
        self.statements
            .touch_transmissions
            .execute(db, &again, |values, t| {
                values
                    .push(t.known.id)
                    .push(t.observations)
                    .push(t.last_seen);
            })?;
        self.statements
            .first_seen_earlier
            .execute(db, &earlier, |values, t| {
                values.push(t.known.id).push(time::text(t.first_seen));
            })
    }

    fn write_nodes(&self, db: &Connection, touched: &[Touched<'_>]) -> Result<()> {
        let mut heard: BTreeMap<&str, NodeHeard<'_>> = BTreeMap::new();
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
            let once = NodeHeard {
                newest: node,
                scope,
                adverts: 1,
                first_seen: transmission.first_seen,
                last_seen: transmission.last_seen,
            };
            heard
                .entry(&node.public_key)
                .and_modify(|known| known.merge(&once))
                .or_insert(once);
        }
        let heard: Vec<_> = heard.into_values().collect();
        self.statements
            .revive_nodes
            .execute(db, &heard, |values, node| {
                values.push(&node.newest.public_key);
            })?;
        self.statements
            .forget_inactive_nodes
            .execute(db, &heard, |values, node| {
                values.push(&node.newest.public_key);
            })?;
        self.statements
            .upsert_nodes
            .execute(db, &heard, |values, heard| {
                let node = heard.newest;
                values
                    .push(&node.public_key)
                    .push(&node.name)
                    .push(&node.role)
                    .push(node.position.map(|p| p.0))
                    .push(node.position.map(|p| p.1))
                    .push(time::text(heard.last_seen))
                    .push(time::text(heard.first_seen))
                    .push(heard.adverts)
                    .push(heard.scope)
                    .push(node.timestamp)
                    .push(node.is_foreign);
            })
    }
}

/// What a batch's adverts say of one node.
struct NodeHeard<'a> {
    newest: &'a NodeAdvert,
    scope: Option<&'a str>,
    adverts: i64,
    first_seen: i64,
    last_seen: i64,
}

impl NodeHeard<'_> {
    /// Adds a later row of the batch; by the node's own clock it may be the older one.
    fn merge(&mut self, other: &Self) {
        self.adverts += other.adverts;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        if other.newest.timestamp >= self.newest.timestamp {
            self.newest = other.newest;
            self.scope = other.scope.or(self.scope);
        }
    }
}

/// What the file knows of a packet that memory doesn't know.
fn look_up(db: &Connection, hash: [u8; 8]) -> Result<Option<KnownTransmission>> {
    let action = "look up transmissions";
    let mut query = db.prepare_cached(LOOK_UP).during(action)?;
    let known = query.query_row([hex::encode(hash)], known_from_row);
    known.optional().during(action)
}

/// A row of the look-up.
fn known_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<KnownTransmission> {
    // An adopted file can have anything there. What is no text, or no hex, has no head, so observations of the packet
    // keep their own frames.
    let frame = row.get_ref(1)?.as_str().unwrap_or_default();
    let head = hex::decode(frame).unwrap_or_default();
    Ok(KnownTransmission {
        id: row.get(0)?,
        head: FrameHead::of(&head),
        first_seen: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
    })
}
