//! Indexes that are missing. Each is built in one piece: SQLite can't do it otherwise.

use sqlx::AssertSqlSafe;

use super::reference::{Index, Shape};
use super::{Adoption, AdoptionStep, Tallies};
use crate::error::{Class, Error, Result, SqliteContext};
use crate::job::Job;
use crate::transaction;

/// Repeats of packet, observer and path. Rows without an observer never count as repeats of each other.
const REPEATED_OBSERVATIONS: &str = "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n \
     FROM observations WHERE observer_idx IS NOT NULL \
     GROUP BY transmission_id, observer_idx, coalesce(path_json, '') HAVING count(*) > 1)";

impl Adoption<'_> {
    pub(super) async fn build_indexes(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        let ours = Shape::of_ours().await?;
        let theirs = Shape::of(self.db).await?;
        // What an earlier attempt, or an earlier count, built where repeats stood against the real one is all there can be.
        let mut missing = theirs.missing_indexes(&ours);
        missing.retain(|index| !theirs.has_index(&name_with_repeats(index)));
        let total = i64::try_from(missing.len()).unwrap_or(0);
        self.set_temp_store("FILE").await?;
        for (done, index) in (0..).zip(missing) {
            self.tell(AdoptionStep::Indexes, done, total);
            transaction::begin(self.db).await?;
            let built = self.build(index, &theirs, job).await;
            self.commit(built).await?;
        }
        self.set_temp_store("MEMORY").await?;
        job.go_on_to(AdoptionStep::Transmissions.name());
        job.save(self.db).await
    }

    /// Where SQLite sorts. Sorting an index's entries in memory takes about 65 bytes for each row of a large file;
    /// in a file of the temporary folder (`SQLITE_TMPDIR`, or the system's) it takes as much of the disk, which the
    /// index needs as well. An adoption that fails closes the connection, so nothing has to be put back then.
    async fn set_temp_store(&mut self, place: &'static str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA temp_store = {place}")))
            .execute(&mut *self.db)
            .await
            .during("choose where SQLite sorts")?;
        Ok(())
    }

    async fn build(&mut self, index: &Index, theirs: &Shape, job: &mut Job<Tallies>) -> Result<()> {
        let name = free_name(index, theirs);
        let built = self
            .create(&index.creation(&name, index.unique, index.filter.as_deref()))
            .await;
        match built {
            // The statement is taken back by itself, and the transaction goes on.
            Err(error) if index.unique && error.class() == Class::Row => {
                self.build_with_repeats(index, job, error).await
            }
            other => other,
        }
    }

    /// Rows stand against a unique index. They are kept; the rest depends on what the index is for.
    async fn build_with_repeats(
        &mut self,
        index: &Index,
        job: &mut Job<Tallies>,
        error: Error,
    ) -> Result<()> {
        let name = &name_with_repeats(index);
        match (
            index.table.as_str(),
            index.terms.first().map(String::as_str),
        ) {
            ("observations", _) => {
                let (repeated, last): (i64, i64) = (
                    self.count(REPEATED_OBSERVATIONS).await?,
                    self.count("SELECT coalesce(max(id), 0) FROM observations")
                        .await?,
                );
                tracing::warn!(
                    repeated,
                    "Observations share packet, observer and path with earlier ones; all are kept, and only those that come from here on are checked against each other"
                );
                job.tallies.repeated_observations = repeated;
                job.save(self.db).await?;
                self.create(&index.creation(name, true, Some(&format!("id > {last}"))))
                    .await?;
                // The unique one finds only new rows; this finds those of a packet.
                self.create(
                    "CREATE INDEX IF NOT EXISTS idx_observations_transmission \
                     ON observations(transmission_id)",
                )
                .await
            }
            // The writer looks packets up before it adds them, so repeats of old ones do no harm.
            ("transmissions", Some("hash")) => {
                tracing::warn!("Packets share their hash with others; all are kept");
                self.create(&index.creation(name, false, None)).await
            }
            (table, _) => Err(Error::Unadoptable {
                path: self.path.to_owned(),
                reason: format!(
                    "rows of its table `{table}` share what must be unique ({}, {error}): remove the surplus rows, or copy the database with `meshcore import`",
                    index.terms.join(", ")
                ),
            }),
        }
    }

    async fn create(&mut self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut *self.db)
            .await
            .during("build an index")?;
        Ok(())
    }

    async fn count(&mut self, sql: &'static str) -> Result<i64> {
        sqlx::query_scalar(sql)
            .fetch_one(&mut *self.db)
            .await
            .during("count repeated rows")
    }
}

/// The index's own name; another one if that is taken, or belongs to a constraint.
fn free_name(index: &Index, theirs: &Shape) -> String {
    let plain = plain_name(index);
    if theirs.has_index(&plain) {
        format!("{plain}_store")
    } else {
        plain
    }
}

/// The name of what stands in for a unique index that can't be built. By it a later attempt knows that it was built.
fn name_with_repeats(index: &Index) -> String {
    format!("{}_with_repeats", plain_name(index))
}

fn plain_name(index: &Index) -> String {
    if index.sql.is_some() {
        index.name.clone()
    } else {
        format!("idx_{}_{}", index.table, index.terms.join("_"))
    }
}
