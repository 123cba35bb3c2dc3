//! What is not a packet: signs of life and reports of observers, mobile receivers, neighbours, dead letters.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{BatchState, Seen};
use crate::error::{Result, SqliteContext};
use crate::rows::{ClientReception, Dropped, MAX_DROPPED_RAW, Neighbors, Outcome, Status};
use crate::time;

/// How many dead letters are kept.
const MAX_DROPPED: i64 = 10_000;

impl BatchState {
    pub(super) fn touch_observers(&self, db: &Connection, seen: BTreeMap<i64, Seen>) -> Result<()> {
        let rows: Vec<_> = seen.into_iter().collect();
        self.statements
            .touch_observers
            .execute(db, &rows, |values, (idx, seen)| {
                values
                    .push(*idx)
                    .push(&seen.name)
                    .push(&seen.iata)
                    .push(seen.alive_at.map(time::text))
                    .push(seen.packet_at.map(time::text))
                    .push(seen.packets)
                    .push(seen.skew)
                    .push(seen.naive_at.map(time::text));
            })
    }

    pub(super) fn write_statuses(
        &self,
        db: &Connection,
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
            })?;
        let samples: Vec<_> = statuses
            .iter()
            .filter_map(|(status, idx)| Some((*idx, *status, status.sample_at?)))
            .collect();
        self.statements
            .sample_metrics
            .execute(db, &samples, |values, (idx, s, at)| {
                values
                    .push(*idx)
                    .push(time::text(*at))
                    .push(s.noise_floor)
                    .push(s.tx_air_secs)
                    .push(s.rx_air_secs)
                    .push(s.recv_errors)
                    .push(s.battery_mv)
                    .push(s.packets_sent)
                    .push(s.packets_recv);
            })
    }

    pub(super) fn write_clients(
        &self,
        db: &Connection,
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
            })?;
        self.statements
            .touch_client_observers
            .execute(db, clients, |values, c| {
                values.push(&c.rx_pubkey).push(time::text(c.rx_at));
            })
    }

    pub(super) fn write_neighbors(&self, db: &Connection, reports: &[&Neighbors]) -> Result<()> {
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
    }

    pub(super) fn write_dropped(
        &self,
        db: &Connection,
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
            })?;
        if dropped.is_empty() {
            return Ok(());
        }
        // Here and not in maintenance: rubbish can come faster than maintenance does.
        db.execute(
            "DELETE FROM dropped_packets WHERE id <= (SELECT max(id) FROM dropped_packets) - ?",
            [MAX_DROPPED],
        )
        .during("forget the oldest dead letters")?;
        Ok(())
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
