//! The oracle: a TCP proxy between broker and ingestor that sees each PUBACK pass. What it saw pass is the
//! only definition of "acknowledged"; no log line of ours counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::mqtt_wire::{Framer, Packet, read};

/// A message whose PUBACK was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// When the PUBACK passed.
    pub at: Instant,
}

/// A CONNECT that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Its protocol level: 4 or 5.
    pub level: u8,
    /// Whether it begins a new session.
    pub clean: bool,
    /// Its client id.
    pub client_id: String,
}

/// A proxy in front of a broker.
#[derive(Debug)]
pub struct AckProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: u16,
    acknowledged: Mutex<Vec<Acknowledged>>,
    connections: Mutex<CancellationToken>,
    connects: Mutex<Vec<Connect>>,
    delivered: AtomicU64,
    disconnects: Mutex<u64>,
}

/// What both directions of one connection know.
#[derive(Debug, Default)]
struct Conversation {
    level: u8,
    unacknowledged: HashMap<u16, (String, Vec<u8>)>,
}

impl AckProxy {
    /// Listens on a port of its own and passes everything on to the broker at `broker`.
    pub async fn start(broker: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            broker,
            acknowledged: Mutex::default(),
            connections: Mutex::default(),
            connects: Mutex::default(),
            delivered: AtomicU64::new(0),
            disconnects: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move {
                    // A connection that ends is no failure of the proxy's.
                    drop(serve(client, shared).await);
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything acknowledged so far, in order.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        lock(&self.shared.acknowledged).clone()
    }

    /// What was acknowledged after the first `count`.
    pub fn acknowledged_since(&self, count: usize) -> Vec<Acknowledged> {
        lock(&self.shared.acknowledged)
            .get(count..)
            .unwrap_or_default()
            .to_vec()
    }

    /// How many messages were acknowledged so far.
    pub fn count(&self) -> usize {
        lock(&self.shared.acknowledged).len()
    }

    /// The CONNECTs that clients have sent, in order.
    pub fn connects(&self) -> Vec<Connect> {
        lock(&self.shared.connects).clone()
    }

    /// How many messages at QoS 1 the broker has sent, redeliveries included.
    pub fn delivered(&self) -> u64 {
        self.shared.delivered.load(Ordering::Relaxed)
    }

    /// How many DISCONNECTs clients have sent.
    pub fn disconnects(&self) -> u64 {
        *lock(&self.shared.disconnects)
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        let old = std::mem::take(&mut *lock(&self.shared.connections));
        old.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(client: TcpStream, shared: Arc<Shared>) -> Result<()> {
    let broker = TcpStream::connect(("127.0.0.1", shared.broker)).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let cut = lock(&shared.connections).clone();
    let conversation = Mutex::new(Conversation::default());
    let (mut client_read, mut client_write) = client.into_split();
    let (mut broker_read, mut broker_write) = broker.into_split();
    let upstream = async {
        let mut framer = Framer::default();
        let mut buffer = vec![0; 65_536];
        loop {
            let n = client_read.read(&mut buffer).await?;
            if n == 0 {
                return anyhow::Ok(());
            }
            framer.push(&buffer[..n]);
            while let Some(packet) = framer.next_packet() {
                note_upstream(&packet, &conversation, &shared)?;
            }
            broker_write.write_all(&buffer[..n]).await?;
        }
    };
    let downstream = async {
        let mut framer = Framer::default();
        let mut buffer = vec![0; 65_536];
        loop {
            let n = broker_read.read(&mut buffer).await?;
            if n == 0 {
                return anyhow::Ok(());
            }
            framer.push(&buffer[..n]);
            while let Some(packet) = framer.next_packet() {
                let mut conversation = lock(&conversation);
                if let Packet::Publish { id, topic, payload } = read(&packet, conversation.level)? {
                    shared.delivered.fetch_add(1, Ordering::Relaxed);
                    conversation.unacknowledged.insert(id, (topic, payload));
                }
            }
            if client_write.write_all(&buffer[..n]).await.is_err() {
                // The client is gone; what it had said before may still be on its way.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        ended = upstream => ended,
        ended = downstream => ended,
        () = cut.cancelled() => Ok(()),
    }
}

/// Notes what the client says. An acknowledgement counts as soon as it has left the client.
fn note_upstream(packet: &[u8], conversation: &Mutex<Conversation>, shared: &Shared) -> Result<()> {
    let mut conversation = lock(conversation);
    match read(packet, conversation.level)? {
        Packet::Connect {
            level,
            clean,
            client_id,
        } => {
            conversation.level = level;
            lock(&shared.connects).push(Connect {
                level,
                clean,
                client_id,
            });
        }
        Packet::PubAck { id } => {
            if let Some((topic, payload)) = conversation.unacknowledged.remove(&id) {
                lock(&shared.acknowledged).push(Acknowledged {
                    topic,
                    payload,
                    at: Instant::now(),
                });
            }
        }
        Packet::Disconnect => *lock(&shared.disconnects) += 1,
        _ => {}
    }
    Ok(())
}
