//! The live feed: frames, batches, resuming, gaps, and who may have it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::time::{Duration, Instant};

use common::{Mesh, SOON, Server};
use futures::StreamExt;
use meshcore_testkit::{Ended, LiveClient, ids_of, with_small_buffer};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn each_observation_is_a_frame_with_a_token() {
    let mut mesh = Mesh::new().await;
    mesh.write(3).await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "").await;
    let start = client.token.clone();
    assert!(
        start.ends_with("-3"),
        "hello tells where it begins: {start}"
    );
    mesh.write(2).await;
    let frame = client.frame().await;
    assert_eq!(frame["type"], "packet");
    assert_eq!(frame["data"]["observation_id"], 4);
    assert_eq!(frame["data"]["hash"], "0000000000000003");
    assert_eq!(frame["data"]["decoded"]["payload"]["n"], 3);
    assert_eq!(frame["resume"], start.replace("-3", "-4"));
    assert_eq!(client.ids(1).await, [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asked_for_batches_gets_all_of_a_window_in_one_frame() {
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let window = Duration::from_secs(1);
    let mut client = LiveClient::connect(&server.address, "?batch=1000").await;
    let start = Instant::now();
    mesh.write(1).await;
    assert_eq!(
        ids_of(&client.frame().await),
        [1],
        "the first one comes at once"
    );
    for _ in 0..3 {
        mesh.write(1).await;
    }
    let (mut ids, mut frames) = (Vec::new(), 0);
    while ids.len() < 3 {
        let frame = client.frame().await;
        assert_eq!(frame["type"], "packets");
        ids.extend(ids_of(&frame));
        frames += 1;
    }
    // One, unless the machine is so busy that the three were stored in several windows.
    let windows = start.elapsed().as_secs() / window.as_secs();
    assert!(frames <= windows, "{frames} frames in {windows} windows");
    assert_eq!(ids, [2, 3, 4]);
    assert!(client.token.ends_with("-4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_is_cut_into_frames_of_bounded_size() {
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "?batch=50").await;
    mesh.write(300).await;
    let mut ids = Vec::new();
    while ids.len() < 300 {
        let frame = client.frame().await;
        assert!(frame.to_string().len() < 20 << 10);
        ids.extend(ids_of(&frame));
    }
    assert_are(&ids, 1..=300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_exactly_what_was_missed_from_the_ring_and_from_the_database() {
    let mut mesh = Mesh::new().await;
    mesh.write(5).await;
    let server = Server::start(&mesh);
    let token = LiveClient::connect(&server.address, "").await.token;
    mesh.write(2500).await;
    server.wait_for("all of them are in the ring", || {
        (server.metric("meshcore_server_rows_tailed_total") >= 2500).then_some(())
    });
    let mut client = LiveClient::resume(&server.address, &token).await;
    assert_are(&client.ids(2500).await, 6..=2505);
    assert_eq!(server.metric(&resumes("ring")), 1);
    drop((client, server));

    // A server that starts anew has the newest thousand only.
    let server = Server::start(&mesh);
    let mut last = 2505;
    for batch in ["", "&batch=100"] {
        let query = format!("?resume={token}{batch}");
        let mut client = LiveClient::connect(&server.address, &query).await;
        assert_are(
            &client.ids(usize::try_from(last).unwrap() - 5).await,
            6..=last,
        );
        mesh.write(1).await;
        last += 1;
        assert_eq!(client.ids(1).await, [last], "then it is live");
    }
    assert_eq!(server.metric(&resumes("database")), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_though_retention_deleted_what_came_before_it() {
    let mut mesh = Mesh::new().await;
    mesh.write(10).await;
    let token = {
        let server = Server::start(&mesh);
        LiveClient::connect(&server.address, "").await.token
    };
    // What a size cap does when there is not much else to delete.
    let options = SqliteConnectOptions::new().filename(mesh.db());
    let mut retention = options.connect().await.unwrap();
    let delete = "DELETE FROM observations WHERE id > 6";
    sqlx::raw_sql(delete).execute(&mut retention).await.unwrap();
    retention.close().await.unwrap();
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "").await;
    assert_eq!(client.token, token, "a new client begins there too");
    let mut back = LiveClient::resume(&server.address, &token).await;
    mesh.write(1).await;
    for client in [&mut client, &mut back] {
        assert_eq!(client.ids(1).await, [11], "there is no gap");
    }
}

/// The metric of resumed sessions.
fn resumes(reason: &str) -> String {
    format!("meshcore_server_websocket_resumes_total{{reason=\"{reason}\"}}")
}

/// Says where two long lists of ids differ, and not all of both.
#[track_caller]
fn assert_are(got: &[i64], expected: std::ops::RangeInclusive<i64>) {
    let expected: Vec<i64> = expected.collect();
    let differs = got
        .iter()
        .zip(&expected)
        .find(|(got, expected)| got != expected);
    assert_eq!(differs, None, "the first that differs");
    assert_eq!(got.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_and_go_while_packets_are_written_get_each_one_once() {
    let mut mesh = Mesh::new().await;
    mesh.write(50).await;
    let server = Server::start(&mesh);
    let address = server.address.clone();
    let clients: Vec<_> = (0..8_u64)
        .map(|n| tokio::spawn(come_and_go(address.clone(), n)))
        .collect();
    // Let them all begin before the first packet.
    server.wait_for("all clients are there", || {
        let all = server.metric("meshcore_server_websocket_clients{mode=\"single\"}")
            + server.metric("meshcore_server_websocket_clients{mode=\"batched\"}");
        (all >= 8).then_some(())
    });
    for n in 0..300_u64 {
        mesh.write(1 + n % 7).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for client in clients {
        assert_are(&client.await.unwrap(), 51..=50 + TOTAL);
    }
}

/// How many observations are written in `clients_that_come_and_go…`.
const TOTAL: i64 = 1197;

/// Takes some packets, leaves without a word, comes back with the token of the last one, and so on.
async fn come_and_go(address: String, seed: u64) -> Vec<i64> {
    let batch = ["", "batch=50", "batch=250"][usize::try_from(seed % 3).unwrap()];
    let mut client = LiveClient::connect(&address, &format!("?{batch}")).await;
    let mut got = Vec::new();
    let mut random = seed + 1;
    while got.len() < usize::try_from(TOTAL).unwrap() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..(random >> 33) % 40 {
            if got.len() == usize::try_from(TOTAL).unwrap() {
                break;
            }
            let frame = client.frame().await;
            got.extend(ids_of(&frame));
        }
        let query = format!("?{batch}&resume={}", client.token);
        drop(client);
        tokio::time::sleep(Duration::from_millis((random >> 40) % 60)).await;
        client = LiveClient::connect(&address, &query).await;
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_can_also_be_the_first_message() {
    let mut mesh = Mesh::new().await;
    mesh.write(5).await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "").await;
    let token = client.token.replace("-5", "-2");
    client.say(&json!({"resume": token}).to_string()).await;
    let hello = client.frame().await;
    assert_eq!(
        (&hello["type"], &hello["resume"]),
        (&json!("hello"), &json!(token))
    );
    assert_eq!(client.ids(3).await, [3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_leads_nowhere_is_answered_with_a_gap_and_then_it_is_live() {
    let mut mesh = Mesh::new().await;
    mesh.write(5).await;
    let server = Server::start(&mesh);
    let end = LiveClient::connect(&server.address, "").await.token;
    for (token, reason) in [
        ("rubbish".to_owned(), "malformed"),
        (
            "00000000000000000000000000000000-3".to_owned(),
            "other_database",
        ),
        (end.replace("-5", "-6"), "future"),
    ] {
        let mut client = LiveClient::resume(&server.address, &token).await;
        let gap = client.frame().await;
        assert_eq!(
            (&gap["type"], &gap["reason"]),
            (&json!("gap"), &json!(reason))
        );
        assert_eq!(gap["resume"], json!(end));
    }
    let mut client = LiveClient::resume(&server.address, "rubbish").await;
    assert_eq!(client.frame().await["type"], "gap");
    mesh.write(1).await;
    assert_eq!(client.ids(1).await, [6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_told_what_it_missed_and_nobody_else_notices() {
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let mut slow = LiveClient::connect(&server.address, "").await;
    let mut quick = LiveClient::connect(&server.address, "?batch=50").await;
    // The ring holds 16 MiB, and the sockets a few more.
    let reader = tokio::spawn(async move { quick.ids(3000).await });
    for _ in 0..30 {
        mesh.write_large(100).await;
    }
    assert_are(&reader.await.unwrap(), 1..=3000);

    let mut last = 0;
    let gap = loop {
        let frame = slow.frame().await;
        if frame["type"] == "gap" {
            break frame;
        }
        assert_eq!(ids_of(&frame), [last + 1]);
        last += 1;
    };
    assert_eq!(gap["reason"], "slow");
    assert_eq!(gap["from"], last + 1);
    let to = gap["to"].as_i64().unwrap();
    assert_eq!(gap["missed"], to - last);
    assert!(gap["resume"].as_str().unwrap().ends_with(&format!("-{to}")));
    mesh.write(1).await;
    let next = slow.ids(1).await;
    assert_eq!(next, [to + 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_for_ten_seconds_is_let_go() {
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let stalled = LiveClient::connect(&server.address, "").await;
    mesh.write_large(3000).await;
    server.wait_for("it is gone", || {
        let gone = "meshcore_server_websocket_clients_gone_total{reason=\"stalled\"}";
        (server.metric(gone) >= 1).then_some(())
    });
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_lags_behind_is_asked_whether_it_is_there() {
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let stream = with_small_buffer(&server.address).await;
    let path = format!("ws://{}/ws", server.address);
    let (mut socket, _) = tokio_tungstenite::client_async(path, stream).await.unwrap();
    // At ten frames a second it has enough to do for two minutes.
    for _ in 0..15 {
        mesh.write_large(100).await;
    }
    let mut frames = 0;
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) => break,
            Message::Text(_) => frames += 1,
            _ => {}
        }
        assert!(frames < 500, "no ping in 50 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_the_same_or_of_a_listed_site_may_open_a_websocket() {
    let mesh = Mesh::new().await;
    let server = Server::start_with(&mesh, &["--allowed-origins", "https://app.example"]);
    let own = format!("http://{}", server.address);
    for origin in [None, Some(own.as_str()), Some("https://app.example")] {
        assert!(
            LiveClient::open(&server.address, "", origin).await.is_ok(),
            "{origin:?}"
        );
    }
    for origin in ["https://evil.example", "null"] {
        let refused = LiveClient::open(&server.address, "", Some(origin)).await;
        let (status, body) = refused.err().unwrap();
        assert_eq!(status, 403);
        assert!(
            body.contains(origin) && body.contains("--allowed-origins"),
            "{body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_are_answered_with_what_is_wrong() {
    let mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    for (query, part) in [
        ("?batch=10", "from 50 to 5000"),
        ("?batch=soon", "from 50 to 5000"),
        ("?since=7", "since"),
    ] {
        let (status, body) = LiveClient::open(&server.address, query, None)
            .await
            .err()
            .unwrap();
        assert_eq!(status, 400, "{query}");
        assert!(body.contains(part), "{body}");
    }
    let (status, body) = server.json("/ws");
    assert_eq!(status, 400);
    assert!(body["error"].is_string(), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_say_is_ignored_up_to_4_kib_and_100_messages() {
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    let mut client = LiveClient::connect(&server.address, "").await;
    for text in [
        "",
        "hello",
        "[]",
        "{\"type\":\"subscribe\"}",
        &"x".repeat(4096),
    ] {
        client.say(text).await;
    }
    mesh.write(1).await;
    assert_eq!(client.ids(1).await, [1]);

    client.say(&"x".repeat(4097)).await;
    let end = client.frame_within(SOON).await.unwrap().unwrap_err();
    assert!(matches!(end, Ended::Closed(1002, _)), "{end:?}");

    let mut client = LiveClient::connect(&server.address, "").await;
    for _ in 0..100 {
        client.say("?").await;
    }
    let end = client.frame_within(SOON).await.unwrap().unwrap_err();
    assert_eq!(end, Ended::Closed(1008, "too many messages".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_costs_less_than_40_kb() {
    const CLIENTS: usize = 1000;
    let mut mesh = Mesh::new().await;
    let server = Server::start(&mesh);
    // What everybody shares is there before.
    let mut first = LiveClient::connect(&server.address, "?batch=50").await;
    for _ in 0..12 {
        mesh.write(1000).await;
    }
    first.ids(12_000).await;
    let before = server.resident();
    let mut readers = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = LiveClient::connect(&server.address, "?batch=50").await;
        readers.push(tokio::spawn(async move {
            client.ids(100).await;
            client
        }));
    }
    for _ in 0..10 {
        mesh.write(10).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for reader in &mut readers {
        reader.await.unwrap();
    }
    let each = server.resident().saturating_sub(before) / CLIENTS as u64;
    assert!(each < 40 << 10, "{each} bytes each");
}
