//! The server as a process over a database that the real store writes in the test's own process.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod raw;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use meshcore_store::{Description, Observer, Reception, Record, Store, StoreOptions, TimeSource};
use meshcore_testkit::{Program, http_get, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for what should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A folder with a database in it; the folder goes with this value.
pub(crate) struct Mesh {
    pub(crate) folder: TempDir,
    store: Option<Store>,
    written: u64,
}

impl Mesh {
    /// A folder without a database.
    pub(crate) fn without_database() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: None,
            written: 0,
        }
    }

    /// A folder with a database.
    pub(crate) async fn new() -> Self {
        let mut mesh = Self::without_database();
        mesh.open().await;
        mesh
    }

    /// Opens the database for writing, and makes it if it is not there.
    pub(crate) async fn open(&mut self) {
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::new(self.db(), "server test")
        };
        self.store = Some(Store::open(options).await.unwrap().0);
    }

    /// Closes the database.
    pub(crate) async fn close(&mut self) {
        self.store.take().unwrap().close().await.unwrap();
    }

    /// Sets the database aside and goes on in a new one.
    pub(crate) async fn start_over(&mut self) {
        let store = self.store.take().unwrap();
        self.store = Some(Box::pin(store.start_over()).await.unwrap().0);
    }

    pub(crate) fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("the database is open")
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.folder.path().join("mesh.db")
    }

    /// Stores `count` observations of as many packets, in one commit. Each makes a frame of about 1.5 KB.
    pub(crate) async fn write(&mut self, count: u64) {
        self.write_texts(count, 100).await;
    }

    /// The same with frames of about 10 KB.
    pub(crate) async fn write_large(&mut self, count: u64) {
        self.write_texts(count, 3000).await;
    }

    async fn write_texts(&mut self, count: u64, length: usize) {
        let first = self.written;
        self.written += count;
        let records: Vec<Record> = (first..first + count).map(numbered).collect();
        let describe = |reception: &Reception| describe(reception, length);
        self.store().write(&records, &describe).await.unwrap();
    }
}

/// Observation number `n`. Its packet has the hash `n` in hex.
pub(crate) fn numbered(n: u64) -> Record {
    let mut raw = vec![0x15, 0];
    raw.extend(n.to_be_bytes());
    raw.extend([0x5A; 100]);
    Record::Reception(Box::new(Reception {
        hash: n.to_be_bytes(),
        raw,
        route_type: 1,
        payload_type: 5,
        path_json: "[]".to_owned(),
        path_is_frame_path: true,
        observer: Observer {
            id: format!("{:064X}", 0xA0 + n % 8),
            seen_at: Some(1_790_000_000),
            ..Observer::default()
        },
        direction: Some("rx"),
        snr: Some(-3.25),
        rssi: Some(-110.0),
        score: Some(320),
        duration_ms: Some(304),
        heard_at: 1_790_000_000,
        time_source: TimeSource::Arrival,
        arrived_at_ms: 1_790_000_000_000,
        feeder_time_ms: None,
        description: None,
    }))
}

fn describe(reception: &Reception, length: usize) -> Description {
    Description {
        decoded_json: format!(
            r#"{{"type":"GRP_TXT","n":{},"text":"{}"}}"#,
            u64::from_be_bytes(reception.hash),
            "x".repeat(length)
        ),
        ..Description::default()
    }
}

/// A server; it is killed with this value.
pub(crate) struct Server {
    program: Program,
    pub(crate) address: String,
    db: PathBuf,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(crate) fn start(mesh: &Mesh) -> Self {
        Self::start_with(mesh, &[])
    }

    /// The same with flags.
    pub(crate) fn start_with(mesh: &Mesh, flags: &[&str]) -> Self {
        let server = Self::start_unready(mesh, flags, &[]);
        server.wait_ready();
        server
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start_unready(mesh: &Mesh, flags: &[&str], env: &[(&str, &str)]) -> Self {
        let db = mesh.db();
        let mut all: Vec<(&str, OsString)> = vec![
            ("DB_PATH", db.clone().into()),
            ("MESHCORE_SERVER_ADDRESS", "127.0.0.1:0".into()),
            ("LOG_LEVEL", "debug,sqlx=warn".into()),
        ];
        all.extend(env.iter().map(|(key, value)| (*key, value.into())));
        // A log of its own, since the address is read from it.
        let count = std::fs::read_dir(mesh.folder.path()).unwrap().count();
        let log = mesh.folder.path().join(format!("server-{count}.log"));
        let program = Program::start(binary(), flags, &all, &log).unwrap();
        Self::listening(program, db)
    }

    /// Starts a server whose locks on the database take 100 ms each, and waits until it is ready.
    pub(crate) fn start_with_slow_database(mesh: &Mesh) -> Self {
        let slow = ["trace=fcntl", "inject=fcntl:delay_enter=100000"];
        let server = Self::start_traced(mesh, "127.0.0.1:0", &slow);
        server.wait_ready();
        server
    }

    /// Starts a server that is told to listen everywhere, where there is no IPv6, and waits until it listens. Its
    /// first socket is the one to listen on.
    pub(crate) fn start_without_ipv6(mesh: &Mesh) -> Self {
        let refused = ["trace=socket", "inject=socket:error=EAFNOSUPPORT:when=1"];
        Self::start_traced(mesh, "[::]:0", &refused)
    }

    /// Starts a server with a kernel that does what `expressions` of strace say.
    fn start_traced(mesh: &Mesh, address: &str, expressions: &[&str]) -> Self {
        let db = mesh.db();
        // With -D strace is the child: the process that was started is the server.
        let mut strace = Command::new("strace");
        strace.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"]);
        strace.args(expressions.iter().flat_map(|expression| ["-e", expression]));
        strace.arg(binary());
        let env: [(&str, OsString); 2] = [
            ("DB_PATH", db.clone().into()),
            ("MESHCORE_SERVER_ADDRESS", address.into()),
        ];
        let log = mesh.folder.path().join("server-traced.log");
        Self::listening(Program::start_command(&mut strace, &env, &log).unwrap(), db)
    }

    fn listening(program: Program, db: PathBuf) -> Self {
        let address = wait_until("the server listens", SOON, || listening(&program.log()));
        let address = address.unwrap_or_else(|error| panic!("{error}\n{}", program.log()));
        Self {
            program,
            address,
            db,
        }
    }

    pub(crate) fn wait_ready(&self) {
        self.wait_for("it is ready", || {
            (self.ask("/health/ready")?.0 == 200).then_some(())
        });
    }

    pub(crate) fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    pub(crate) fn log(&self) -> String {
        self.program.log()
    }

    /// Bytes of its memory that are in use.
    pub(crate) fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.program.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Status and body of an answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http_get(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// The same for whoever asks again: on a busy machine an answer may take longer than it is waited for.
    fn ask(&self, path: &str) -> Option<(u16, String)> {
        http_get(&format!("http://{}{path}", self.address)).ok()
    }

    /// The status and the JSON of an answer.
    pub(crate) fn json(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.get(path);
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}")),
        )
    }

    /// Why it is not ready: the whole body of the probe; `None` too when no answer came.
    pub(crate) fn unready(&self) -> Option<String> {
        let (status, body) = self.ask("/health/ready")?;
        (status == 503).then_some(body)
    }

    /// The value of a metric, labels and all; 0 while it is not there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.wait_for("it tells its metrics", || self.ask("/metrics"));
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, question: impl FnMut() -> Option<T>) -> T {
        match wait_until(what, SOON, question) {
            Ok(answer) => answer,
            Err(error) => panic!("{error}\n{}", self.log()),
        }
    }

    /// Asks it to stop, waits for its end, and gives exit code and report.
    pub(crate) fn stop(mut self) -> (i32, Value) {
        self.program.terminate().unwrap();
        self.ended()
    }

    /// Waits for its end; gives exit code and report.
    pub(crate) fn ended(&mut self) -> (i32, Value) {
        let status = self.program.wait(Duration::from_secs(40)).unwrap();
        let report = std::fs::read(format!("{}.shutdown-server.json", self.db.display()));
        let report = report.unwrap_or_else(|_| panic!("no report:\n{}", self.log()));
        (
            status.code().unwrap_or(-1),
            serde_json::from_slice(&report).unwrap(),
        )
    }
}

/// The server's binary.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_meshcore-server"))
}

fn listening(log: &str) -> Option<String> {
    let line = log
        .lines()
        .find(|line| line.contains("The server listens"))?;
    let address = line.split("address=").nth(1)?;
    Some(address.split_whitespace().next()?.to_owned())
}
