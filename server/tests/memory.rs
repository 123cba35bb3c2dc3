//! What clients that take nothing cost: never more than a bounded part of what they asked for.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::raw::Raw;
use common::{Mesh, Server};
use meshcore_testkit::LiveClient;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_resume_from_far_back_and_read_nothing_hold_a_small_page_each() {
    const CLIENTS: u64 = 40;
    let mut mesh = Mesh::new().await;
    let token = {
        let server = Server::start(&mesh);
        LiveClient::connect(&server.address, "").await.token
    };
    // What is more than 1,000 ids back is read from the database by a server that starts anew.
    for _ in 0..20 {
        mesh.write_large(100).await;
    }
    let server = Server::start(&mesh);
    // The readers of the database have their caches.
    LiveClient::resume(&server.address, &token)
        .await
        .ids(2000)
        .await;
    let before = server.resident();
    let request = format!(
        "GET /ws?resume={token} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Raw::sent_with_small_buffer(&server.address, &request).await);
    }
    let sent = "meshcore_server_websocket_frames_sent_total{mode=\"single\"}";
    let mut last = 0;
    server.wait_for("all of them are served, and none goes on", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = server.metric(sent);
        (std::mem::replace(&mut last, now) == now && now >= 2000 + CLIENTS).then_some(())
    });
    let each = server.resident().saturating_sub(before) / CLIENTS;
    // 500 packets of this size, a page as it once was, have 5 MB.
    assert!(each < 400 << 10, "{each} bytes each");
    drop(clients);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_that_nobody_takes_have_32_mib_together_and_small_ones_go_on() {
    const LARGE: &str = "/api/packets?limit=1000";
    let mut mesh = Mesh::new().await;
    for _ in 0..10 {
        mesh.write_large(100).await;
    }
    let server = Server::start(&mesh);
    let size = server.get(LARGE).1.len();
    // Half a gigabyte, if they all got what they asked for.
    let asked = (512 << 20) / size;
    assert!(size > 1 << 20, "some of them are enough: {size}");
    let before = server.resident();
    let request = format!("GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut readers = Vec::new();
    for _ in 0..asked {
        readers.push(Raw::sent_with_small_buffer(&server.address, &request).await);
    }
    let answered = |class| {
        let name = format!(
            "meshcore_server_http_requests_total{{route=\"/api/packets\",status=\"{class}\"}}"
        );
        usize::try_from(server.metric(&name)).unwrap()
    };
    server.wait_for(
        "all of them are being answered, or are told to come again",
        || (answered("2xx") + answered("5xx") > asked).then_some(()),
    );
    assert!(answered("2xx") <= 1 + (32 << 20) / size);
    for _ in 0..20 {
        let (status, body) = server.json(LARGE);
        assert_eq!(status, 503);
        assert!(
            body["error"].as_str().unwrap().contains("large answers"),
            "{body}"
        );
    }
    assert_eq!(server.get("/api/stats").0, 200);
    assert_eq!(server.get("/api/packets?limit=5").0, 200);
    assert_eq!(server.get("/health/ready").0, 200);
    // With what is being written while it is not refused yet, and the room that the allocator leaves.
    let more = server.resident().saturating_sub(before);
    assert!(more < 160 << 20, "{more} bytes");

    drop(readers);
    server.wait_for("there is room again", || {
        (server.get(LARGE).0 == 200).then_some(())
    });
}
