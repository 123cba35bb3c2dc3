//! WebSocket clients: those that note what they see, those that only count, those that never read.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use futures::StreamExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// What stands before a packet's hash in a frame. The inner copy of the flat fields has it again.
const HASH: &str = "\"hash\":\"";
/// Hex digits of a packet hash.
const HASH_LEN: usize = 16;

/// What all clients of a run saw.
#[derive(Default)]
pub(super) struct Seen {
    packets: Mutex<Vec<(String, Instant)>>,
    count: AtomicUsize,
    frames: AtomicUsize,
    bytes: AtomicUsize,
}

impl Seen {
    /// How many packets were seen, over all clients that look.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many frames came, over all clients.
    pub(super) fn frames(&self) -> usize {
        self.frames.load(Ordering::Relaxed)
    }

    /// How many bytes they had.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The packets and when each client saw them.
    pub(super) fn take(&self) -> Vec<(String, Instant)> {
        std::mem::take(&mut *self.packets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn frame(&self, text: &str, looks: bool) {
        let at = Instant::now();
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(text.len(), Ordering::Relaxed);
        if !looks {
            return;
        }
        let mut hashes: Vec<&str> = text
            .match_indices(HASH)
            .filter_map(|(at, _)| text.get(at + HASH.len()..at + HASH.len() + HASH_LEN))
            .collect();
        hashes.dedup();
        self.count.fetch_add(hashes.len(), Ordering::Relaxed);
        self.packets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(hashes.into_iter().map(|hash| (hash.to_owned(), at)));
    }
}

/// A client that reads.
pub(super) struct Client(JoinHandle<()>);

impl Client {
    /// Connects and reads in the background.
    pub(super) async fn connect(
        address: SocketAddr,
        path: &str,
        looks: bool,
        seen: Arc<Seen>,
    ) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut socket = handshake(stream, address, path).await?;
        Ok(Self(tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    seen.frame(&text, looks);
                }
            }
        })))
    }

    /// Goes away without a word.
    pub(super) fn close(self) {
        self.0.abort();
    }
}

/// A client that connects and never reads, with little room for what it does not read.
pub(super) struct Stalled {
    _socket: WebSocketStream<TcpStream>,
}

impl Stalled {
    pub(super) async fn connect(address: SocketAddr, path: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let stream = socket.connect(address).await?;
        Ok(Self {
            _socket: handshake(stream, address, path).await?,
        })
    }
}

async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    path: &str,
) -> Result<WebSocketStream<TcpStream>> {
    let config = WebSocketConfig::default().read_buffer_size(8192);
    let (socket, _) =
        client_async_with_config(format!("ws://{address}{path}"), stream, Some(config))
            .await
            .context("open a WebSocket")?;
    Ok(socket)
}
