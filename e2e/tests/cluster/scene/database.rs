//! What is in the database, looked at from the node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::{Scene, get, until};

/// The name of the file on the volume.
const FILE: &str = "meshcore.db";

impl Scene {
    /// Waits until the page knows as many packets: how many it knows.
    pub(crate) async fn wait_for_packets(&self, page: &str, count: usize) -> usize {
        until(&format!("{count} packets"), async || {
            let stats = get(page, "/api/stats")
                .await
                .map_err(|error| format!("{error:#}"))?;
            let known = stats["totalTransmissions"].as_u64();
            let known = known.and_then(|known| usize::try_from(known).ok());
            known
                .filter(|known| *known >= count)
                .ok_or(stats.to_string())
        })
        .await
    }

    /// Stops the analyzer and checks its database: sound, and with each of these packets once. Gives the longest time
    /// between the arrivals of two packets.
    pub(crate) async fn stop_and_check(&self, hashes: &[String]) -> Duration {
        self.stop_and_check_each(&[hashes]).await[0]
    }

    /// [`Self::stop_and_check`] for several loads, with the longest time between two packets of each.
    pub(crate) async fn stop_and_check_each(&self, loads: &[&[String]]) -> Vec<Duration> {
        self.change(&json!({"stopped": true})).await;
        self.kubectl(&["wait", "pod/mesh-0", "--for=delete", "--timeout=120s"])
            .await
            .unwrap();
        check(&self.database(), loads).await
    }

    /// The database on the node.
    pub(crate) fn database(&self) -> PathBuf {
        self.volume().join(FILE)
    }

    /// Where the volume of the database is on the node.
    pub(crate) fn volume(&self) -> PathBuf {
        let disks = self.cluster.disks();
        disks.path(self.namespace.name(), "mesh-data").unwrap()
    }
}

async fn check(file: &Path, loads: &[&[String]]) -> Vec<Duration> {
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
    let arrivals = arrivals(&mut connection).await;
    connection.close().await.unwrap();
    loads.iter().map(|load| gap(load, &arrivals)).collect()
}

/// When each packet that is there once arrived, in milliseconds.
async fn arrivals(connection: &mut SqliteConnection) -> BTreeMap<String, u64> {
    let stored: Vec<(String, i64)> = sqlx::query_as(
        "SELECT hash, min(arrived_at) FROM transmissions JOIN observations ON transmission_id = transmissions.id \
         GROUP BY hash HAVING count(*) = 1",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    let at = |(hash, at): (String, i64)| (hash, u64::try_from(at).unwrap());
    stored.into_iter().map(at).collect()
}

/// The longest time between the arrivals of two of these packets, all of which are there.
fn gap(load: &[String], arrivals: &BTreeMap<String, u64>) -> Duration {
    let mut times: Vec<u64> = load
        .iter()
        .filter_map(|hash| arrivals.get(hash).copied())
        .collect();
    let missing = load.len() - times.len();
    assert_eq!(
        missing,
        0,
        "of {} acknowledged packets are not there once",
        load.len()
    );
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_millis(gaps.max().unwrap_or_default())
}
