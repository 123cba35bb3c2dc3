//! How much a process receives, by what the kernel counts for each of its TCP connections.

use std::collections::HashMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// How much was received on each connection that is open.
#[derive(Debug, Default)]
pub(super) struct Received(HashMap<String, u64>);

impl Received {
    /// By the connections that a process has now.
    pub(super) fn by(process: u32) -> Result<Self> {
        let arguments = [
            "--tcp",
            "--info",
            "--numeric",
            "--processes",
            "--no-header",
            "--oneline",
        ];
        let output = Command::new("ss").args(arguments).output();
        let output = output.context("run ss, of iproute2")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ss fails: {errors}");
        let received = Self::parse(&String::from_utf8_lossy(&output.stdout), process);
        ensure!(
            !received.0.is_empty(),
            "process {process} has no connections"
        );
        Ok(received)
    }

    fn parse(table: &str, process: u32) -> Self {
        let id = format!(",pid={process},");
        let lines = table.lines().filter(|line| line.contains(&id));
        Self(lines.filter_map(connection).collect())
    }

    /// Bytes since an earlier look. Of a connection that was closed meanwhile nothing is known.
    pub(super) fn since(&self, earlier: &Self) -> u64 {
        let more = self.0.iter().map(|(connection, bytes)| {
            let before = earlier.0.get(connection).copied().unwrap_or_default();
            bytes.saturating_sub(before)
        });
        more.sum()
    }
}

/// The ends of a connection and what was received on it; the kernel says nothing of one on which nothing was.
fn connection(line: &str) -> Option<(String, u64)> {
    let mut fields = line.split_whitespace();
    let (local, peer) = (fields.nth(3)?, fields.next()?);
    let bytes = fields.find_map(|field| field.strip_prefix("bytes_received:"));
    let bytes = bytes.map_or(Some(0), |bytes| bytes.parse().ok())?;
    Some((format!("{local} {peer}"), bytes))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_another_end_sends_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let before = Received::by(std::process::id()).unwrap();
        client.write_all(&[0; 5_000]).unwrap();
        server.read_exact(&mut [0; 5_000]).unwrap();
        let after = Received::by(std::process::id()).unwrap();
        let port = client.local_addr().unwrap().port();
        let ours = |received: &Received| {
            let found = received
                .0
                .iter()
                .find(|(ends, _)| ends.ends_with(&format!(":{port}")));
            *found.unwrap().1
        };
        assert_eq!(ours(&after) - ours(&before), 5_000);
        assert!(after.since(&before) >= 5_000);
    }

    #[test]
    fn connections_of_other_processes_are_not() {
        let line = |process| {
            format!(
                "ESTAB 0 0 127.0.0.1:5 127.0.0.1:6 users:((\"a\",pid={process},fd=9)) cubic bytes_received:7 rtt:1\n"
            )
        };
        let table = line(12) + &line(123);
        let received = Received::parse(&table, 12);
        assert_eq!(
            received.0,
            [("127.0.0.1:5 127.0.0.1:6".to_owned(), 7)].into()
        );
    }
}
