//! The end of the server by a signal: who gets an answer, who gets a goodbye, what is reported, and how long it
//! takes.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::raw::Raw;
use common::{Mesh, SOON, Server};
use futures::StreamExt;
use meshcore_testkit::{Ended, LiveClient, http_get, ids_of, with_small_buffer};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const DRAIN: &str = "SHUTDOWN_SERVER_DRAIN_SECONDS";
const STEPS: [&str; 4] = [
    "stop_tail",
    "drain_http",
    "close_websockets",
    "close_database",
];

/// What the probes were answered, from before the signal to the end.
struct Probes {
    stop: Arc<AtomicBool>,
    seen: JoinHandle<Vec<(u16, u16, String)>>,
}

impl Probes {
    /// Asks `/health/live` and `/health/ready` again and again. The first answer is there when this returns.
    fn start(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // There is room for the one message, which nobody has to wait for.
        let (tell, told) = sync_channel(1);
        let (stopped, address) = (Arc::clone(&stop), address.to_owned());
        let seen = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                // A connection that was made just before the drain, and had no request, may be closed: as any
                // client, a probe tries again.
                let get = |path| {
                    let url = format!("http://{address}{path}");
                    http_get(&url).or_else(|_| http_get(&url))
                };
                // An answer that fails is the end of the process, unless another one follows.
                if let (Ok((ready, body)), Ok((live, _))) =
                    (get("/health/ready"), get("/health/live"))
                {
                    seen.push((live, ready, body));
                } else {
                    seen.push((0, 0, String::new()));
                }
                tell.try_send(()).ok();
                std::thread::park_timeout(Duration::from_millis(20));
            }
            seen
        });
        told.recv_timeout(2 * SOON).expect("a probe is answered");
        Self { stop, seen }
    }

    /// Asserts that readiness went first, with the right body, and that liveness was there to the end.
    #[track_caller]
    fn assert_in_order(self) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.seen.join().unwrap();
        let draining = seen
            .iter()
            .position(|(_, ready, _)| *ready == 503)
            .expect("it is seen draining");
        let end = seen
            .iter()
            .position(|(live, ..)| *live == 0)
            .unwrap_or(seen.len());
        assert!(draining > 0 && draining < end);
        for (live, ready, body) in &seen[draining..end] {
            assert_eq!((*live, *ready), (200, 503));
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["status"], "shutting_down");
        }
        assert!(
            seen[end..].iter().all(|(live, ..)| *live == 0),
            "it was away for a while: {seen:?}"
        );
    }
}

/// Asserts a clean end and gives the report.
#[track_caller]
fn assert_clean(server: &mut Server) -> Value {
    let (code, report) = server.ended();
    assert_eq!(code, 0, "{report}\n{}", server.log());
    assert_eq!(report["clean"], true, "{report}");
    assert_eq!(
        (&report["cause"], &report["program"]),
        (&json!("SIGTERM"), &json!("server"))
    );
    let names: Vec<&str> = report["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, STEPS);
    report
}

/// How long it took by its report, which knows nothing of what the test waits for.
fn took(report: &Value) -> Duration {
    Duration::from_millis(report["tookMilliseconds"].as_u64().unwrap())
}

/// Lets some servers live until one ends within `limit`, and gives its report: a busy machine may delay one of them,
/// and what takes longer by itself does so in each.
async fn one_ends_within(limit: Duration, mut life: impl AsyncFnMut() -> Value) -> Value {
    let mut reports = Vec::new();
    while reports.len() < 8 {
        let report = life().await;
        if took(&report) < limit {
            return report;
        }
        reports.push(report);
    }
    panic!("none ends within {limit:?}: {reports:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_ends_at_once() {
    let mesh = Mesh::new().await;
    // Less than the goodbyes of WebSocket clients take, of which there are none.
    let report = one_ends_within(Duration::from_millis(1500), async || {
        let mut server = Server::start(&mesh);
        server.program().terminate().unwrap();
        assert_clean(&mut server)
    })
    .await;

    // The next life shows how this one ended.
    let server = Server::start(&mesh);
    assert_eq!(server.json("/shutdown-report").1, report);
    assert_eq!(server.metric("graceful_shutdown_duration_seconds_count"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_request_are_closed_at_once() {
    let mesh = Mesh::new().await;
    let mut server = Server::start(&mesh);
    let mut silent = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..50 {
        silent.push(Raw::connect(&server.address).await);
        let mut raw = Raw::sent(
            &server.address,
            "GET /api/stats HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        .await;
        assert!(raw.answer().await.starts_with("HTTP/1.1 200"));
        idle.push(raw);
    }
    server.program().terminate().unwrap();
    for raw in silent.iter_mut().chain(&mut idle) {
        assert_eq!(raw.rest().await, "");
    }
    let report = assert_clean(&mut server);
    // Without a signal the silent ones are closed after ten seconds.
    assert!(took(&report) < Duration::from_secs(7), "{report}");
}

/// The head of a request whose body has 22 bytes.
const HEAD: &str = "POST /api/decode HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_in_flight_get_their_answers() {
    let mesh = Mesh::new().await;
    // The last ones are answered long before ten seconds are over, after which every request is.
    let mut server = Server::start_unready(&mesh, &[], &[(DRAIN, "8")]);
    server.wait_ready();
    // Some have only a part of their head sent, some their head, some a part of their body too.
    let mut requests = Vec::new();
    for n in 0..200 {
        let (now, later) = match n % 4 {
            0 => ("GET /api/stats HT", "TP/1.1\r\nHost: x\r\n\r\n".to_owned()),
            1 => (HEAD, r#"{"hex":"15000102030A"}"#.to_owned()),
            2 => (HEAD, r#"{"hex":"!"}           "#.to_owned()),
            // These never get to their end.
            _ => (HEAD, String::new()),
        };
        requests.push((Raw::sent(&server.address, now).await, later));
    }
    server.wait_for("they are all there", || {
        (server.metric("meshcore_server_connections") >= 200).then_some(())
    });
    let probes = Probes::start(&server.address);
    server.program().terminate().unwrap();
    server.wait_for("it stops", || server.unready());
    // A moment later a new request is told to go elsewhere. In between a connection that was made just before the
    // drain may be closed, if this client is held up before it asks.
    let answer = loop {
        let request = "GET /api/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = Raw::sent(&server.address, request).await.rest().await;
        if !answer.is_empty() && !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
    };
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("shutting down"),
        "{answer}"
    );

    // Much longer than a connection without a request is left open.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (raw, later) in &mut requests {
        for byte in later.as_bytes().chunks(8) {
            raw.send(std::str::from_utf8(byte).unwrap()).await;
        }
    }
    for (n, (raw, _)) in requests.iter_mut().enumerate() {
        let answer = raw.rest().await;
        let status = ["200", "200", "400", "503"][n % 4];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{n}: {answer:?}"
        );
        assert!(
            answer.to_lowercase().contains("connection: close"),
            "{n}: {answer}"
        );
        assert!(
            n % 4 < 3 || answer.contains("shutting down"),
            "{n}: {answer}"
        );
    }
    let report = assert_clean(&mut server);
    assert!(report["details"].get("requestsCut").is_none(), "{report}");
    // 8 s less a quarter for what comes after, and half a second before that the last ones are answered. There is
    // no bound above but the 8 s, after which the end is not clean.
    assert!(took(&report) >= Duration::from_millis(5500), "{report}");
    probes.assert_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_a_slow_database_get_their_answers() {
    let mesh = Mesh::new().await;
    let mut server = Server::start_with_slow_database(&mesh);
    let mut requests = Vec::new();
    for _ in 0..200 {
        requests.push(
            Raw::sent(
                &server.address,
                "GET /api/stats HTTP/1.1\r\nHost: x\r\n\r\n",
            )
            .await,
        );
    }
    server.wait_for("they are all there", || {
        (server.metric("meshcore_server_connections") >= 200).then_some(())
    });
    server.program().terminate().unwrap();
    let mut answered = [0, 0];
    for raw in &mut requests {
        let answer = raw.rest().await;
        let good = answer.starts_with("HTTP/1.1 200");
        assert!(good || answer.starts_with("HTTP/1.1 503"), "{answer:?}");
        answered[usize::from(good)] += 1;
    }
    // Four readers, and two seconds of patience: the others are told to come again.
    assert!(answered.iter().all(|count| *count > 3), "{answered:?}");
    assert_clean(&mut server);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_taken_slowly_are_sent_to_their_end_or_cut_at_the_deadline() {
    let mut mesh = Mesh::new().await;
    mesh.write(1000).await;
    let mut server = Server::start_unready(&mesh, &[], &[(DRAIN, "12")]);
    server.wait_ready();
    let whole = server.get("/api/packets?limit=1000").1;
    assert!(
        whole.len() > 400_000,
        "more than the buffers hold: {}",
        whole.len()
    );
    let mut readers = Vec::new();
    for _ in 0..20 {
        let request = "GET /api/packets?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n";
        readers.push(Raw::sent_with_small_buffer(&server.address, request).await);
    }
    server.wait_for("they are all being answered", || {
        (server
            .metric("meshcore_server_http_requests_total{route=\"/api/packets\",status=\"2xx\"}")
            >= 21)
            .then_some(())
    });
    server.program().terminate().unwrap();
    server.wait_for("it stops", || server.unready());
    let stuck = readers.split_off(10);
    let readers = readers.into_iter().map(async |mut raw| raw.rest().await);
    for answer in futures::future::join_all(readers).await {
        assert!(
            answer.ends_with(&whole),
            "an answer of {} bytes",
            answer.len()
        );
    }
    let (code, report) = server.ended();
    assert_eq!((code, &report["clean"]), (0, &json!(true)), "{report}");
    assert_eq!(report["details"]["requestsCut"], 10, "{report}");
    // 12 s less a quarter for what comes after; an end after the 12 s is not clean.
    assert!(took(&report) >= Duration::from_secs(9), "{report}");
    for mut raw in stuck {
        let part = raw.rest().await;
        assert!(
            part.len() < whole.len(),
            "a part that no client takes for the whole"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_websockets_are_told_and_those_that_read_nothing_hold_nobody_up() {
    const CLIENTS: usize = 500;
    const STUCK: usize = 50;
    let mut mesh = Mesh::new().await;
    let mut server = Server::start(&mesh);
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        stuck.push(LiveClient::that_reads_nothing(&server.address).await);
    }
    let mut clients = Vec::new();
    for n in STUCK..CLIENTS {
        let query = if n % 2 == 0 { "?batch=100" } else { "" };
        clients.push(LiveClient::connect(&server.address, query).await);
    }
    let readers: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(until_the_end(client)))
        .collect();
    // More than the buffers of those who read nothing hold.
    for _ in 0..5 {
        mesh.write(60).await;
    }
    server.wait_for("all is read", || {
        (server.metric("meshcore_server_rows_tailed_total") >= 300).then_some(())
    });
    let probes = Probes::start(&server.address);
    server.program().terminate().unwrap();
    let (code, report) = server.ended();
    assert_eq!((code, &report["clean"]), (0, &json!(true)), "{report}");
    assert_eq!(report["details"]["webSocketClients"], CLIENTS);
    assert_eq!(report["details"]["webSocketClientsCut"], STUCK, "{report}");
    // They are waited for no longer than all have been told, and not for as long as there is time: that is until
    // half a second before the 20 s are over.
    assert!(took(&report) < Duration::from_secs(14), "{report}");
    probes.assert_in_order();

    let mut instants = Vec::new();
    let mut token = String::new();
    for reader in readers {
        let (packets, bye, end, at) = reader.await.unwrap();
        assert_eq!(packets, 300);
        assert_eq!((&bye["bye"], &bye["total"]), (&json!(true), &json!(300)));
        assert_eq!(end, Ended::Closed(1001, "restart".to_owned()));
        bye["resume"].as_str().unwrap().clone_into(&mut token);
        instants.push(at);
    }
    let spread = instants
        .iter()
        .max()
        .unwrap()
        .duration_since(*instants.iter().min().unwrap());
    assert!(
        spread > Duration::from_millis(700),
        "they don't come back all at once: {spread:?}"
    );
    let log = server.log();
    assert_eq!(
        log.matches("event=\"ws_bye_sent\"").count(),
        CLIENTS - STUCK
    );
    assert_eq!(log.matches("event=\"ws_session_saved\"").count(), CLIENTS);

    // Who comes back with the token misses nothing.
    mesh.write(5).await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::resume(&server.address, &token).await;
    assert_eq!(client.ids(5).await, (301..=305).collect::<Vec<_>>());
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_that_read_nothing_are_given_up_sooner_than_without_a_signal() {
    const STUCK: usize = 5;
    let mut mesh = Mesh::new().await;
    // Without a signal they are given up ten seconds after the buffers were full.
    one_ends_within(Duration::from_secs(8), async || {
        let mut server = Server::start(&mesh);
        let mut stuck = Vec::new();
        for _ in 0..STUCK {
            stuck.push(LiveClient::that_reads_nothing(&server.address).await);
        }
        // More than the buffers hold.
        for _ in 0..5 {
            mesh.write(60).await;
        }
        server.wait_for("all is read", || {
            (server.metric("meshcore_server_rows_tailed_total") >= 300).then_some(())
        });
        server.program().terminate().unwrap();
        let report = assert_clean(&mut server);
        assert_eq!(report["details"]["webSocketClientsCut"], STUCK, "{report}");
        report
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_slowly_are_told_in_the_time_that_there_is() {
    let mut mesh = Mesh::new().await;
    let start = {
        let server = Server::start(&mesh);
        LiveClient::connect(&server.address, "").await.token
    };
    for _ in 0..30 {
        mesh.write_large(100).await;
    }
    // The newest thousand are in the ring, 10 MB of them; what comes before is read from the database.
    let mut server = Server::start(&mesh);
    let from_ring = format!("{}-2001", start.rsplit_once('-').unwrap().0);
    let mut readers = Vec::new();
    for token in [start, from_ring] {
        let path = format!("ws://{}/ws?resume={token}", server.address);
        let stream = with_small_buffer(&server.address).await;
        let (socket, _) = tokio_tungstenite::client_async(path, stream).await.unwrap();
        readers.push(tokio::spawn(slowly_until_the_end(socket)));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.program().terminate().unwrap();
    let (code, report) = server.ended();
    assert_eq!((code, &report["clean"]), (0, &json!(true)), "{report}");
    assert!(
        report["details"].get("webSocketClientsCut").is_none(),
        "{report}"
    );
    for reader in readers {
        let (packets, bye) = reader.await.unwrap();
        let (last, bye) = (packets.last().unwrap(), bye.expect("a goodbye"));
        assert_eq!(bye["total"], json!(packets.len()));
        assert!(
            bye["resume"]
                .as_str()
                .unwrap()
                .ends_with(&format!("-{last}")),
            "{bye}"
        );
        assert!(packets.is_sorted_by(|one, next| one + 1 == *next));
    }
}

/// Reads some 40 KB a second: the ids that came, and the bye if a close frame with 1001 followed.
async fn slowly_until_the_end(mut socket: WebSocketStream<TcpStream>) -> (Vec<i64>, Option<Value>) {
    let (mut ids, mut bye) = (Vec::new(), None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                match frame["type"].as_str() {
                    Some("packet") => ids.extend(ids_of(&frame)),
                    Some("bye") => bye = Some(frame),
                    _ => {}
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Message::Close(frame) => {
                while let Some(Ok(_)) = socket.next().await {}
                let is_away = frame.is_some_and(|frame| u16::from(frame.code) == 1001);
                return (ids, bye.filter(|_| is_away));
            }
            _ => {}
        }
    }
    (ids, None)
}

/// Reads to the end: how many packets came, the bye, how it ended, and when.
async fn until_the_end(mut client: LiveClient) -> (usize, Value, Ended, Instant) {
    let mut packets = 0;
    loop {
        let text = client.text().await;
        if text.starts_with(r#"{"bye""#) {
            let at = Instant::now();
            let end = client.frame_within(SOON).await.unwrap().unwrap_err();
            return (packets, serde_json::from_str(&text).unwrap(), end, at);
        }
        // Each packet has its fields twice. There are too many frames here to look at them more closely.
        packets += text.matches(r#""observation_id":"#).count() / 2;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_start_is_obeyed_whatever_is_waited_for() {
    let mut mesh = Mesh::without_database();
    let mut server = Server::start_unready(&mesh, &[], &[]);
    server.program().terminate().unwrap();
    assert_clean(&mut server);

    mesh.open().await;
    mesh.close().await;
    let options = SqliteConnectOptions::new().filename(mesh.db());
    let mut locker = options.connect().await.unwrap();
    let lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE store_state SET dropped = 0; COMMIT";
    sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();
    let mut server = Server::start_unready(&mesh, &[], &[]);
    // While it waits for the lock, and before it said so.
    server.program().terminate().unwrap();
    let report = assert_clean(&mut server);
    // The lock stays, so one that waited for it would have all of its 20 s.
    assert!(took(&report) < Duration::from_secs(10), "{report}");
    let mut server = Server::start_unready(&mesh, &[], &[]);
    server.wait_for("it says that the database is locked", || {
        server.unready()?.contains("locked").then_some(())
    });
    server.program().terminate().unwrap();
    assert_clean(&mut server);
}
