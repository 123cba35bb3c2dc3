//! A gate in front of a broker that speaks MQTT 3.1.1 only: it answers each level 5 CONNECT as such brokers
//! do, and passes everything else on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::mqtt_wire::{Framer, Packet, read};

/// A gate that turns MQTT 5 away.
#[derive(Debug)]
pub struct VersionGate {
    address: SocketAddr,
    refused: Arc<AtomicU64>,
}

impl VersionGate {
    /// Listens on a port of its own, in front of the broker at `broker`. A level 5 CONNECT gets `answer` and
    /// the end of its connection.
    pub async fn start(broker: u16, answer: &'static [u8]) -> Result<Self> {
        Self::start_as(broker, Kind::Plain(answer)).await
    }

    /// In front of the WebSocket listener at `broker`. A level 5 CONNECT gets the end of its connection.
    pub async fn start_websocket(broker: u16) -> Result<Self> {
        Self::start_as(broker, Kind::WebSocket).await
    }

    async fn start_as(broker: u16, kind: Kind) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let refused = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&refused);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    // A connection that ends is no failure of the gate's.
                    drop(match kind {
                        Kind::Plain(answer) => serve(client, broker, answer, &counter).await,
                        Kind::WebSocket => serve_websocket(client, broker, &counter).await,
                    });
                });
            }
        });
        Ok(Self { address, refused })
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were turned away.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain(&'static [u8]),
    WebSocket,
}

async fn serve(
    mut client: TcpStream,
    broker: u16,
    answer: &[u8],
    refused: &AtomicU64,
) -> Result<()> {
    let mut framer = Framer::default();
    let mut buffer = vec![0; 4_096];
    let connect = loop {
        let n = client.read(&mut buffer).await?;
        anyhow::ensure!(n > 0, "closed before CONNECT");
        framer.push(&buffer[..n]);
        if let Some(packet) = framer.next_packet() {
            break packet;
        }
    };
    if matches!(read(&connect, 0)?, Packet::Connect { level: 5, .. }) {
        refused.fetch_add(1, Ordering::Relaxed);
        client.write_all(answer).await?;
        return Ok(());
    }
    let mut broker = TcpStream::connect(("127.0.0.1", broker)).await?;
    broker.write_all(&connect).await?;
    copy_bidirectional(&mut client, &mut broker).await?;
    Ok(())
}

async fn serve_websocket(mut client: TcpStream, broker: u16, refused: &AtomicU64) -> Result<()> {
    let mut broker = TcpStream::connect(("127.0.0.1", broker)).await?;
    pass_head(&mut client, &mut broker).await?;
    pass_head(&mut broker, &mut client).await?;
    // The first frame holds the CONNECT, masked as all that clients send.
    let mut frame = vec![0; 2];
    client.read_exact(&mut frame).await?;
    let length = match frame[1] & 0x7F {
        126 => {
            let length = client.read_u16().await?;
            frame.extend(length.to_be_bytes());
            length
        }
        length => length.into(),
    };
    let start = frame.len();
    frame.resize(start + 4 + usize::from(length), 0);
    client.read_exact(&mut frame[start..]).await?;
    let (mask, masked) = frame[start..].split_at(4);
    let connect: Vec<u8> = masked
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    if matches!(read(&connect, 0)?, Packet::Connect { level: 5, .. }) {
        refused.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    broker.write_all(&frame).await?;
    copy_bidirectional(&mut client, &mut broker).await?;
    Ok(())
}

/// Passes the head of an HTTP request or answer on.
async fn pass_head(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    to.write_all(&head).await?;
    Ok(())
}
