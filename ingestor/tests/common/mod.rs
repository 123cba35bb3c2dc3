//! An ingestor as a process with a folder of its own: started with a configuration, asked over its health
//! port, looked into through its database.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meshcore_lifecycle::{Report, report_path};
use meshcore_testkit::{
    Mosquitto, MosquittoOptions, NumberedPacket, Program, Publisher, free_port, http_get,
    numbered_packet, wait_until,
};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// How long a test waits for what should happen at once. On a machine that is busy an attempt to connect may be late,
/// and the pause before the next one is up to 45 s.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// An ingestor; it is killed and its folder removed with this value.
pub(crate) struct Ingestor {
    folder: TempDir,
    health: u16,
    program: Option<Program>,
}

impl Ingestor {
    /// Starts an ingestor with `sources` and waits until it is ready.
    pub(crate) fn start(sources: &[Value]) -> Self {
        Self::start_with(&json!({"mqttSources": sources}))
    }

    /// Starts an ingestor with a whole configuration and waits until it is ready.
    pub(crate) fn start_with(config: &Value) -> Self {
        let mut ingestor = Self {
            folder: tempfile::tempdir().unwrap(),
            health: free_port(),
            program: None,
        };
        ingestor.start_again_with(config);
        ingestor
    }

    /// Starts it after its end, with the configuration it had.
    pub(crate) fn start_again(&mut self) {
        let mut program = Program::start(
            Path::new(env!("CARGO_BIN_EXE_meshcore-ingestor")),
            &[],
            &[
                ("MESHCORE_CONFIG", self.config_file().into_os_string()),
                ("DB_PATH", self.db().into_os_string()),
                (
                    "MESHCORE_INGESTOR_ADDRESS",
                    format!("127.0.0.1:{}", self.health).into(),
                ),
                ("LOG_LEVEL", "debug,sqlx=warn".into()),
            ],
            &self.folder.path().join("ingestor.log"),
        )
        .unwrap();
        program.wait_ready(&self.url("health/ready"), SOON).unwrap();
        self.program = Some(program);
    }

    /// Starts it after its end, with another configuration.
    pub(crate) fn start_again_with(&mut self, config: &Value) {
        let mut config = config.clone();
        // Room held back for a full disk is of no use in these tests.
        config["store"]["ballastBytes"] = 0.into();
        std::fs::write(self.config_file(), config.to_string()).unwrap();
        self.start_again();
    }

    /// Asks it to stop, waits for its end and says with which code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut program = self.program.take().expect("it runs");
        program.terminate().unwrap();
        program.wait(SOON).unwrap().code()
    }

    /// The report of the stop that was last.
    pub(crate) fn report(&self) -> Report {
        let path = report_path(&self.db(), "ingestor");
        Report::read_previous(&path).unwrap().expect("a report")
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) {
        self.program.take().expect("it runs").kill().unwrap();
    }

    /// The running process.
    pub(crate) fn program(&self) -> &Program {
        self.program.as_ref().expect("it runs")
    }

    /// The database file.
    pub(crate) fn db(&self) -> PathBuf {
        self.folder.path().join("mesh.db")
    }

    /// A folder for the files of a test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What all its lives have printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("ingestor.log")).unwrap_or_default()
    }

    /// The value of a metric, labels and all; 0 while it is not there.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.answer("metrics")
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or_default()
    }

    /// Waits until a metric is at least `value`.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, name: &str, value: u64) {
        self.wait_for(&format!("{name} is {value} or more"), SOON, || {
            (self.metric(name) >= value).then_some(())
        });
    }

    /// Waits until a metric is at least `value`, which must be what it is then: it may grow a moment after the rows
    /// that it counts are there.
    #[track_caller]
    pub(crate) fn assert_metric(&self, name: &str, value: u64) {
        self.wait_for_metric(name, value);
        assert_eq!(self.metric(name), value, "{name}");
    }

    /// What `GET` answers, as soon as it answers.
    #[track_caller]
    fn answer(&self, path: &str) -> String {
        self.wait_for(path, SOON, || Some(http_get(&self.url(path)).ok()?.1))
    }

    /// What `/sources` says of a source.
    #[track_caller]
    pub(crate) fn source(&self, name: &str) -> Value {
        let sources: Vec<Value> = serde_json::from_str(&self.answer("sources")).unwrap();
        sources
            .into_iter()
            .find(|source| source["name"] == name)
            .unwrap()
    }

    /// Waits until a source is connected and its subscriptions accepted.
    #[track_caller]
    pub(crate) fn wait_for_connection(&self, name: &str) {
        self.wait_for(&format!("{name} is connected"), SOON, || {
            (self.source(name)["connected"] == true).then_some(())
        });
    }

    /// Waits until the problem of a source has `part` in it.
    #[track_caller]
    pub(crate) fn wait_for_problem(&self, name: &str, part: &str) {
        self.wait_for(&format!("{name}'s problem is {part:?}"), SOON, || {
            let source = self.source(name);
            source["problem"].as_str()?.contains(part).then_some(())
        });
    }

    /// Waits until its log has `part` in it.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, part: &str) {
        self.wait_for(&format!("the log says {part:?}"), SOON, || {
            self.log().contains(part).then_some(())
        });
    }

    /// Waits for an answer; says with the ingestor's log what was waited for in vain.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        question: impl FnMut() -> Option<T>,
    ) -> T {
        match wait_until(what, limit, question) {
            Ok(answer) => answer,
            Err(error) => panic!("{error}\n{}", self.log()),
        }
    }

    /// A connection to its database.
    pub(crate) async fn database(&self) -> SqliteConnection {
        open(&self.db()).await
    }

    /// Keeps its writer from writing until the returned connection is dropped.
    pub(crate) async fn hold_the_writer(&self) -> SqliteConnection {
        let mut connection = self.database().await;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .unwrap();
        connection
    }

    /// The hashes of all stored packets.
    pub(crate) async fn stored(&self) -> BTreeSet<String> {
        let mut database = self.database().await;
        let hashes = sqlx::query_scalar("SELECT hash FROM transmissions")
            .fetch_all(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        hashes.into_iter().collect()
    }

    /// The number that a query gives.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        number_in(&self.db(), query).await
    }

    /// Waits until all these packets are stored.
    #[track_caller]
    pub(crate) fn wait_for_packets(
        &self,
        packets: impl IntoIterator<Item = u64>,
    ) -> impl Future<Output = ()> {
        let wanted: BTreeSet<String> = packets
            .into_iter()
            .map(|n| numbered_packet(n).hash)
            .collect();
        let caller = std::panic::Location::caller();
        async move {
            let until = tokio::time::Instant::now() + SOON;
            loop {
                let stored = self.stored().await;
                let missing = wanted.difference(&stored).count();
                if missing == 0 {
                    return;
                }
                assert!(
                    tokio::time::Instant::now() < until,
                    "{missing} of {} packets are missing ({caller})\n{}",
                    wanted.len(),
                    self.log()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.health)
    }
}

/// A source of that name at the broker on `port`.
pub(crate) fn source(name: &str, port: u16) -> Value {
    json!({"name": name, "broker": format!("mqtt://127.0.0.1:{port}")})
}

/// `value` with more keys.
pub(crate) fn with(mut value: Value, more: &Value) -> Value {
    for (key, one) in more.as_object().expect("keys and values") {
        value[key] = one.clone();
    }
    value
}

/// A broker with more lines in its configuration.
pub(crate) fn broker(lines: &[&str]) -> Mosquitto {
    let lines = lines.iter().map(ToString::to_string).collect();
    Mosquitto::start(&MosquittoOptions {
        lines,
        ..MosquittoOptions::default()
    })
    .unwrap()
}

/// Publishes numbered packets at QoS 1 and waits until the broker has them.
pub(crate) async fn publish(broker: &Mosquitto, numbers: impl IntoIterator<Item = u64>) {
    let mut publisher = Publisher::start(broker.port(), "test-publisher", 100).unwrap();
    for n in numbers {
        let NumberedPacket { topic, payload, .. } = numbered_packet(n);
        publisher.publish(&topic, payload).await.unwrap();
    }
    publisher.flush(SOON).await.unwrap();
}

/// A connection to the database file at `db`.
async fn open(db: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(db)
        .busy_timeout(SOON)
        .connect()
        .await
        .unwrap()
}

/// The number that a query to the database file at `db` gives.
pub(crate) async fn number_in(db: &Path, query: &'static str) -> i64 {
    let mut database = open(db).await;
    let number = sqlx::query_scalar(query)
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    number
}
