//! Both programs together: what was committed before a stop is there after it, whoever was stopped or killed, and
//! clients of the live feed that resume get exactly what they missed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use meshcore_testkit::{
    AckProxy, Ended, LiveClient, Mosquitto, MosquittoOptions, Publisher, http_get, ids_of,
    numbered_packet, packet_hash_of, wait_until,
};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinHandle;

use super::harness::{SOON, Up, write};

/// How long a life is watched before it ends.
const LIFE: Duration = Duration::from_millis(1500);
/// What the clients ask for.
const QUERIES: [&str; 3] = ["", "batch=50", "batch=1000"];

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Ctrl-C, and `up` is started again.
    Stopped,
    /// SIGKILL for the server; `up` starts it again.
    ServerKilled,
    /// SIGKILL for the ingestor; `up` starts it again.
    IngestorKilled,
    /// SIGKILL for `up`, and it is started again.
    UpKilled,
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_resume_miss_nothing_whoever_is_stopped_or_killed() {
    let broker = Mosquitto::start(&MosquittoOptions::default()).unwrap();
    let proxy = AckProxy::start(broker.port()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let resource = format!(
        "\
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {{name: together}}
spec:
  mqttSources:
    - {{name: local, broker: 'mqtt://127.0.0.1:{}'}}
  storage: {{size: 1Gi}}
",
        proxy.port()
    );
    write(folder.path(), "a.yaml", &resource);
    let mut up = Up::start_in(folder, &["-f", "a.yaml"]);
    up.wait_until_it_runs();
    up.wait_for_line("source local: connected");
    let publishing = Publishing::start(broker.port());

    let mut clients = Vec::new();
    for query in QUERIES {
        clients.push(Listener::new(&up, query).await);
    }
    for end in [
        End::Stopped,
        End::ServerKilled,
        End::IngestorKilled,
        End::UpKilled,
        End::Stopped,
    ] {
        for client in &mut clients {
            client.connect(&up).await;
        }
        let listening: Vec<_> = clients
            .drain(..)
            .map(|client| tokio::spawn(client.listen_to_the_end()))
            .collect();
        tokio::time::sleep(LIFE).await;
        if end == End::IngestorKilled {
            // The server goes on, and its clients with it; they are cut by the next end.
            kill_process(up.child("meshcore-ingestor"), Signal::KILL).unwrap();
            tokio::time::sleep(LIFE).await;
            kill_process(up.child("meshcore-server"), Signal::KILL).unwrap();
        } else {
            up = end_life(up, end);
        }
        for task in listening {
            let (client, ended) = task.await.unwrap();
            let goodbye = Ended::Closed(1001, "restart".to_owned());
            match end {
                End::Stopped | End::UpKilled => assert_eq!(ended, goodbye, "{end:?}"),
                End::ServerKilled | End::IngestorKilled => assert_eq!(ended, Ended::Cut),
            }
            clients.push(client);
        }
        if matches!(end, End::Stopped | End::UpKilled) {
            in_order(&up);
            let before = acknowledged(&proxy);
            up = Up::start_in(up.folder, &["-f", "a.yaml"]);
            up.wait_until_it_runs();
            let shown = shown(&up);
            let lost: Vec<_> = before.difference(&shown).collect();
            assert!(
                lost.is_empty(),
                "acknowledged before, not shown after: {lost:?}"
            );
        } else {
            wait_for_server(&up);
        }
    }
    let published = publishing.stop().await;
    up.wait_for_counter("totalTransmissions", published);
    for client in &mut clients {
        client.connect(&up).await;
    }
    // Everything that is there, by the file itself.
    let db = up.folder.path().join("data/meshcore.db");
    let mut file = SqliteConnectOptions::new()
        .filename(&db)
        .connect()
        .await
        .unwrap();
    for client in &mut clients {
        let after = "SELECT id FROM observations WHERE id > ? ORDER BY id";
        let rows = sqlx::query_scalar(after).bind(client.first);
        let stored: Vec<i64> = rows.fetch_all(&mut file).await.unwrap();
        assert!(stored.len() > 100, "{} rows", stored.len());
        client.listen_until(*stored.last().unwrap()).await;
        assert_eq!(client.seen, stored, "client {:?}", client.query);
    }
    file.close().await.unwrap();
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "{}", up.log());
}

/// Ends the life of `up` and gives back what is left of it, for its folder.
fn end_life(mut up: Up, end: End) -> Up {
    match end {
        End::Stopped => {
            up.press_ctrl_c();
            assert_eq!(up.exit_code(), 0, "{}", up.log());
        }
        End::ServerKilled => kill_process(up.child("meshcore-server"), Signal::KILL).unwrap(),
        End::IngestorKilled => kill_process(up.child("meshcore-ingestor"), Signal::KILL).unwrap(),
        End::UpKilled => {
            let children = [up.child("meshcore-server"), up.child("meshcore-ingestor")];
            up.signal(Signal::KILL);
            assert_eq!(up.exit_code(), 137);
            wait_until("the children end", SOON, || {
                let is_alive = super::harness::is_alive;
                (!children.iter().any(|child| is_alive(*child))).then_some(())
            })
            .unwrap();
        }
    }
    up
}

/// The server had stopped before the ingestor was told to.
fn in_order(up: &Up) {
    let (server, ingestor) = (up.report("server").unwrap(), up.report("ingestor").unwrap());
    assert!(server.clean && ingestor.clean, "{server:?} {ingestor:?}");
    assert!(server.at <= ingestor.started_at, "{server:?} {ingestor:?}");
    let names = |report: &meshcore_lifecycle::Report| -> Vec<String> {
        report
            .phases
            .iter()
            .map(|phase| phase.name.clone())
            .collect()
    };
    assert_eq!(
        names(&server),
        [
            "stop_tail",
            "drain_http",
            "close_websockets",
            "close_database"
        ]
    );
    assert_eq!(
        names(&ingestor),
        [
            "stop_intake",
            "drain_queue",
            "disconnect",
            "checkpoint",
            "close_database"
        ]
    );
}

fn wait_for_server(up: &Up) {
    let url = up.url("counters");
    wait_until("the server is back", SOON, || {
        http_get(&url).ok().filter(|(status, _)| *status == 200)
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", up.log()));
}

/// The hashes of all packets that the ingestor has acknowledged.
fn acknowledged(proxy: &AckProxy) -> BTreeSet<String> {
    let hash = |payload: &[u8]| {
        let json: Value = serde_json::from_slice(payload).unwrap();
        packet_hash_of(&hex::decode(json["raw"].as_str().unwrap()).unwrap())
    };
    let acknowledged = proxy.acknowledged();
    acknowledged
        .iter()
        .map(|message| hash(&message.payload))
        .collect()
}

/// The hashes of all packets that the server shows, page by page.
fn shown(up: &Up) -> BTreeSet<String> {
    let base = up
        .url("counters")
        .replace("/api/stats", "/api/packets?limit=1000");
    let mut url = base.clone();
    let mut hashes = BTreeSet::new();
    loop {
        // A query that finds no processor for a second is refused, too.
        let body = wait_until(&url, SOON, || {
            let (status, body) = http_get(&url).ok()?;
            (status == 200).then_some(body)
        })
        .unwrap();
        let page: Value = serde_json::from_str(&body).unwrap();
        let packets = page["packets"].as_array().unwrap().iter();
        hashes.extend(packets.map(|packet| packet["hash"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else {
            return hashes;
        };
        url = format!("{base}&cursor={cursor}");
    }
}

/// Publishes at `QoS` 1, a packet each 10 ms, whatever happens to the rest.
struct Publishing {
    stop: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Publishing {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut publisher = Publisher::start(port, "feeder", 100).unwrap();
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            let mut number = 0;
            while !stopping.load(Ordering::Relaxed) {
                tick.tick().await;
                let packet = numbered_packet(number);
                let published = publisher.publish(&packet.topic, packet.payload);
                published.await.unwrap();
                number += 1;
            }
            publisher.flush(SOON).await.unwrap();
            number
        });
        Self { stop, task }
    }

    /// How many packets there are.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// A client over all its connections.
struct Listener {
    query: &'static str,
    connection: Option<LiveClient>,
    token: String,
    /// The last observation before the first that it should see.
    first: i64,
    seen: Vec<i64>,
}

impl Listener {
    /// Connects for the first time; what comes from here on must be seen.
    async fn new(up: &Up, query: &'static str) -> Self {
        let mut listener = Self {
            query,
            connection: None,
            token: String::new(),
            first: 0,
            seen: Vec::new(),
        };
        listener.connect(up).await;
        let frame = listener.connection.as_mut().unwrap().frame().await;
        listener.take(&frame);
        listener.first = listener.seen.first().unwrap() - 1;
        listener
    }

    /// Connects unless it is, and resumes where it was.
    async fn connect(&mut self, up: &Up) {
        if self.connection.is_some() {
            return;
        }
        let counters = up.url("counters");
        let address = counters.trim_start_matches("http://");
        let address = address.trim_end_matches("/api/stats");
        let resume = match self.token.as_str() {
            "" => String::new(),
            token => format!("resume={token}"),
        };
        let query = format!("?{}&{resume}", self.query);
        let query = query.replace("?&", "?");
        let client = LiveClient::connect(address, query.trim_end_matches(['&', '?'])).await;
        self.connection = Some(client);
    }

    fn take(&mut self, frame: &Value) {
        assert_ne!(frame["type"], "gap", "{frame}");
        if frame["type"] != "bye" {
            self.seen.extend(ids_of(frame));
        }
        frame["resume"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.token);
    }

    async fn listen_to_the_end(mut self) -> (Self, Ended) {
        let mut connection = self.connection.take().expect("it is connected");
        loop {
            match connection.frame_within(SOON).await {
                Some(Ok(frame)) => self.take(&frame),
                Some(Err(ended)) => return (self, ended),
                None => panic!("neither a frame nor an end"),
            }
        }
    }

    async fn listen_until(&mut self, last: i64) {
        let mut connection = self.connection.take().expect("it is connected");
        while *self.seen.last().unwrap() < last {
            let frame = connection.frame().await;
            self.take(&frame);
        }
    }
}
