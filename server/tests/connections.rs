//! The listener: limits, time-outs, and health that is answered however many connections there are.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::raw::Raw;
use common::{Mesh, SOON, Server, binary};
use meshcore_testkit::{Program, free_port, http_get, wait_until};

const STATS: &str = "GET /api/stats HTTP/1.1\r\nHost: x\r\n\r\n";
const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
/// What comes after ten seconds may come later on a busy machine. The next longer limit is that for answers which
/// nobody takes.
const NEXT_LIMIT: Duration = Duration::from_secs(30);

/// A connection that is open and had an answer.
async fn served(server: &Server) -> Raw {
    let mut raw = Raw::sent(&server.address, STATS).await;
    let answer = raw.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    raw
}

async fn whole_answer(server: &Server, request: &str) -> String {
    Raw::sent(&server.address, request).await.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_limit_everybody_else_is_told_so_and_health_is_answered() {
    let mesh = Mesh::new().await;
    let server = Server::start_with(&mesh, &["--max-connections", "3"]);
    let held = tokio::time::timeout(SOON, take_places(&server, 3));
    let held = held.await.expect("three places");
    let mut refused = Raw::sent(&server.address, STATS).await;
    let answer = refused.answer().await + &refused.rest().await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let lower = answer.to_lowercase();
    assert!(
        lower.contains("retry-after: ") && lower.contains("connection: close"),
        "{answer}"
    );
    assert!(answer.contains("--max-connections"), "{answer}");
    for _ in 0..100 {
        let live = whole_answer(&server, LIVE).await;
        assert!(
            live.starts_with("HTTP/1.1 200") && live.contains("live"),
            "{live}"
        );
    }
    assert_eq!(server.get("/health/ready").0, 200);
    drop(held);
    server.wait_for("there is room again", || {
        (server.get("/api/stats").0 == 200).then_some(())
    });
    let refused = "meshcore_server_connections_refused_total{reason=\"connections\"}";
    assert!(server.metric(refused) > 100);
}

/// Connections that have been served and stay. The probe that waited for readiness may have a place until now.
async fn take_places(server: &Server, count: usize) -> Vec<Raw> {
    let mut held = Vec::new();
    while held.len() < count {
        let mut raw = Raw::sent(&server.address, STATS).await;
        if raw.answer().await.starts_with("HTTP/1.1 200") {
            held.push(raw);
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_its_own_limit() {
    let mesh = Mesh::new().await;
    let server = Server::start_with(&mesh, &["--max-connections-per-address", "20"]);
    let mut held = Vec::new();
    let refused = loop {
        let mut raw = Raw::sent(&server.address, STATS).await;
        let answer = raw.answer().await;
        if answer.starts_with("HTTP/1.1 503") {
            break answer;
        }
        held.push(raw);
        assert!(held.len() <= 20);
    };
    assert!(
        refused.contains("--max-connections-per-address"),
        "{refused}"
    );
    assert!(
        whole_answer(&server, LIVE)
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_no_request_or_half_a_head_is_closed_after_ten_seconds() {
    let mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let start = Instant::now();
    let mut silent = Raw::connect(&server.address).await;
    let mut half = Raw::sent(&server.address, "GET /api/stats HTTP/1.1\r\nHost: ").await;
    let mut idle = served(&server).await;
    let (silent, half) = tokio::join!(silent.rest_within(NEXT_LIMIT), half.rest_within(NEXT_LIMIT));
    let took = start.elapsed();
    assert_eq!((silent.as_deref(), half.as_deref()), (Some(""), Some("")));
    assert!(
        took >= Duration::from_secs(9) && took < NEXT_LIMIT,
        "{took:?}"
    );
    for reason in ["no_request", "slow_head"] {
        let closed = format!("meshcore_server_connections_closed_total{{reason=\"{reason}\"}}");
        assert_eq!(server.metric(&closed), 1, "{reason}");
    }
    // Between two requests there is more time.
    idle.send(STATS).await;
    assert!(idle.answer().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_come_to_an_end_is_answered_after_ten_seconds() {
    let mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let start = Instant::now();
    let half = "POST /api/decode HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let mut raw = Raw::sent(&server.address, half).await;
    let answer = raw.answer().await;
    let took = start.elapsed();
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("10 seconds"),
        "{answer}"
    );
    assert!(
        took >= Duration::from_secs(10) && took < NEXT_LIMIT,
        "{took:?}"
    );
    assert_eq!(
        raw.rest().await,
        "",
        "the rest of that request can't be told from the next"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_that_are_too_large_are_refused() {
    let mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let head = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let answer = whole_answer(&server, &head).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let body = "x".repeat(70_000);
    let post = format!(
        "POST /api/decode HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut raw = Raw::connect(&server.address).await;
    // The answer may come, and the connection end, before all of it is sent.
    let (mut reader, mut writer) = raw.0.split();
    let sending = tokio::io::AsyncWriteExt::write_all(&mut writer, post.as_bytes());
    let mut answer = [0; 12];
    let reading = tokio::io::AsyncReadExt::read_exact(&mut reader, &mut answer);
    let (_, read) = tokio::join!(sending, reading);
    read.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // And rubbish is no request.
    let answer = whole_answer(&server, "\u{1}\u{2}\u{3}\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_files_does_not_end_the_server() {
    let mesh = Mesh::new().await;
    let port = free_port();
    let log = mesh.folder.path().join("few-files.log");
    let script = format!("ulimit -n 44; exec {}", binary().display());
    let server = Program::start_command(
        Command::new("bash").args(["-c", &script]),
        &[
            ("DB_PATH", mesh.db().into_os_string()),
            (
                "MESHCORE_SERVER_ADDRESS",
                format!("127.0.0.1:{port}").into(),
            ),
        ],
        &log,
    )
    .unwrap();
    let ready = format!("http://127.0.0.1:{port}/health/ready");
    let is_ready = || {
        http_get(&ready)
            .is_ok_and(|(status, _)| status == 200)
            .then_some(())
    };
    wait_until("it is ready", SOON, is_ready).unwrap();
    assert!(
        server.log().contains("limit of open files"),
        "{}",
        server.log()
    );
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(Raw::connect(&format!("127.0.0.1:{port}")).await);
    }
    // One address has eight of the reserve, so others have to come for the files to run out.
    for n in 0..60 {
        let from = format!("127.0.0.{}:0", 2 + n % 7).parse().unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(from).unwrap();
        let to = format!("127.0.0.1:{port}").parse().unwrap();
        held.push(Raw(socket.connect(to).await.unwrap()));
    }
    wait_until("files have run out", SOON, || {
        server
            .log()
            .contains("Connections can't be accepted")
            .then_some(())
    })
    .unwrap();
    drop(held);
    wait_until("it answers again", SOON, is_ready).unwrap();
    let said = server
        .log()
        .matches("Connections can't be accepted")
        .count();
    assert!(said <= 3, "said {said} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_not_start_says_why_and_ends_with_2() {
    let mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let other = mesh.folder.path().join("other.log");
    for (flags, part) in [
        (
            ["--listen", server.address.as_str()],
            "is another program using the port?",
        ),
        (
            ["--listen", "localhost"],
            "which is not an IP address and a port",
        ),
        (["--max-connections", "none"], "from 1 to 1000000"),
        (["--allowed-origins", "example.org"], "each with a scheme"),
    ] {
        let env = [("DB_PATH", mesh.db())];
        let mut second = Program::start(binary(), &flags, &env, &other).unwrap();
        let code = second.wait(SOON).unwrap().code();
        assert_eq!(code, Some(2), "{}", second.log());
        assert!(second.log().contains(part), "{}", second.log());
    }
    assert_eq!(
        server.get("/health/ready").0,
        200,
        "the first one does not mind"
    );
}

#[test]
fn everywhere_means_all_addresses_that_the_machine_has() {
    let mesh = Mesh::without_database();
    let both = Server::start_unready(&mesh, &["--listen", "[::]:0"], &[]);
    let port = both.address.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "[::1]"] {
        let live = format!("http://{host}:{port}/health/live");
        assert_eq!(meshcore_testkit::http_get(&live).unwrap().0, 200, "{host}");
    }

    let without_ipv6 = Server::start_without_ipv6(&mesh);
    assert!(
        without_ipv6.address.starts_with("0.0.0.0:"),
        "{}",
        without_ipv6.address
    );
    assert_eq!(without_ipv6.get("/health/live").0, 200);
}
