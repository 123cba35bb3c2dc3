//! The way of everything that reads: a few connections to the database, and why there is none.

mod pool;
mod watch;

pub(crate) use pool::Pool;
pub(crate) use watch::{DatabaseFile, FileId};

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use meshcore_store::Reader;
use pool::Taken;

/// The readers of the one database; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Database {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    // Both are held for a moment only, never across an await.
    pool: Mutex<Option<Arc<Pool>>>,
    queries: Arc<Queries>,
}

/// A reader for as long as this value lives. Hold it for queries only, never while a client is waited for.
#[derive(Debug)]
pub struct ReaderGuard {
    taken: Option<Taken>,
    query: Option<Query>,
}

/// There is no database to read from at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The file is not there, or not in a state that can be read.
    #[error("the database is not there yet; see /health/ready")]
    NotThere,
    /// All readers are in use, and none became free in time.
    #[error("too many queries are waiting; try again in a moment")]
    Busy,
}

impl Database {
    /// A reader, as soon as one is free.
    ///
    /// # Errors
    /// [`Unavailable`] while the database is not there, and when no reader becomes free for 2 s.
    pub async fn reader(&self) -> Result<ReaderGuard, Unavailable> {
        let pool = lock(&self.shared.pool).clone();
        let taken = pool.ok_or(Unavailable::NotThere)?.take().await?;
        Ok(ReaderGuard {
            taken: Some(taken),
            query: Some(self.query()),
        })
    }

    /// Reads from the file of `pool` from now on.
    pub(crate) fn set(&self, pool: Pool) {
        let before = lock(&self.shared.pool).replace(Arc::new(pool));
        if let Some(before) = before {
            before.close();
        }
    }

    /// Reads from nowhere from now on. Queries that run go on to their end.
    pub(crate) fn clear(&self) {
        if let Some(pool) = lock(&self.shared.pool).take() {
            pool.close();
        }
    }

    /// Reads from nowhere from now on, and waits for queries that run and until all connections are closed.
    pub(crate) async fn close(&self) {
        let pool = lock(&self.shared.pool).take();
        if let Some(pool) = pool {
            pool.close();
            pool.closed().await;
        }
    }

    /// Notes that a query runs for as long as the returned value lives.
    pub(crate) fn query(&self) -> Query {
        Query::start(&self.shared.queries)
    }

    /// How long the oldest query has been running.
    pub(crate) fn oldest_query(&self) -> Duration {
        self.shared.queries.oldest()
    }
}

impl Deref for ReaderGuard {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.taken.as_ref().expect("taken until it is dropped")
    }
}

impl DerefMut for ReaderGuard {
    fn deref_mut(&mut self) -> &mut Reader {
        self.taken.as_mut().expect("taken until it is dropped")
    }
}

impl Drop for ReaderGuard {
    fn drop(&mut self) {
        let (Some(mut taken), Some(query)) = (self.taken.take(), self.query.take()) else {
            return;
        };
        // The request was given up in the middle of a query. The connection answers the next question only after that query, so this keeps it from being given to
        // somebody who would wait.
        if taken.is_cut_off()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if taken.data_version().await.is_err() {
                    taken.discard();
                }
                drop((taken, query));
            });
        }
    }
}

/// The queries that run, by when they began.
#[derive(Debug, Default)]
struct Queries {
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    /// At most one for each connection. The first is the oldest.
    since: BTreeMap<u64, Instant>,
}

/// A query that runs until this value is dropped.
#[derive(Debug)]
pub(crate) struct Query {
    queries: Arc<Queries>,
    number: u64,
}

impl Query {
    fn start(queries: &Arc<Queries>) -> Self {
        let mut running = lock(&queries.running);
        let number = running.next;
        running.next += 1;
        running.since.insert(number, Instant::now());
        drop(running);
        Self {
            queries: Arc::clone(queries),
            number,
        }
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        lock(&self.queries.running).since.remove(&self.number);
    }
}

impl Queries {
    fn oldest(&self) -> Duration {
        let running = lock(&self.running);
        running
            .since
            .first_key_value()
            .map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_query_is_the_one_that_began_first_and_still_runs() {
        let database = Database::default();
        assert_eq!(database.oldest_query(), Duration::ZERO);
        let first = database.query();
        std::thread::park_timeout(Duration::from_millis(5));
        let second = database.query();
        assert!(database.oldest_query() >= Duration::from_millis(5));
        std::thread::park_timeout(Duration::from_millis(5));
        drop(first);
        let oldest = database.oldest_query();
        assert!(oldest >= Duration::from_millis(4), "{oldest:?}");
        drop(second);
        assert_eq!(database.oldest_query(), Duration::ZERO);
    }

    #[tokio::test]
    async fn there_is_no_reader_while_there_is_no_database() {
        let unavailable = Database::default().reader().await.unwrap_err();
        assert_eq!(unavailable, Unavailable::NotThere);
    }
}
