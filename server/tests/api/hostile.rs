//! Requests that nobody honest sends, or only by mistake: each has one fate, and the server lives on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Answer, Served, ack, agent, record};

#[tokio::test]
async fn what_is_not_understood_is_refused_and_never_ignored() {
    let served = Served::with(&[record(ack(1, "AA", "O1"))]).await;
    let packets = "is not supported here, only limit, cursor are";
    let number = |name: &str, least: u32, most: u32, value: &str| {
        format!(
            "the parameter {name:?}: it must be a whole number from {least} to {most}, not {value:?}"
        )
    };
    let cursor = |value: &str| {
        format!(
            "the parameter \"cursor\": it must be the nextCursor of another answer, not {value:?}"
        )
    };
    let named = "a packet is named by its hash of 16 hex digits, not by ";
    for (path, sentence) in [
        // Parameters of v3 that are not there yet.
        ("/api/packets?offset=50", format!("the parameter \"offset\" {packets}")),
        ("/api/packets?limit=5&type=4", format!("the parameter \"type\" {packets}")),
        ("/api/packets?groupByHash=true", format!("the parameter \"groupByHash\" {packets}")),
        ("/api/packets?Limit=5", format!("the parameter \"Limit\" {packets}")),
        ("/api/packets?limit=5&limit=6", "the parameter \"limit\": it is there more than once".to_owned()),
        ("/api/packets?limit=0", number("limit", 1, 1000, "0")),
        ("/api/packets?limit=1001", number("limit", 1, 1000, "1001")),
        ("/api/packets?limit=", number("limit", 1, 1000, "")),
        ("/api/packets?limit=-1", number("limit", 1, 1000, "-1")),
        ("/api/packets?limit=1e2", number("limit", 1, 1000, "1e2")),
        (
            "/api/packets?limit=99999999999999999999999999999999999999999999999",
            number("limit", 1, 1000, "9999999999999999999999999999999999999999…"),
        ),
        ("/api/packets?cursor=", cursor("")),
        ("/api/packets?cursor=12", cursor("12")),
        ("/api/packets?cursor=9223372036854775808-x", cursor("9223372036854775808-x")),
        ("/api/packets?cursor=%27;DROP%20TABLE%20nodes", cursor("';DROP TABLE nodes")),
        ("/api/packets?limit=%FF%FE", "\"%FF%FE\" in the query string is no UTF-8".to_owned()),
        ("/api/packets?%C3%28=1", "\"%C3%28\" in the query string is no UTF-8".to_owned()),
        ("/api/packets/1", format!("{named}\"1\"")),
        ("/api/packets/d28ca14b6f62d45", format!("{named}\"d28ca14b6f62d45\"")),
        ("/api/packets/d28ca14b6f62d45g", format!("{named}\"d28ca14b6f62d45g\"")),
        ("/api/packets/%20", format!("{named}\" \"")),
        ("/api/packets/..%2F..%2Fetc", format!("{named}\"../../etc\"")),
        ("/api/packets/d28ca14b6f62d453?limit=0", number("limit", 1, 1000, "0")),
        ("/api/packets/d28ca14b6f62d453?expand=1", "the parameter \"expand\" is not supported here, only limit is".to_owned()),
        ("/api/nodes?sortBy=name", "the parameter \"sortBy\" is not supported here, only limit, offset, role, search are".to_owned()),
        ("/api/nodes?limit=2001", number("limit", 1, 2000, "2001")),
        ("/api/nodes?offset=1000001", number("offset", 0, 1_000_000, "1000001")),
        ("/api/nodes?offset=4294967296", number("offset", 0, 1_000_000, "4294967296")),
        (
            "/api/nodes?role=Repeater",
            "the parameter \"role\": it must be companion, repeater, room, sensor, none or type-N, not \"Repeater\"".to_owned(),
        ),
        ("/api/nodes?search=%C3", "\"%C3\" in the query string is no UTF-8".to_owned()),
        ("/api/observers?region=BER", "the parameter \"region\" is not supported here, none is".to_owned()),
        ("/api/stats?x", "the parameter \"x\" is not supported here, none is".to_owned()),
    ] {
        assert_eq!(served.refused(path), (400, sentence), "{path}");
    }
    let long = format!("/api/nodes?search={}", "x".repeat(129));
    let sentence = "the parameter \"search\": it may have 128 bytes, not 129".to_owned();
    assert_eq!(served.refused(&long), (400, sentence));
    assert_eq!(served.refused("/api/packets/%FF%FE").0, 400);
    assert_eq!(served.get("/api/packets")["total"], 1);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_so() {
    let served = Served::with(&[]).await;
    for path in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/packets/",
        "/api/stats/x",
        "/api/packets/a/b",
    ] {
        let sentence = format!("there is nothing at {path}");
        assert_eq!(served.refused(path), (404, sentence), "{path}");
        assert_eq!(served.post(path, b"").status, 404, "{path}");
    }
    let sentence = "this path does not take this method".to_owned();
    for (path, allowed) in [
        ("/api/packets", "GET,HEAD"),
        ("/api/packets/d28ca14b6f62d453", "GET,HEAD"),
        ("/api/stats", "GET,HEAD"),
    ] {
        let answer = served.post(path, b"{}");
        assert_eq!(answer.error(), (405, sentence.clone()), "{path}");
        assert_eq!(answer.headers["allow"], allowed, "{path}");
    }
    let answer = served.ask("/api/decode");
    assert_eq!(answer.error(), (405, sentence));
    assert_eq!(answer.headers["allow"], "POST");
    let head = agent().head(served.url("/api/stats")).call().unwrap();
    assert_eq!(head.status(), 200);
}

/// Bytes that no client library sends.
#[tokio::test]
async fn raw_bytes_in_a_request_line_do_not_harm() {
    let served = Served::with(&[]).await;
    let status = |request: &[u8]| {
        let mut stream = TcpStream::connect(&served.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(request).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let rest = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".as_slice();
    for (target, expected) in [
        (b"GET /api/nodes?search=\xC3\xBC".as_slice(), "HTTP/1.1 200"),
        (b"GET /api/nodes?search=\xFF", "HTTP/1.1 400"),
        (b"GET /api/packets/\xFF\xFF", "HTTP/1.1 400"),
        (b"GET /api/packets?limit=\x00", "HTTP/1.1 400"),
        (b"GET /api/packets?limit=2#x", "HTTP/1.1 200"),
        (b"BREW /api/stats", "HTTP/1.1 405"),
    ] {
        let shown = String::from_utf8_lossy(target).into_owned();
        assert_eq!(status(&[target, rest].concat()), expected, "{shown}");
    }
    let _: Answer = served.ask("/api/stats");
    assert!(!served.server.log().contains("panicked"));
}
