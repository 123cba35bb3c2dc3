//! The right to write, checked in every transaction: what flock can't see is seen here.

use std::path::PathBuf;

use rusqlite::{Connection, params};
use sqlx::sqlite::SqliteConnection;

use crate::error::{Error, Result, SqliteContext};

/// Whether the token is still ours.
const CHECK: &str = "SELECT 1 FROM store_state WHERE id = 1 AND fencing_token = ?";
/// Whether ids were given out that are not ours. SQLite notes them with the rows, also those of rows that are deleted
/// by now.
const CHECK_IDS: &str = "SELECT 1 FROM sqlite_sequence WHERE name = 'transmissions' AND seq >= ? \
    OR name = 'observations' AND seq >= ?";
/// Adds to the totals if the token is still ours.
const ADD: &str = "UPDATE store_state SET transmissions = transmissions + ?, observations = observations + ?, \
    bad_signatures = bad_signatures + ?, dropped = dropped + ? WHERE id = 1 AND fencing_token = ?";

/// What a transaction adds to the totals of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) transmissions: i64,
    pub(crate) observations: i64,
    pub(crate) bad_signatures: i64,
    pub(crate) dropped: i64,
}

/// This life's token. A newcomer that holds the lock overwrites the one in the file.
#[derive(Debug)]
pub(crate) struct Fence {
    path: PathBuf,
    token: String,
}

impl Fence {
    pub(crate) fn new(path: PathBuf, token: String) -> Self {
        Self { path, token }
    }

    /// Finds out whether another writer has taken over. It writes nothing, so a transaction that has nothing
    /// to write stays without a sync.
    pub(crate) async fn check(&self, db: &mut SqliteConnection) -> Result<()> {
        let ours: Option<i64> = sqlx::query_scalar(CHECK)
            .bind(&self.token)
            .fetch_optional(db)
            .await
            .during("look who writes")?;
        self.taken_over_unless(ours.is_some())
    }

    /// Adds to the totals, and finds out in the same statement whether another writer has taken over.
    pub(crate) async fn add(&self, db: &mut SqliteConnection, totals: Totals) -> Result<()> {
        if totals == Totals::default() {
            return self.check(db).await;
        }
        let Totals {
            transmissions,
            observations,
            bad_signatures,
            dropped,
        } = totals;
        let result = sqlx::query(ADD)
            .bind(transmissions)
            .bind(observations)
            .bind(bad_signatures)
            .bind(dropped)
            .bind(&self.token)
            .execute(db)
            .await
            .during("update the totals")?;
        self.taken_over_unless(result.rows_affected() == 1)
    }

    /// Finds out, before a batch gives out ids from these two on, whether somebody else has given them out. The token
    /// does not tell: a `CoreScope` that was left running knows nothing of it. Its rows would make ours look like
    /// duplicates, to be acknowledged and lost. Going on behind its ids would not do: the two would take
    /// turns with ids and totals, and nobody counts its rows but an adoption at the start.
    pub(crate) fn check_ids(
        &self,
        db: &Connection,
        next_transmission: i64,
        next_observation: i64,
    ) -> Result<()> {
        let action = "look who gives out ids";
        let mut check = db.prepare_cached(CHECK_IDS).during(action)?;
        let taken = check
            .exists([next_transmission, next_observation])
            .during(action)?;
        self.taken_over_unless(!taken)
    }

    /// [`Self::add`] for a batch.
    pub(crate) fn add_in_batch(&self, db: &Connection, totals: Totals) -> Result<()> {
        let Totals {
            transmissions,
            observations,
            bad_signatures,
            dropped,
        } = totals;
        let token = &self.token;
        let ours = if totals == Totals::default() {
            let mut check = db.prepare_cached(CHECK).during("look who writes")?;
            check.exists([token]).during("look who writes")?
        } else {
            let action = "update the totals";
            let mut add = db.prepare_cached(ADD).during(action)?;
            let values = params![transmissions, observations, bad_signatures, dropped, token];
            add.execute(values).during(action)? == 1
        };
        self.taken_over_unless(ours)
    }

    fn taken_over_unless(&self, ours: bool) -> Result<()> {
        if ours {
            Ok(())
        } else {
            Err(Error::Fenced {
                path: self.path.clone(),
            })
        }
    }
}
