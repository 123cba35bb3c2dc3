//! The way of everything that reads: connections to the database, and why there is none.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use meshcore_store::Reader;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The readers of the one database; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Database {
    reader: Arc<Mutex<Option<Reader>>>,
}

/// A reader for as long as this value lives. Hold it for queries only, never while a client is waited for.
#[derive(Debug)]
pub struct ReaderGuard(OwnedMutexGuard<Option<Reader>>);

/// There is no database to read from.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the database is not there yet")]
pub struct Unavailable;

impl Database {
    /// A reader, as soon as one is free.
    ///
    /// # Errors
    /// [`Unavailable`] while the database is not there.
    pub async fn reader(&self) -> Result<ReaderGuard, Unavailable> {
        let guard = Arc::clone(&self.reader).lock_owned().await;
        if guard.is_some() {
            Ok(ReaderGuard(guard))
        } else {
            Err(Unavailable)
        }
    }

    /// Reads from `reader` from now on.
    pub async fn set(&self, reader: Reader) {
        *self.reader.lock().await = Some(reader);
    }

    /// Closes all readers.
    pub async fn close(&self) {
        self.reader.lock().await.take();
    }
}

impl Deref for ReaderGuard {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.0.as_ref().expect("checked when it was taken")
    }
}

impl DerefMut for ReaderGuard {
    fn deref_mut(&mut self) -> &mut Reader {
        self.0.as_mut().expect("checked when it was taken")
    }
}
