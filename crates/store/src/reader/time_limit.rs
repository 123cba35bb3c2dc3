//! No query of a reader lasts long, whatever it was asked and whatever the file holds: while one runs, the
//! writer's checkpoints can't begin the WAL anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;

use crate::error::{Result, SqliteContext};

/// How long a query may last. What we ask takes a hundredth of it on a file with a million observations.
pub(super) const LIMIT: Duration = Duration::from_millis(900);
/// After how many steps of SQLite's machine the time is looked at: a few milliseconds.
const STEPS: i32 = 50_000;

/// When the query that runs must be over.
#[derive(Debug)]
pub(super) struct TimeLimit {
    epoch: Instant,
    /// Milliseconds after `epoch`.
    deadline: Arc<AtomicU64>,
}

impl TimeLimit {
    /// Watches over the queries of `db`: one that is past the deadline fails with `SQLITE_INTERRUPT`.
    pub(super) async fn watch(db: &mut SqliteConnection) -> Result<Self> {
        let epoch = Instant::now();
        let deadline = Arc::new(AtomicU64::new(u64::MAX));
        let shared = Arc::clone(&deadline);
        db.lock_handle()
            .await
            .during("watch over queries")?
            .set_progress_handler(STEPS, move || {
                milliseconds(epoch.elapsed()) < shared.load(Ordering::Relaxed)
            });
        Ok(Self { epoch, deadline })
    }

    /// A query begins now. None of this connection may be running.
    pub(super) fn begin(&self) {
        let deadline = milliseconds(self.epoch.elapsed() + LIMIT);
        self.deadline.store(deadline, Ordering::Relaxed);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;
    use crate::{Store, StoreOptions};

    const FOR_EVER: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    async fn reader(dir: &tempfile::TempDir) -> Reader {
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::new(dir.path().join("mesh.db"), "store test")
        };
        let (store, _) = Box::pin(Store::open(options)).await.unwrap();
        store.close().await.unwrap();
        Reader::open(&dir.path().join("mesh.db")).await.unwrap()
    }

    #[tokio::test]
    async fn a_query_that_would_last_for_ever_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = reader(&dir).await;
        let started = Instant::now();
        let error = reader
            .ask("count for ever", sqlx::query(FOR_EVER))
            .await
            .unwrap_err();
        assert!(error.took_too_long(), "{error:?}");
        // Whole milliseconds are compared.
        let took = started.elapsed() + Duration::from_millis(1);
        assert!(took >= LIMIT, "{took:?}");
        // The connection is as good as before.
        assert_eq!(reader.stats().await.unwrap().total_packets, 0);
    }

    #[tokio::test]
    async fn a_query_that_nobody_waits_for_is_ended_and_costs_the_next_one_only_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = reader(&dir).await;
        let started = Instant::now();
        // Clients that come and go must not keep it alive.
        for _ in 0..3 {
            let query = reader.ask("count for ever", sqlx::query(FOR_EVER));
            let answer = tokio::time::timeout(Duration::from_millis(300), query).await;
            // On a machine that is busy it may have been ended before we looked.
            assert!(!matches!(answer, Ok(Ok(_))));
        }
        assert_eq!(reader.stats().await.unwrap().total_packets, 0);
        let took = started.elapsed();
        // Without an end it would be for ever.
        assert!(took < 60 * LIMIT, "{took:?}");
    }
}
