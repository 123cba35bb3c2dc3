//! A plain TCP connection, for what no proper client would do.

use std::time::Duration;

use meshcore_testkit::with_small_buffer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SOON;

/// A plain TCP connection.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        let connecting = timeout(SOON, TcpStream::connect(address));
        Self(connecting.await.unwrap().unwrap())
    }

    /// A connection that has sent `text`.
    pub(crate) async fn sent(address: &str, text: &str) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(text).await;
        raw
    }

    /// The same of a client whose system takes only a little for it.
    pub(crate) async fn sent_with_small_buffer(address: &str, text: &str) -> Self {
        let mut raw = Self(with_small_buffer(address).await);
        raw.send(text).await;
        raw
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything until the other side closes; what came before a reset counts.
    pub(crate) async fn rest(&mut self) -> String {
        self.rest_within(SOON)
            .await
            .expect("the connection ends in time")
    }

    /// The same; `None` when it does not end in time.
    pub(crate) async fn rest_within(&mut self, limit: Duration) -> Option<String> {
        let mut bytes = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = self.0.read(&mut buffer).await {
                bytes.extend(&buffer[..count]);
            }
        };
        timeout(limit, reading).await.ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// One answer with a body of known length.
    pub(crate) async fn answer(&mut self) -> String {
        let mut text = String::new();
        let reading = async {
            let mut buffer = [0; 4096];
            loop {
                let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.lines().find_map(|line| {
                        let (name, value) = line.split_once(':')?;
                        name.eq_ignore_ascii_case("content-length")
                            .then(|| value.trim().parse().unwrap())
                    });
                    body.len() >= length.unwrap_or(0)
                });
                if complete {
                    return;
                }
                let count = self.0.read(&mut buffer).await.unwrap();
                assert!(count > 0, "the connection ended: {text}");
                text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
        };
        timeout(SOON, reading)
            .await
            .expect("an answer comes in time");
        text
    }
}
