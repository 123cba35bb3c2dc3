//! The first transaction: missing columns and tables, the view, and the row that says how far the work is.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::reference::{Shape, Table, quoted};
use super::{Adoption, AdoptionStep, JOB, Tallies};
use crate::error::{Result, SqliteContext};
use crate::job::Job;
use crate::transaction;

impl Adoption<'_> {
    /// Brings the structure up to ours and loads or begins the job.
    pub(super) async fn begin(&mut self) -> Result<Job<Tallies>> {
        let ours = Shape::of_ours().await?;
        transaction::begin(self.db).await?;
        let done = self.begin_in_transaction(&ours).await;
        self.commit(done).await
    }

    async fn begin_in_transaction(&mut self, ours: &Shape) -> Result<Job<Tallies>> {
        complete(self.db, ours).await?;
        let known = Job::<Tallies>::load(self.db, JOB).await?;
        let was_core_scopes = match &known {
            Some(job) if self.was_ours => job.tallies.was_core_scopes,
            _ => !self.was_ours,
        };
        let (transmissions, observations) = self.rows_now().await?;
        let mut job = match known {
            // In a file of ours there is nothing to begin again: only what came after our last row is counted, and
            // counts of what CoreScope deleted stay.
            Some(job)
                if !job.finished && (self.was_ours || self.is_as_we_left_it(&job).await?) =>
            {
                job
            }
            Some(job) if !job.finished => {
                tracing::warn!(
                    "The file changed since its adoption was interrupted; it begins again"
                );
                self.forget_counts().await?;
                first_step(job.tallies.repeated_observations)
            }
            known if self.was_ours => self.behind_what_is_counted(known).await?,
            _ => first_step(0),
        };
        job.tallies.transmissions_expected = transmissions;
        job.tallies.observations_expected = observations;
        job.tallies.was_core_scopes = was_core_scopes;
        job.save(self.db).await?;
        Ok(job)
    }

    /// A job for what CoreScope added to a file of ours: everything behind our newest observation.
    async fn behind_what_is_counted(
        &mut self,
        known: Option<Job<Tallies>>,
    ) -> Result<Job<Tallies>> {
        let (adopted, repeated) = known.map_or((i64::MIN, 0), |job| {
            (
                job.tallies.last_observation,
                job.tallies.repeated_observations,
            )
        });
        let (last, observations) = sqlx::query_as(
            "SELECT l.id, (SELECT count(*) FROM observations WHERE id <= l.id) FROM (SELECT max(?1, \
             coalesce((SELECT id FROM observations WHERE time_source IS NOT NULL ORDER BY id DESC LIMIT 1), ?1)) AS id) l",
        )
        .bind(adopted)
        .fetch_one(&mut *self.db)
        .await
        .during("find what is not counted")?;
        let mut job = first_step(repeated);
        job.tallies.last_observation = last;
        job.tallies.observations = observations;
        Ok(job)
    }

    async fn rows_now(&mut self) -> Result<(i64, i64)> {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM transmissions), (SELECT count(*) FROM observations)",
        )
        .fetch_one(&mut *self.db)
        .await
        .during("count what is to be adopted")
    }

    /// Whether what is counted is still there. CoreScope may have run on the file since, and deleted some.
    async fn is_as_we_left_it(&mut self, job: &Job<Tallies>) -> Result<bool> {
        let (transmissions, observations): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM transmissions WHERE id <= ?), \
                    (SELECT count(*) FROM observations WHERE id <= ?)",
        )
        .bind(job.tallies.last_transmission)
        .bind(job.tallies.last_observation)
        .fetch_one(&mut *self.db)
        .await
        .during("look whether the file changed")?;
        Ok(transmissions == job.tallies.transmissions && observations == job.tallies.observations)
    }

    /// Takes the counts of an earlier attempt back, in a file that is CoreScope's still: they all are that
    /// attempt's.
    async fn forget_counts(&mut self) -> Result<()> {
        sqlx::raw_sql(
            "DELETE FROM observation_counts_hourly; \
             UPDATE transmissions SET observation_count = 0 WHERE observation_count <> 0",
        )
        .execute(&mut *self.db)
        .await
        .during("begin to count")?;
        Ok(())
    }
}

/// A job that has counted nothing yet, not even rows with negative ids, which imports make. Whether observations
/// repeat others is known from when their index was built.
fn first_step(repeated_observations: i64) -> Job<Tallies> {
    let mut job = Job::<Tallies>::new(JOB, AdoptionStep::Observers.name());
    job.tallies.last_transmission = i64::MIN;
    job.tallies.last_observation = i64::MIN;
    job.tallies.repeated_observations = repeated_observations;
    job
}

/// Adds the tables and columns that `ours` has and the file lacks, and the view.
async fn complete(db: &mut SqliteConnection, ours: &Shape) -> Result<()> {
    let theirs = Shape::of(db).await?;
    let mut statements = Vec::new();
    for (name, wanted) in &ours.tables {
        match theirs.tables.get(name) {
            None => statements.push(wanted.sql.clone()),
            Some(found) => {
                let missing = wanted
                    .columns
                    .iter()
                    .filter(|c| found.column(&c.name).is_none());
                statements.extend(missing.map(|column| column.addition(name)));
            }
        }
    }
    let has_sequence: bool = sqlx::query_scalar(
        "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence')",
    )
    .fetch_one(&mut *db)
    .await
    .during("look at the tables")?;
    if !has_sequence {
        // It comes with the first AUTOINCREMENT table, and stays.
        statements
            .push("CREATE TABLE store_first(id INTEGER PRIMARY KEY AUTOINCREMENT)".to_owned());
        statements.push("DROP TABLE store_first".to_owned());
    }
    run(db, &statements).await?;
    equal_node_tables(db).await?;
    complete_view(db, &theirs, ours).await
}

/// Gives `nodes` and `inactive_nodes` the same columns in the same order: rows go between them by SELECT *.
async fn equal_node_tables(db: &mut SqliteConnection) -> Result<()> {
    let shape = Shape::of(db).await?;
    let (Some(nodes), Some(inactive)) = (
        shape.tables.get("nodes"),
        shape.tables.get("inactive_nodes"),
    ) else {
        return Ok(());
    };
    let lacking = |of: &Table, than: &Table| -> Vec<String> {
        let new = than.columns.iter().filter(|c| of.column(&c.name).is_none());
        new.map(|c| c.addition(&of.name)).collect()
    };
    // Columns that neither CoreScope nor we know, in one of them only.
    run(db, &lacking(nodes, inactive)).await?;
    run(db, &lacking(inactive, nodes)).await?;
    let shape = Shape::of(db).await?;
    let (nodes, inactive) = (&shape.tables["nodes"], &shape.tables["inactive_nodes"]);
    if nodes.column_names() == inactive.column_names() {
        return Ok(());
    }
    // Appending can't repair an order: the smaller table is written again in the other one's.
    let columns: Vec<_> = nodes.column_names().into_iter().map(quoted).collect();
    let columns = columns.join(", ");
    let definitions: Vec<_> = nodes
        .columns
        .iter()
        .map(|c| {
            let kind = if c.in_primary_key {
                "TEXT PRIMARY KEY"
            } else {
                c.kind.as_str()
            };
            let default = c
                .default
                .as_ref()
                .map_or(String::new(), |d| format!(" DEFAULT ({d})"));
            let not_null = if c.not_null && !c.in_primary_key {
                " NOT NULL"
            } else {
                ""
            };
            format!("{} {kind}{not_null}{default}", quoted(&c.name))
        })
        .collect();
    run(
        db,
        &[
            "ALTER TABLE inactive_nodes RENAME TO store_inactive_nodes".to_owned(),
            format!("CREATE TABLE inactive_nodes ({})", definitions.join(", ")),
            format!(
                "INSERT INTO inactive_nodes({columns}) SELECT {columns} FROM store_inactive_nodes"
            ),
            "DROP TABLE store_inactive_nodes".to_owned(),
        ],
    )
    .await
}

/// Makes `packets_v` where it is missing, and again where new observations would be missing from it.
async fn complete_view(db: &mut SqliteConnection, theirs: &Shape, ours: &Shape) -> Result<()> {
    let by_name = theirs
        .tables
        .get("observations")
        .is_some_and(|table| table.column("observer_id").is_some());
    let old = theirs.views.get("packets_v");
    let view = &ours.views["packets_v"];
    let statements = match (old, by_name) {
        // It may know observers by the observation's own columns only, which our rows leave empty.
        (_, true) => vec![
            "DROP VIEW IF EXISTS packets_v".to_owned(),
            view.replace("obs.id AS", "coalesce(o.observer_id, obs.id) AS")
                .replace("obs.name AS", "coalesce(o.observer_name, obs.name) AS"),
        ],
        (None, false) => vec![view.clone()],
        (Some(_), false) => Vec::new(),
    };
    run(db, &statements).await
}

async fn run(db: &mut SqliteConnection, statements: &[String]) -> Result<()> {
    for sql in statements {
        // Names and types of the file's own columns, quoted, and our schema's text.
        sqlx::raw_sql(AssertSqlSafe(sql.clone()))
            .execute(&mut *db)
            .await
            .during("add what is missing")?;
    }
    Ok(())
}
