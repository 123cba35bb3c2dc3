//! Observations of CoreScope's older shape name their observer by its id; ours by its row.

use super::{Adoption, AdoptionStep, Chunked, Tallies};
use crate::error::{Result, SqliteContext};
use crate::job::Job;
use crate::transaction;
use std::time::Instant;

impl Adoption<'_> {
    /// Fills `observer_idx` from `observer_id`, where there is such a column. Observers that have no row get one.
    pub(super) async fn fill_observers(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        let columns: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pragma_table_info('observations') \
             WHERE name IN ('observer_id', 'observer_name')",
        )
        .fetch_one(&mut *self.db)
        .await
        .during("look at the observations")?;
        let mut done = 0;
        while columns > 0
            && let Some((last, rows)) = self.next_chunk(Chunked::Observations, job.position).await?
        {
            let started = Instant::now();
            transaction::begin(self.db).await?;
            let filled = self.fill_chunk(columns == 2, last, job).await;
            self.commit(filled).await?;
            self.chunk.learn(started.elapsed());
            done += rows;
            self.tell(
                AdoptionStep::Observers,
                done,
                job.tallies.observations_expected,
            );
        }
        job.go_on_to(AdoptionStep::Indexes.name());
        job.save(self.db).await
    }

    async fn fill_chunk(
        &mut self,
        has_names: bool,
        last: i64,
        job: &mut Job<Tallies>,
    ) -> Result<()> {
        let action = "find the observers of old observations";
        let add = if has_names {
            "INSERT INTO observers(id, name) SELECT observer_id, max(observer_name) FROM observations \
             WHERE id > ? AND id <= ? AND observer_idx IS NULL AND observer_id IS NOT NULL \
             AND observer_id NOT IN (SELECT id FROM observers WHERE id IS NOT NULL) GROUP BY observer_id"
        } else {
            "INSERT INTO observers(id) SELECT DISTINCT observer_id FROM observations \
             WHERE id > ? AND id <= ? AND observer_idx IS NULL AND observer_id IS NOT NULL \
             AND observer_id NOT IN (SELECT id FROM observers WHERE id IS NOT NULL)"
        };
        let fill = "UPDATE observations SET observer_idx = \
             (SELECT rowid FROM observers WHERE observers.id = observations.observer_id) \
             WHERE id > ? AND id <= ? AND observer_idx IS NULL AND observer_id IS NOT NULL";
        for sql in [add, fill] {
            sqlx::query(sql)
                .bind(job.position)
                .bind(last)
                .execute(&mut *self.db)
                .await
                .during(action)?;
        }
        job.position = last;
        job.save(self.db).await
    }
}
