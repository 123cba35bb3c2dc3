//! A database, the server's process beside it, and questions over HTTP.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meshcore_packet::{Analysis, ChannelKeys, Frame, corescope};
use meshcore_store::{
    Description, NodeAdvert, Observer, Reception, Record, Store, StoreOptions, TimeSource,
};
use meshcore_testkit::{Program, free_port};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// 2026-09-21T14:13:20Z.
pub(crate) const THEN: i64 = 1_790_000_000;

/// A server that runs, and the store that writes its database.
pub(crate) struct Served {
    pub(crate) store: Store,
    pub(crate) server: Program,
    pub(crate) address: String,
    pub(crate) dir: TempDir,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Value,
}

impl Served {
    /// A server over a new database with `records` in it.
    pub(crate) async fn with(records: &[Record]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = open(dir.path()).await;
        store
            .write(records, &describe)
            .await
            .expect("the records are written");
        let address = format!("127.0.0.1:{}", free_port());
        let db = dir.path().join("mesh.db");
        let mut server = Program::start(
            Path::new(env!("CARGO_BIN_EXE_meshcore-server")),
            &["--db", &db.to_string_lossy(), "--listen", &address],
            &[("RUST_LOG", "info")],
            &dir.path().join("server.log"),
        )
        .expect("the server starts");
        server
            .wait_ready(
                &format!("http://{address}/health/ready"),
                Duration::from_secs(20),
            )
            .expect("the server gets ready");
        Self {
            store,
            server,
            address,
            dir,
        }
    }

    pub(crate) async fn write(&mut self, records: &[Record]) {
        self.store
            .write(records, &describe)
            .await
            .expect("the records are written");
    }

    /// Writes into the database past the store.
    pub(crate) async fn execute(&self, sql: &'static str) {
        let mut db = SqliteConnectOptions::new()
            .filename(self.dir.path().join("mesh.db"))
            .foreign_keys(false)
            .connect()
            .await
            .expect("the file is there");
        sqlx::raw_sql(sql).execute(&mut db).await.expect(sql);
        db.close().await.expect("it closes");
    }

    /// The answer to `GET path`; always JSON that no cache keeps.
    pub(crate) fn ask(&self, path: &str) -> Answer {
        let response = agent().get(self.url(path)).call();
        Answer::of(response, path)
    }

    /// The body of a good answer to `GET path`.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Status and sentence of a bad answer to `GET path`.
    pub(crate) fn refused(&self, path: &str) -> (u16, String) {
        self.ask(path).error()
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Answer {
        let response = agent().post(self.url(path)).send(body);
        Answer::of(response, path)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Answer {
    fn of(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>, path: &str) -> Self {
        let mut response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = response.body_mut().read_to_string().expect("text");
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text:?}"));
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "application/json", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        Self {
            status: response.status().as_u16(),
            headers,
            body,
        }
    }

    /// The status and the one thing that a bad answer says.
    pub(crate) fn error(&self) -> (u16, String) {
        let fields = self.body.as_object().expect("an object");
        assert_eq!(fields.len(), 1, "{}", self.body);
        let sentence = fields["error"].as_str().expect("a sentence");
        (self.status, sentence.to_owned())
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .into()
}

async fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::new(dir.join("mesh.db"), "api test")
    };
    Box::pin(Store::open(options))
        .await
        .expect("the store opens")
        .0
}

/// What the ingestor would store once for a packet.
fn describe(reception: &Reception) -> Description {
    let frame = Frame::decode(&reception.raw).expect("a frame");
    let keys = ChannelKeys::new();
    Description {
        decoded_json: corescope::decoded_json_string(&frame, &Analysis::new(&frame, &keys)),
        ..Description::default()
    }
}

/// `frame` as `observer` heard it at [`THEN`].
pub(crate) fn reception(frame: &str, observer: &str) -> Reception {
    let raw = hex::decode(frame).expect("hex");
    let frame = Frame::decode(&raw).expect("a frame");
    let payload = frame.decode_payload();
    let hops = corescope::hops(&frame, &payload);
    Reception {
        hash: frame.packet_hash().0,
        route_type: frame.route.code(),
        payload_type: frame.payload_type.code(),
        path_json: serde_json::to_string(&hops).expect("strings are JSON"),
        path_is_frame_path: frame.payload_type != meshcore_packet::PayloadType::Trace,
        observer: self::observer(observer, THEN),
        direction: Some("rx"),
        snr: Some(-3.25),
        rssi: Some(-110.0),
        score: Some(320),
        duration_ms: None,
        heard_at: THEN,
        time_source: TimeSource::Arrival,
        arrived_at_ms: THEN * 1000,
        feeder_time_ms: None,
        description: None,
        raw,
    }
}

/// An ACK with the checksum `n`, over the repeaters `path` (hex, one byte each).
pub(crate) fn ack(n: u32, path: &str, observer: &str) -> Reception {
    let frame = format!("0D{:02X}{path}{n:08X}", path.len() / 2);
    reception(&frame, observer)
}

pub(crate) fn observer(id: &str, seen_at: i64) -> Observer {
    Observer {
        id: id.to_owned(),
        name: Some(format!("Observer {id}")),
        iata: Some("BER".to_owned()),
        seen_at: Some(seen_at),
        ..Observer::default()
    }
}

pub(crate) fn record(reception: Reception) -> Record {
    Record::Reception(Box::new(reception))
}

/// An advert number `n`, heard at `heard_at`, that tells of a node; its key begins with `key`.
pub(crate) fn advert(n: u32, key: &str, name: &str, role: &str, heard_at: i64) -> Record {
    let node = NodeAdvert {
        public_key: format!("{key:0<64}"),
        name: Some(name.to_owned()),
        role: role.to_owned(),
        position: None,
        is_foreign: false,
        timestamp: heard_at,
    };
    advert_of(n, node, heard_at)
}

pub(crate) fn advert_of(n: u32, node: NodeAdvert, heard_at: i64) -> Record {
    let description = Description {
        decoded_json: "{}".to_owned(),
        node: Some(node),
        ..Description::default()
    };
    record(Reception {
        heard_at,
        observer: observer("O1", heard_at),
        description: Some(Box::new(description)),
        ..ack(n, "", "O1")
    })
}

/// Unix seconds of now.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("before the end of time")
}

/// A column of all elements of a list in an answer.
pub(crate) fn column(answer: &Value, list: &str, field: &str) -> Vec<String> {
    let elements = answer[list].as_array().expect("a list");
    elements
        .iter()
        .map(|element| element[field].as_str().expect("text").to_owned())
        .collect()
}
