//! Observers: which one of the source is which one of the target.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::{Import, STEPS, Tallies};
use crate::error::{Result, SqliteContext};
use crate::fence::Totals;
use crate::job::Job;
use crate::rows::observer_key;
use crate::transaction;

/// Where the target's row of each observer is looked up, by the source's row and by id.
const MAPS: &str = "CREATE TEMP TABLE observer_rows(of_source INTEGER PRIMARY KEY, idx INTEGER); \
     CREATE TEMP TABLE observer_names(id TEXT PRIMARY KEY, idx INTEGER) WITHOUT ROWID";

/// What the more recently heard of two rows says, and what only the other one says.
const NEWER_WINS: [&str; 13] = [
    "name",
    "iata",
    "model",
    "firmware",
    "client_version",
    "radio",
    "battery_mv",
    "uptime_secs",
    "noise_floor",
    "clock_skew_seconds",
    "clock_last_naive_at",
    "can_relay",
    "online",
];
/// What a new row takes from the source as it is, beside those.
const COPIED: [&str; 6] = [
    "last_seen",
    "first_seen",
    "packet_count",
    "inactive",
    "last_packet_at",
    "can_relay_seen",
];

impl Import {
    /// Merges the observers if that is the step, and in any case learns which is which.
    pub(super) async fn merge_observers(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        sqlx::raw_sql(MAPS)
            .execute(&mut self.store.db)
            .await
            .during("make room for the observers")?;
        transaction::begin(&mut self.store.db).await?;
        let done = self.merge_in_transaction(job).await;
        self.commit(done, job).await
    }

    async fn merge_in_transaction(&mut self, job: &mut Job<Tallies>) -> Result<Totals> {
        let is_first = job.step == STEPS[0];
        let action = "merge the observers";
        let mut known: HashMap<String, i64> = HashMap::new();
        let mut next = 1;
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT rowid, coalesce(id, '') FROM main.observers ORDER BY rowid")
                .fetch_all(&mut self.store.db)
                .await
                .during(action)?;
        for (idx, id) in rows {
            next = next.max(idx + 1);
            known.entry(observer_key(&id).into_owned()).or_insert(idx);
        }
        for (row, id, name) in self.observers_of_source().await? {
            let key = observer_key(&id).into_owned();
            let (idx, is_new) = match known.get(&key) {
                Some(idx) => (*idx, false),
                None => (next, true),
            };
            if is_new {
                self.add_observer(idx, row, &id, name.as_deref()).await?;
                known.insert(key, idx);
                next += 1;
            } else if let (true, Some(row)) = (is_first, row) {
                self.merge_observer(idx, row).await?;
            }
            if is_first {
                job.tallies
                    .table("observers")
                    .count(1, u64::from(is_new), 0);
            }
            self.remember_observer(idx, row, &id).await?;
        }
        if is_first {
            job.go_on_to(STEPS[1]);
        }
        Ok(Totals::default())
    }

    /// Row, id and name of each; without a row those that observations of the older shape only name.
    async fn observers_of_source(&mut self) -> Result<Vec<(Option<i64>, String, Option<String>)>> {
        let mut parts = Vec::new();
        if self.source.has("observers", "id") {
            parts.push("SELECT 0, rowid, id, NULL FROM source.observers WHERE id IS NOT NULL");
        }
        if self.source.has("observations", "observer_id") {
            parts.push(if self.source.has("observations", "observer_name") {
                "SELECT 1, NULL, observer_id, max(observer_name) FROM source.observations \
                 WHERE observer_id IS NOT NULL GROUP BY observer_id"
            } else {
                "SELECT DISTINCT 1, NULL, observer_id, NULL FROM source.observations \
                 WHERE observer_id IS NOT NULL"
            });
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("{} ORDER BY 1, 2, 3", parts.join(" UNION ALL "));
        let rows: Vec<(i64, Option<i64>, String, Option<String>)> =
            sqlx::query_as(AssertSqlSafe(sql))
                .fetch_all(&mut self.store.db)
                .await
                .during("read the source's observers")?;
        Ok(rows
            .into_iter()
            .map(|(_, row, id, name)| (row, id, name))
            .collect())
    }

    async fn add_observer(
        &mut self,
        idx: i64,
        row: Option<i64>,
        id: &str,
        name: Option<&str>,
    ) -> Result<()> {
        let action = "add an observer";
        let Some(row) = row else {
            sqlx::query("INSERT INTO main.observers(rowid, id, name) VALUES (?, ?, ?)")
                .bind(idx)
                .bind(id)
                .bind(name)
                .execute(&mut self.store.db)
                .await
                .during(action)?;
            return Ok(());
        };
        let columns: Vec<&str> = NEWER_WINS
            .iter()
            .chain(&COPIED)
            .copied()
            .filter(|column| self.source.has("observers", column))
            .collect();
        let sql = format!(
            "INSERT INTO main.observers(rowid, id{}) SELECT ?, s.id{} FROM source.observers s WHERE s.rowid = ?",
            listed("", &columns),
            listed("s.", &columns)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(idx)
            .bind(row)
            .execute(&mut self.store.db)
            .await
            .during(action)?;
        Ok(())
    }

    async fn merge_observer(&mut self, idx: i64, row: i64) -> Result<()> {
        let source = |column: &str| self.source.column("observers", column);
        let (last_seen, first_seen, packet) = (
            source("last_seen"),
            source("first_seen"),
            source("last_packet_at"),
        );
        let newer: Vec<String> = NEWER_WINS
            .iter()
            .map(|column| {
                let theirs = source(column);
                format!(
                    "{column} = iif(coalesce({last_seen}, '') > coalesce(observers.last_seen, ''), \
                     coalesce({theirs}, observers.{column}), coalesce(observers.{column}, {theirs}))"
                )
            })
            .collect();
        let sql = format!(
            "UPDATE main.observers SET {}, \
             first_seen = min(coalesce(observers.first_seen, {first_seen}), coalesce({first_seen}, observers.first_seen)), \
             last_seen = nullif(max(coalesce(observers.last_seen, ''), coalesce({last_seen}, '')), ''), \
             last_packet_at = nullif(max(coalesce(observers.last_packet_at, ''), coalesce({packet}, '')), '') \
             FROM source.observers s WHERE s.rowid = ? AND observers.rowid = ?",
            newer.join(", ")
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(row)
            .bind(idx)
            .execute(&mut self.store.db)
            .await
            .during("merge an observer")?;
        Ok(())
    }

    async fn remember_observer(&mut self, idx: i64, row: Option<i64>, id: &str) -> Result<()> {
        let action = "remember an observer";
        if let Some(row) = row {
            sqlx::query("INSERT INTO temp.observer_rows VALUES (?, ?)")
                .bind(row)
                .bind(idx)
                .execute(&mut self.store.db)
                .await
                .during(action)?;
        }
        sqlx::query("INSERT INTO temp.observer_names VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(idx)
            .execute(&mut self.store.db)
            .await
            .during(action)?;
        Ok(())
    }
}

/// `, a, b` with a prefix before each.
fn listed(prefix: &str, columns: &[&str]) -> String {
    let mut list = String::new();
    for column in columns {
        list.extend([", ", prefix, column]);
    }
    list
}
