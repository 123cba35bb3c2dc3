//! A good life: it starts, shows a mesh, and stops in order, however it is told to.

use std::io::{Read, Write};
use std::net::TcpStream;

use meshcore_testkit::wait_until;
use rustix::process::Signal;

use super::harness::{SOON, Up, is_alive, stat};

/// The lines of `up` at the end: who stopped, in which order.
fn order_of_stop(log: &str) -> Vec<String> {
    let (_, report) = log.split_once("in this order:\n").expect("a report");
    let names = report
        .lines()
        .filter_map(|line| line.strip_prefix("up       |   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_demo_shows_a_growing_mesh_and_ctrl_c_stops_it_in_order() {
    let mut up = Up::start(&["--demo", "--rate", "50"]);
    let before = up.wait_for_counter("totalObservations", 1);
    up.wait_for_counter("totalObservations", before + 20);
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "{}", up.log());
    let log = up.log();
    assert_eq!(
        order_of_stop(&log),
        ["demo", "server", "ingestor", "broker"]
    );
    for who in ["server", "ingestor"] {
        assert!(
            log.contains(&format!("up       |   {who:<8}  clean, ")),
            "{log}"
        );
    }
    assert!(
        log.contains("WAL empty") && log.contains("checkpoint "),
        "{log}"
    );
    let (server, ingestor) = (up.report("server").unwrap(), up.report("ingestor").unwrap());
    assert!(server.clean && ingestor.clean);
    assert_eq!(
        (server.cause.as_str(), ingestor.cause.as_str()),
        ("SIGTERM", "SIGTERM")
    );
    assert!(server.at <= ingestor.started_at, "the server stops first");
    for line in log.lines() {
        let (prefix, _) = line.split_once(" | ").unwrap_or_default();
        let prefix = prefix.trim_end();
        assert!(
            ["up", "ingestor", "server", "demo", "broker"].contains(&prefix),
            "{line}"
        );
    }
}

#[test]
fn the_data_are_there_again_after_the_next_start() {
    let mut up = Up::start(&["--demo", "--rate", "50"]);
    up.wait_for_counter("totalObservations", 30);
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{}", up.log());
    let mut again = Up::start_in(up.folder, &[]);
    again.wait_until_it_runs();
    again.wait_for_counter("totalObservations", 30);
    again.signal(Signal::HUP);
    assert_eq!(again.exit_code(), 0, "{}", again.log());
    assert_eq!(
        order_of_stop(&again.log()),
        ["server", "ingestor", "broker"]
    );
}

#[test]
fn children_are_in_process_groups_of_their_own() {
    // Any ports that are free.
    let args = ["--listen", "127.0.0.1:0", "--health-address", "127.0.0.1:0"];
    let up = Up::start(&[&args[..], &["--broker-port", "0"]].concat());
    up.wait_until_it_runs();
    for program in ["meshcore-ingestor", "meshcore-server"] {
        let pid = u32::try_from(up.child(program).as_raw_nonzero().get()).unwrap();
        assert_eq!(stat(pid, 2), Some(pid), "{program} leads its group");
    }
}

#[test]
fn killed_without_a_word_it_leaves_no_orphans_and_they_stop_cleanly_in_order() {
    let mut up = Up::start(&["--demo", "--rate", "50"]);
    up.wait_for_counter("totalObservations", 5);
    let children = [up.child("meshcore-server"), up.child("meshcore-ingestor")];
    // The server has a goodbye to say, which takes it a moment. The ingestor must not be earlier for that.
    let _client = open_web_socket(&up.url("counters"));
    up.signal(Signal::KILL);
    assert_eq!(up.exit_code(), 137);
    wait_until("the children end", SOON, || {
        (!children.iter().any(|child| is_alive(*child))).then_some(())
    })
    .unwrap();
    let (server, ingestor) = (up.report("server").unwrap(), up.report("ingestor").unwrap());
    for report in [&server, &ingestor] {
        assert!(report.clean, "{report:?}");
        assert_eq!(report.cause, "ParentGone");
    }
    assert!(
        server.took_milliseconds >= 20,
        "it took a moment: {server:?}"
    );
    assert!(server.at <= ingestor.started_at, "the server stops first");
}

/// A client of the live feed that never reads.
fn open_web_socket(url: &str) -> TcpStream {
    let address = url
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    stream
}

#[test]
fn a_second_ctrl_c_ends_everything_at_once() {
    let mut up = Up::start(&[]);
    up.wait_until_it_runs();
    let children = [up.child("meshcore-server"), up.child("meshcore-ingestor")];
    // A server that can't even take a signal.
    rustix::process::kill_process(children[0], Signal::STOP).unwrap();
    up.press_ctrl_c();
    up.wait_for_line("Stopping");
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 130, "{}", up.log());
    assert!(!children.iter().any(|child| is_alive(*child)));
    assert!(
        up.log()
            .contains("A second signal: everything ends at once")
    );
}

#[test]
fn a_stop_during_the_start_is_honoured() {
    let mut up = Up::start(&["--demo"]);
    up.wait_for_line("ingestor | ");
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "{}", up.log());
}
