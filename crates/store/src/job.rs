//! Long work that goes on where it stopped: its row in `store_jobs`, written in the transactions of the work.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteConnection;

use crate::error::{Result, SqliteContext};
use crate::time;

/// A row of `store_jobs`; `T` is what the work counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Job<T> {
    pub(crate) name: String,
    /// The step at work.
    pub(crate) step: String,
    /// The highest id that the step is done with; `i64::MIN` before the first one. Ids may be negative.
    pub(crate) position: i64,
    pub(crate) tallies: T,
    pub(crate) finished: bool,
}

/// How many rows one transaction of the work takes, so that it lasts about as long as it should.
#[derive(Debug, Clone)]
pub(crate) struct ChunkSize {
    rows: i64,
    limits: RangeInclusive<i64>,
    time: Duration,
}

impl ChunkSize {
    /// `rows` at first, then as many as fit into `time`, within `limits`.
    pub(crate) fn new(rows: i64, limits: RangeInclusive<i64>, time: Duration) -> Self {
        Self { rows, limits, time }
    }

    /// Rows in the next chunk.
    pub(crate) fn rows(&self) -> i64 {
        self.rows
    }

    /// Sets the size of the next chunk by what this one took.
    pub(crate) fn learn(&mut self, took: Duration) {
        if took > self.time {
            self.rows /= 2;
        } else if took < self.time / 2 {
            self.rows *= 2;
        }
        self.rows = self.rows.clamp(*self.limits.start(), *self.limits.end());
    }
}

impl<T: Default + Serialize + DeserializeOwned> Job<T> {
    pub(crate) fn new(name: impl Into<String>, step: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            step: step.into(),
            position: i64::MIN,
            ..Self::default()
        }
    }

    /// The job as the file knows it. Tallies of another form count as none.
    pub(crate) async fn load(db: &mut SqliteConnection, name: &str) -> Result<Option<Self>> {
        let row: Option<(String, i64, String, bool)> = sqlx::query_as(
            "SELECT step, position, tallies, finished_at IS NOT NULL FROM store_jobs WHERE name = ?",
        )
        .bind(name)
        .fetch_optional(db)
        .await
        .during("read how far the work is")?;
        Ok(row.map(|(step, position, tallies, finished)| Self {
            name: name.to_owned(),
            step,
            position,
            tallies: serde_json::from_str(&tallies).unwrap_or_default(),
            finished,
        }))
    }

    /// Goes on to `step`, from its beginning.
    pub(crate) fn go_on_to(&mut self, step: &str) {
        step.clone_into(&mut self.step);
        self.position = i64::MIN;
    }

    /// Writes the row. To be called in the transaction that did what it says.
    pub(crate) async fn save(&self, db: &mut SqliteConnection) -> Result<()> {
        let now = time::now_text();
        let tallies = serde_json::to_string(&self.tallies).unwrap_or_default();
        sqlx::query(
            "INSERT INTO store_jobs(name, step, position, tallies, began_at, finished_at) \
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET step = excluded.step, \
             position = excluded.position, tallies = excluded.tallies, finished_at = excluded.finished_at",
        )
        .bind(&self.name)
        .bind(&self.step)
        .bind(self.position)
        .bind(tallies)
        .bind(&now)
        .bind(self.finished.then_some(&now))
        .execute(db)
        .await
        .during("note how far the work is")?;
        Ok(())
    }
}
