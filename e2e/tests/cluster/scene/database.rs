//! What is in the database, looked at from the node.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::{SOON, Scene};

/// The name of the file on the volume.
pub(crate) const FILE: &str = "meshcore.db";

impl Scene {
    /// Waits until the page knows as many packets.
    pub(crate) async fn wait_for_packets(&self, page: &str, count: usize) {
        let until = tokio::time::Instant::now() + SOON;
        loop {
            let stats = super::get(page, "/api/stats").await;
            let known = stats
                .as_ref()
                .ok()
                .and_then(|stats| stats["totalTransmissions"].as_u64());
            if known.is_some_and(|known| known >= count as u64) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < until,
                "not {count} packets: {stats:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the analyzer and checks its database: sound, and with each of these packets once. Gives the longest time
    /// between the arrivals of two packets.
    pub(crate) async fn stop_and_check(&self, hashes: &[String]) -> Duration {
        self.change(&json!({"stopped": true})).await;
        self.kubectl(&["wait", "pod/mesh-0", "--for=delete", "--timeout=120s"])
            .await
            .unwrap();
        let folder = self
            .cluster
            .disks()
            .path(self.namespace.name(), "mesh-data");
        check(&folder.unwrap().join(FILE), hashes).await
    }
}

async fn check(file: &Path, hashes: &[String]) -> Duration {
    // A copy, since a look at the file itself would leave files of root beside it.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(FILE);
    std::fs::copy(file, &copy).unwrap();
    let wal = file.with_extension("db-wal");
    let left = std::fs::metadata(&wal).map_or(0, |wal| wal.len());
    assert_eq!(left, 0, "a clean stop leaves nothing in the WAL");
    let options = SqliteConnectOptions::new().filename(&copy);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let integrity: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(integrity, "ok");
    let stored: Vec<(String, i64)> = sqlx::query_as(
        "SELECT hash, (SELECT count(*) FROM observations WHERE transmission_id = transmissions.id) FROM transmissions",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let once: BTreeSet<&str> = stored
        .iter()
        .filter(|(_, count)| *count == 1)
        .map(|(hash, _)| hash.as_str())
        .collect();
    let missing = hashes.iter().filter(|hash| !once.contains(hash.as_str()));
    assert_eq!(
        missing.count(),
        0,
        "of {} acknowledged packets are not there once",
        hashes.len()
    );
    let gap: Option<i64> = sqlx::query_scalar(
        "SELECT max(gap) FROM (SELECT arrived_at - lag(arrived_at) OVER (ORDER BY arrived_at) AS gap FROM observations)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    Duration::from_millis(u64::try_from(gap.unwrap_or_default()).unwrap_or_default())
}
