//! Which topics each source subscribed to in this and earlier lives, kept beside the database: a persistent
//! session goes on delivering a topic that the configuration no longer names, until it is unsubscribed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The remembered topics by source.
#[derive(Debug)]
pub(crate) struct Remembered {
    path: PathBuf,
    topics: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Remembered {
    /// Reads what earlier lives left; nothing, if that can't be read.
    pub(crate) fn beside(db: &Path) -> Self {
        let mut path = db.as_os_str().to_owned();
        path.push(".subscriptions.json");
        let path = PathBuf::from(path);
        let topics = std::fs::read(&path)
            .ok()
            .and_then(|bytes| {
                serde_json::from_slice(&bytes)
                    .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "Not understood, begun anew"))
                    .ok()
            })
            .unwrap_or_default();
        Self {
            path,
            topics: Mutex::new(topics),
        }
    }

    /// The topics of a source.
    pub(crate) fn of(&self, source: &str) -> Vec<String> {
        self.topics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(source)
            .cloned()
            .unwrap_or_default()
    }

    /// Notes the topics of a source. A failure to write costs an unsubscribe later, nothing else.
    pub(crate) fn remember(&self, source: &str, topics: &[String]) {
        let text = {
            let mut all = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
            if all.get(source).is_some_and(|known| known == topics) {
                return;
            }
            all.insert(source.to_owned(), topics.to_vec());
            serde_json::to_vec(&*all)
        };
        let written = text.map_err(std::io::Error::other).and_then(|text| {
            // Renamed into place: half a file would be worth nothing.
            let new = self.path.with_extension("json.new");
            std::fs::write(&new, text)?;
            std::fs::rename(new, &self.path)
        });
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "The subscriptions could not be noted");
        }
    }
}
