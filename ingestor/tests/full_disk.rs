//! The whole program on a full disk: acknowledgements stop, the process lives and says what is wrong, and it
//! goes on by itself when there is room.
#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use meshcore_testkit::{
    AckProxy, Mosquitto, MosquittoOptions, Program, Publisher, free_port, http_get,
    numbered_packet, wait_until,
};
use meshcore_testkit::{Filler, SmallDisk};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_mins(1);

/// A broker, the oracle before it, and an ingestor with its database on a small disk.
struct Setup {
    // The process ends before its disk is unmounted.
    ingestor: Program,
    disk: SmallDisk,
    proxy: AckProxy,
    publisher: Publisher,
    /// Hashes of what was published.
    published: BTreeSet<String>,
    health: String,
    _broker: Mosquitto,
    _logs: TempDir,
}

impl Setup {
    async fn start() -> Option<Self> {
        let disk = SmallDisk::new(32)?;
        let broker = Mosquitto::start(&MosquittoOptions::default()).unwrap();
        let proxy = AckProxy::start(broker.port()).await.unwrap();
        let logs = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let health = format!("http://{address}");
        let env = [
            ("DB_PATH", disk.path().join("mesh.db").display().to_string()),
            ("MQTT_BROKER", format!("mqtt://127.0.0.1:{}", proxy.port())),
            ("MESHCORE_INGESTOR_ADDRESS", address),
            ("SHUTDOWN_INGESTOR_DRAIN_SECONDS", "2".to_owned()),
            ("SHUTDOWN_CHECKPOINT_SECONDS", "2".to_owned()),
        ];
        let binary = Path::new(env!("CARGO_BIN_EXE_meshcore-ingestor"));
        let log = logs.path().join("ingestor.log");
        let mut ingestor = Program::start(binary, &[], &env, &log).unwrap();
        ingestor
            .wait_ready(&format!("{health}/health/ready"), LIMIT)
            .unwrap();
        let publisher = Publisher::start(broker.port(), "publisher", 100).unwrap();
        let setup = Self {
            ingestor,
            disk,
            proxy,
            publisher,
            published: BTreeSet::new(),
            health,
            _broker: broker,
            _logs: logs,
        };
        setup.wait_for("a connection", || {
            let (_, sources) = http_get(&format!("{}/sources", setup.health)).ok()?;
            sources.contains("\"connected\":true").then_some(())
        });
        Some(setup)
    }

    /// Waits for an answer; without one, shows the ingestor's log.
    #[track_caller]
    fn wait_for<T>(&self, what: &str, question: impl FnMut() -> Option<T>) -> T {
        wait_until(what, LIMIT, question)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.ingestor.log()))
    }

    async fn publish(&mut self, packets: u64) {
        for _ in 0..packets {
            let packet = numbered_packet(self.published.len() as u64);
            self.published.insert(packet.hash);
            self.publisher
                .publish(&packet.topic, packet.payload)
                .await
                .unwrap();
        }
    }

    /// Hashes of what was acknowledged.
    fn acknowledged(&self) -> BTreeSet<String> {
        let payloads: BTreeSet<_> = self
            .proxy
            .acknowledged()
            .into_iter()
            .map(|message| message.payload)
            .collect();
        (0..self.published.len() as u64)
            .map(numbered_packet)
            .filter(|packet| payloads.contains(&packet.payload))
            .map(|packet| packet.hash)
            .collect()
    }

    /// Publishes until the disk is full and says so; gives back the room it takes.
    async fn fill_the_disk(&mut self) -> Filler {
        self.publish(200).await;
        self.wait_for("the first acknowledgements", || {
            (self.proxy.count() >= 200).then_some(())
        });
        let filler = self.disk.fill_but(0);
        let until = Instant::now() + LIMIT;
        while self.ready().0 == 200 {
            assert!(Instant::now() < until, "the disk is never full");
            self.publish(100).await;
        }
        filler
    }

    fn ready(&self) -> (u16, String) {
        self.answer("health/ready")
    }

    /// What `GET` answers, as soon as it answers: the process lives.
    fn answer(&self, path: &str) -> (u16, String) {
        self.wait_for(path, || http_get(&format!("{}/{path}", self.health)).ok())
    }

    fn metric(&self, name: &str) -> Option<String> {
        let (_, text) = self.answer("metrics");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(str::to_owned)
    }

    /// All hashes in the database, each once, after a check of the file.
    async fn stored(&self) -> BTreeSet<String> {
        let mut db = SqliteConnectOptions::new()
            .filename(self.disk.path().join("mesh.db"))
            .connect()
            .await
            .unwrap();
        let check: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_eq!(check, "ok");
        let hashes: Vec<String> = sqlx::query_scalar("SELECT hash FROM transmissions")
            .fetch_all(&mut db)
            .await
            .unwrap();
        db.close().await.unwrap();
        let set: BTreeSet<_> = hashes.iter().cloned().collect();
        assert_eq!(set.len(), hashes.len());
        set
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_acknowledgements_and_nothing_else() {
    let Some(mut setup) = Setup::start().await else {
        return;
    };
    let filler = setup.fill_the_disk().await;
    let (status, body) = setup.ready();
    assert_eq!(status, 503);
    assert!(body.contains("disk is full"), "{body}");
    assert_eq!(setup.metric("meshcore_disk_full").as_deref(), Some("1"));
    // Neither is a reason to restart it.
    for path in ["live", "startup"] {
        let (status, body) = setup.answer(&format!("health/{path}"));
        assert_eq!(status, 200, "{path}: {body}");
    }

    // What is on its way arrives; then no acknowledgement leaves any more.
    let before = setup.wait_for("all acknowledgements of what is stored", || {
        let count = setup.proxy.count();
        let counted = ["transmissions_stored", "acks_sent"].map(|name| {
            let counter = setup.metric(&format!("meshcore_{name}_total"))?;
            counter.parse().ok()
        });
        (counted == [Some(count); 2]).then_some(count)
    });
    setup.publish(100).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(setup.proxy.count(), before, "acknowledged on a full disk");
    let lost: Vec<_> = setup
        .acknowledged()
        .difference(&setup.stored().await)
        .cloned()
        .collect();
    assert!(lost.is_empty(), "{lost:?}");

    drop(filler);
    setup.wait_for("readiness", || (setup.ready().0 == 200).then_some(()));
    assert_eq!(setup.metric("meshcore_disk_full").as_deref(), Some("0"));
    setup.publisher.flush(LIMIT).await.unwrap();
    setup.wait_for("all acknowledgements", || {
        (setup.proxy.count() >= setup.published.len()).then_some(())
    });
    assert_eq!(setup.stored().await, setup.published);
    setup.ingestor.terminate().unwrap();
    assert_eq!(setup.ingestor.wait(LIMIT).unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_on_a_full_disk_ends_in_time_and_loses_nothing() {
    let Some(mut setup) = Setup::start().await else {
        return;
    };
    let filler = setup.fill_the_disk().await;
    let asked = Instant::now();
    // Four seconds are its budget; without one it would wait for room.
    setup.ingestor.terminate().unwrap();
    let status = setup.ingestor.wait(LIMIT).unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "{:?}",
        asked.elapsed()
    );
    assert!(
        matches!(status.code(), Some(0 | 124)),
        "{status}\n{}",
        setup.ingestor.log()
    );
    drop(filler);
    let stored = setup.stored().await;
    let lost: Vec<_> = setup.acknowledged().difference(&stored).cloned().collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(stored.is_subset(&setup.published));
}
