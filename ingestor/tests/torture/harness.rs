//! Broker, proxy, publisher and ingestor of one custody test.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use meshcore_testkit::{
    AckProxy, Mosquitto, MosquittoOptions, Program, Publisher, free_port, numbered_packet,
    wait_until,
};
use tokio::task::JoinHandle;

/// The longest that anything is waited for. A pause before a reconnect alone may take 45 s.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
/// How many packets may be published and not acknowledged by the ingestor.
const AHEAD: u64 = 4_000;

/// Everything around the ingestor.
pub(crate) struct Harness {
    pub(crate) broker: Mosquitto,
    pub(crate) proxy: Arc<AckProxy>,
    pub(crate) db: PathBuf,
    pub(crate) seed: u64,
    folder: tempfile::TempDir,
    health: u16,
    random: u64,
    seen: usize,
}

impl Harness {
    pub(crate) async fn start(broker_lines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("data/mesh.db");
        Self::start_at(folder, db, broker_lines).await
    }

    /// Has the broker keep a session for the ingestor from now on: what is published before anybody ever
    /// subscribed is nobody's.
    pub(crate) fn make_session(&mut self) {
        let mut ingestor = self.start_ingestor(&[]);
        let sources = self.ready_url().replace("health/ready", "sources");
        wait_until("a subscription", LIMIT, || {
            let (_, states) = meshcore_testkit::http_get(&sources).ok()?;
            states.contains("\"connected\":true").then_some(())
        })
        .unwrap();
        ingestor.terminate().unwrap();
        assert_eq!(ingestor.wait(LIMIT).unwrap().code(), Some(0));
    }

    /// With the database at `db`, which may be on another disk.
    pub(crate) async fn start_at(
        folder: tempfile::TempDir,
        db: PathBuf,
        broker_lines: &[&str],
    ) -> Self {
        let lines = broker_lines.iter().map(ToString::to_string).collect();
        let broker = Mosquitto::start(&MosquittoOptions {
            lines,
            ..MosquittoOptions::default()
        })
        .unwrap();
        let proxy = Arc::new(AckProxy::start(broker.port()).await.unwrap());
        let seed = std::env::var("TORTURE_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| RandomState::new().build_hasher().finish() | 1);
        Self {
            broker,
            proxy,
            db,
            seed,
            folder,
            health: free_port(),
            random: seed,
            seen: 0,
        }
    }

    /// Starts an ingestor and waits until it is ready.
    pub(crate) fn start_ingestor(&mut self, env: &[(&str, &str)]) -> Program {
        // Before the start: a redelivery may be acknowledged before anybody has asked whether it is ready.
        self.seen = self.proxy.count();
        let mut program = Program::start(
            Path::new(env!("CARGO_BIN_EXE_meshcore-ingestor")),
            &[],
            &self.environment(env),
            &self.folder.path().join("ingestor.log"),
        )
        .unwrap();
        program.wait_ready(&self.ready_url(), LIMIT).unwrap();
        program
    }

    /// The ingestor's environment.
    pub(crate) fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = [
            ("DB_PATH", self.db.display().to_string()),
            (
                "MQTT_BROKER",
                format!("mqtt://127.0.0.1:{}", self.proxy.port()),
            ),
            (
                "MESHCORE_INGESTOR_ADDRESS",
                format!("127.0.0.1:{}", self.health),
            ),
        ];
        let more = more
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        own.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .chain(more)
            .collect()
    }

    pub(crate) fn ready_url(&self) -> String {
        format!("http://127.0.0.1:{}/health/ready", self.health)
    }

    /// A place for logs.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for more acknowledgements than there were when this was last asked: longer than the longest pause
    /// before a reconnect, which is 45 s.
    pub(crate) fn wait_for_acks(&mut self, more: usize) {
        let proxy = &self.proxy;
        let seen = self.seen;
        let now = wait_until("acknowledgements", LIMIT, || {
            let count = proxy.count();
            (count >= seen + more).then_some(count)
        });
        match now {
            Ok(now) => self.seen = now,
            Err(error) => {
                let log = std::fs::read_to_string(self.log("ingestor.log")).unwrap_or_default();
                panic!("{error}; broker: {}; ingestor: {log}", self.broker.log());
            }
        }
    }

    /// Waits until as many different packets were acknowledged as were published.
    pub(crate) fn wait_for_all(&self, published: u64, ingestor: &Program) {
        let mut payloads = HashSet::new();
        let mut seen = 0;
        let done = wait_until("every packet acknowledged", LIMIT, || {
            for message in self.proxy.acknowledged_since(seen) {
                seen += 1;
                payloads.insert(message.payload);
            }
            (payloads.len() as u64 >= published).then_some(())
        });
        if let Err(error) = done {
            let metrics =
                meshcore_testkit::http_get(&self.ready_url().replace("health/ready", "metrics"));
            let log = ingestor.log();
            let tail = log.get(log.len().saturating_sub(6_000)..).unwrap_or(&log);
            panic!(
                "{error}: {} of {published}; {metrics:?}; {tail}",
                payloads.len()
            );
        }
    }

    /// Up to 200 ms, by the seed.
    pub(crate) fn random_pause(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        std::thread::park_timeout(Duration::from_micros(self.random % 200_000));
    }
}

/// A publisher that is always some thousands of packets ahead of the ingestor.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    /// Publish without looking how far the ingestor is.
    headlong: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Traffic {
    pub(crate) fn start(harness: &Harness) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let published = Arc::new(AtomicU64::new(0));
        let headlong = Arc::new(AtomicBool::new(false));
        let (stopping, counting, proxy) = (
            Arc::clone(&stop),
            Arc::clone(&published),
            Arc::clone(&harness.proxy),
        );
        let unchecked = Arc::clone(&headlong);
        let paused = Arc::new(AtomicBool::new(false));
        let pausing = Arc::clone(&paused);
        let port = harness.broker.port();
        let task = tokio::spawn(async move {
            let mut publisher = Publisher::start(port, "publisher", 500).unwrap();
            let mut n = 0;
            while !stopping.load(Ordering::Relaxed) {
                let far_ahead =
                    n > proxy.count() as u64 + AHEAD && !unchecked.load(Ordering::Relaxed);
                if far_ahead || pausing.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    continue;
                }
                let packet = numbered_packet(n);
                publisher
                    .publish(&packet.topic, packet.payload)
                    .await
                    .unwrap();
                n += 1;
                counting.store(n, Ordering::Relaxed);
            }
            if !unchecked.load(Ordering::Relaxed) {
                publisher.flush(LIMIT).await.unwrap();
            }
        });
        Self {
            stop,
            published,
            headlong,
            paused,
            task,
        }
    }

    /// Publishes nothing new while somebody looks, so that the database stays small.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Goes on whatever the ingestor does: where a broker loses what it held, nobody can tell how far that is.
    pub(crate) fn stop_waiting(&self) {
        self.headlong.store(true, Ordering::Relaxed);
    }

    /// Stops, and says how many packets the broker has taken.
    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.published.load(Ordering::Relaxed)
    }
}

/// Reads the database without a pause, in a process that isn't the ingestor's.
pub(crate) struct EndlessReader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
}

impl EndlessReader {
    pub(crate) fn start(harness: &Harness) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let reads = Arc::new(AtomicU64::new(0));
        let (stopping, counting, db) = (Arc::clone(&stop), Arc::clone(&reads), harness.db.clone());
        tokio::spawn(async move {
            while !stopping.load(Ordering::Relaxed) {
                let Ok(mut reader) = meshcore_store::Reader::open(&db).await else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                while !stopping.load(Ordering::Relaxed) && reader.stats().await.is_ok() {
                    counting.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { stop, reads }
    }

    /// Stops, and says how often it has read.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.reads.load(Ordering::Relaxed)
    }
}
