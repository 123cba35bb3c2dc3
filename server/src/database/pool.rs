//! A few connections to one file, so that a slow query does not stop the others.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meshcore_store::Reader;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Unavailable, lock};

/// Connections for queries. More would not make two cores faster, and each may hold a cache of its own.
const READERS: u32 = 4;
/// How long a free one is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The connections to one file; they are opened as they are needed.
#[derive(Debug)]
pub(crate) struct Pool {
    path: PathBuf,
    db_uuid: String,
    /// The one that was used longest ago first: the others may still be finishing something.
    idle: Mutex<VecDeque<Reader>>,
    free: Arc<Semaphore>,
}

/// A connection that is in use.
#[derive(Debug)]
pub(crate) struct Taken {
    reader: Option<Reader>,
    pool: Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    /// Connections to the file at `path`, of which `reader` is the first.
    pub(crate) fn new(path: PathBuf, reader: Reader) -> Self {
        Self {
            path,
            db_uuid: reader.db_uuid().to_owned(),
            idle: Mutex::new(VecDeque::from([reader])),
            free: Arc::new(Semaphore::new(READERS as usize)),
        }
    }

    /// A connection as soon as one is free.
    pub(crate) async fn take(self: Arc<Self>) -> Result<Taken, Unavailable> {
        let permit = match timeout(PATIENCE, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_closed)) => return Err(Unavailable::NotThere),
            Err(_elapsed) => return Err(Unavailable::Busy),
        };
        let idle = lock(&self.idle).pop_front();
        let reader = match idle {
            Some(reader) => reader,
            None => self.open().await?,
        };
        Ok(Taken {
            reader: Some(reader),
            pool: self,
            permit: Some(permit),
        })
    }

    async fn open(&self) -> Result<Reader, Unavailable> {
        match Reader::open(&self.path).await {
            // Another file stands at the path, which the watch will find within a second.
            Ok(reader) if reader.db_uuid() != self.db_uuid => Err(Unavailable::NotThere),
            Ok(reader) => Ok(reader),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "A further connection to the database can't be opened"
                );
                Err(Unavailable::NotThere)
            }
        }
    }

    /// Gives out no more connections, and closes those that are idle.
    pub(crate) fn close(&self) {
        self.free.close();
        lock(&self.idle).clear();
    }

    /// Waits until all connections are back, after [`Self::close`].
    pub(crate) async fn closed(&self) {
        // A closed semaphore wakes nobody, so this has to look.
        while self.free.available_permits() < READERS as usize {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Taken {
    /// Has the connection closed instead of given to the next.
    pub(crate) fn discard(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.reader = None;
            drop(permit);
        }
    }
}

impl Deref for Taken {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.reader.as_ref().expect("there until it is discarded")
    }
}

impl DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut Reader {
        self.reader.as_mut().expect("there until it is discarded")
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take()
            && !self.pool.free.is_closed()
        {
            lock(&self.pool.idle).push_back(reader);
        }
        // Only after the connection is back (or closed) may the next one come.
        drop(self.permit.take());
        if self.pool.free.is_closed() {
            lock(&self.pool.idle).clear();
        }
    }
}
