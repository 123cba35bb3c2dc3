//! A server whose database is not there (yet).

use std::path::Path;
use std::time::Duration;

use meshcore_testkit::{Program, free_port, http_get, wait_until};

use crate::harness::agent;

#[test]
fn without_a_database_only_frames_are_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let db = dir.path().join("absent.db");
    let server = Program::start(
        Path::new(env!("CARGO_BIN_EXE_meshcore-server")),
        &["--db", &db.to_string_lossy(), "--listen", &address],
        &[("RUST_LOG", "info")],
        &dir.path().join("server.log"),
    )
    .unwrap();
    let url = |path: &str| format!("http://{address}{path}");
    wait_until("the server listens", Duration::from_secs(20), || {
        http_get(&url("/health/live")).ok()
    })
    .unwrap();
    for path in [
        "/api/stats",
        "/api/packets",
        "/api/packets/d28ca14b6f62d453",
        "/api/nodes",
        "/api/observers",
    ] {
        let mut answer = agent().get(url(path)).call().unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status(), 503, "{path}: {body}");
        assert_eq!(answer.headers()["retry-after"], "1", "{path}");
        assert_eq!(
            body,
            "{\"error\":\"the database is not there yet; see /health/ready\"}"
        );
    }
    // What is wrong with a request is said all the same.
    let (status, body) = http_get(&url("/api/packets?limit=0")).unwrap();
    assert_eq!(status, 400, "{body}");
    let frame = r#"{"hex":"0D01AA00000007"}"#;
    let answer = agent().post(url("/api/decode")).send(frame).unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!db.exists(), "{}", server.log());
}
