//! What must be in the database: everything whose PUBACK the proxy saw. The database is looked at in a copy,
//! so that looking does not recover, sync or checkpoint what is under test.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use meshcore_testkit::packet_hash_of;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::harness::Harness;

/// Remembers which acknowledgements it has looked into.
#[derive(Default)]
pub(crate) struct Oracle {
    hashes: HashSet<String>,
    looked_at: usize,
}

impl Oracle {
    /// Notes everything acknowledged up to now.
    pub(crate) fn look(&mut self, harness: &Harness) {
        self.acknowledged(harness);
    }

    /// The hashes of all acknowledged packets, computed from what passed the proxy.
    fn acknowledged(&mut self, harness: &Harness) -> &HashSet<String> {
        let new = harness.proxy.acknowledged_since(self.looked_at);
        for message in &new {
            let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            let frame = hex::decode(json["raw"].as_str().unwrap()).unwrap();
            self.hashes.insert(packet_hash_of(&frame));
        }
        self.looked_at += new.len();
        &self.hashes
    }

    /// Checks a copy of the database: everything acknowledged is there, once, and the file is sound.
    pub(crate) async fn check_copy(&mut self, harness: &Harness) {
        assert_eq!(
            self.lost(harness).await,
            0,
            "acknowledged packets are missing (seed {})",
            harness.seed
        );
    }

    /// How many acknowledged packets are missing in a copy of the database.
    pub(crate) async fn lost(&mut self, harness: &Harness) -> usize {
        // Read before the copy: what is acknowledged later may be missing in it.
        self.look(harness);
        let copy = Copy::of(&harness.db);
        self.lost_in(&copy.db).await
    }

    /// How many acknowledged packets are missing in the database at `db`, which must be sound.
    pub(crate) async fn lost_in(&self, db: &Path) -> usize {
        let mut connection = open(db).await;
        let integrity: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(integrity, "ok");
        let stored = stored(&mut connection).await;
        let counts: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM observations), (SELECT sum(observation_count) FROM transmissions)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap_or_default();
        assert_eq!(counts.0, counts.1, "the counts agree with the rows");
        assert_eq!(
            counts.0,
            i64::try_from(stored.len()).unwrap(),
            "each packet has one observation"
        );
        connection.close().await.unwrap();
        self.hashes.difference(&stored).count()
    }

    /// Checks the database itself after a clean end: all that was published is there, once.
    pub(crate) async fn check_all(&mut self, harness: &Harness, published: u64) -> usize {
        self.check_copy(harness).await;
        let mut connection = open(&harness.db).await;
        let stored = stored(&mut connection).await;
        connection.close().await.unwrap();
        assert_eq!(stored.len() as u64, published);
        stored.len()
    }

    /// How many packets are stored whose PUBACK was not seen.
    pub(crate) async fn stored_but_not_acknowledged(&mut self, harness: &Harness) -> usize {
        let copy = Copy::of(&harness.db);
        let mut connection = open(&copy.db).await;
        let stored = stored(&mut connection).await;
        connection.close().await.unwrap();
        stored.difference(self.acknowledged(harness)).count()
    }
}

async fn open(db: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(db)
        .foreign_keys(false)
        .connect()
        .await
        .unwrap()
}

async fn stored(connection: &mut SqliteConnection) -> HashSet<String> {
    sqlx::query_scalar("SELECT hash FROM transmissions")
        .fetch_all(connection)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

/// Bytes in the WAL of `db`; 0 if there is none.
pub(crate) fn wal_bytes(db: &Path) -> u64 {
    std::fs::metadata(beside(db, "-wal")).map_or(0, |m| m.len())
}

fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// A copy of a database whose writer is dead.
struct Copy {
    _folder: tempfile::TempDir,
    db: PathBuf,
}

impl Copy {
    fn of(db: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.db");
        for suffix in ["", "-wal"] {
            let from = beside(db, suffix);
            if from.exists() {
                std::fs::copy(from, beside(&copy, suffix)).unwrap();
            }
        }
        Self {
            _folder: folder,
            db: copy,
        }
    }
}
