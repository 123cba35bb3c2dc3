//! A broker with a backlog for a client that is away: what both contenders then drain.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use meshcore_testkit::{Mosquitto, MosquittoOptions};
use rumqttc_v5::mqttbytes::QoS;
use rumqttc_v5::{
    AckMode, AsyncClient, Broker, BrokerSessionResumePolicy, Event, EventLoop, Incoming,
    IncomingPacketSizeLimit, MqttOptions, NetworkOptions,
};

use tokio::runtime::Runtime;

use crate::traffic::Traffic;

/// The client id of the session that has the backlog.
pub(crate) const CLIENT_ID: &str = "meshcore-bench";
/// What the session is subscribed to.
pub(crate) const TOPICS: &str = "meshcore/#";
/// How many messages may be unacknowledged while the backlog is published.
const WINDOW: usize = 4_000;
/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Messages as bytes on the wire, ready to be published again and again.
pub(crate) struct Backlog {
    /// PUBLISH packets with the packet id still to be filled in, at the offset given.
    packets: Vec<(Vec<u8>, usize)>,
}

impl Backlog {
    /// All receptions of `traffic`, as a feeder publishes them.
    pub(crate) fn of(traffic: &Traffic) -> Result<Self> {
        let packets = (0..traffic.receptions())
            .map(|n| {
                let (topic, payload) = traffic.message(n)?;
                publish_packet(&topic, &payload)
            })
            .collect::<Result<_>>()?;
        Ok(Self { packets })
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// A broker that holds the backlog for [`CLIENT_ID`], which is away.
    pub(crate) fn in_a_broker(&self, runtime: &Runtime) -> Result<Mosquitto> {
        let broker = Mosquitto::start(&MosquittoOptions::default())?;
        runtime.block_on(begin_session(broker.port()))?;
        publish_all(broker.port(), &self.packets)?;
        Ok(broker)
    }
}

/// A client with the ingestor's options.
pub(crate) fn client(port: u16) -> Result<(AsyncClient, EventLoop)> {
    let mut options = MqttOptions::new(CLIENT_ID, Broker::tcp("127.0.0.1", port));
    options
        .set_keep_alive(30)
        .set_clean_start(false)
        .set_session_expiry_interval(Some(24 * 3600))
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
        .set_ack_mode(AckMode::Manual)
        .set_receive_maximum(Some(2_048))
        .set_max_packet_size(Some(128 * 1024))
        .set_incoming_packet_size_limit(IncomingPacketSizeLimit::Bytes(128 * 1024))
        .set_outgoing_inflight_upper_limit(16)
        .set_max_request_batch(256)
        .set_read_batch_size(256);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    AsyncClient::builder(options)
        .unbounded()
        .try_build()
        .context("make an MQTT client")
}

/// Subscribes once and goes away, so that the broker keeps what comes from then on.
async fn begin_session(port: u16) -> Result<()> {
    let (client, mut events) = client(port)?;
    client.subscribe(TOPICS, QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Incoming::SubAck(_))) {}
    client.disconnect().await?;
    // It ends with an error or an event, both mean that the connection is closed.
    while let Ok(event) = events.poll().await {
        if matches!(event, Event::Outgoing(rumqttc_v5::Outgoing::Disconnect)) {
            break;
        }
    }
    Ok(())
}

/// A PUBLISH of MQTT 3.1.1 that asks for a PUBACK, and where its packet id goes.
fn publish_packet(topic: &str, payload: &[u8]) -> Result<(Vec<u8>, usize)> {
    let length = 2 + topic.len() + 2 + payload.len();
    let mut packet = vec![0x32];
    let mut left = length;
    while left > 127 {
        packet.push(u8::try_from(left % 128)? | 128);
        left /= 128;
    }
    packet.push(u8::try_from(left)?);
    packet.extend(u16::try_from(topic.len())?.to_be_bytes());
    packet.extend(topic.as_bytes());
    let id_at = packet.len();
    packet.extend([0, 0]);
    packet.extend(payload);
    Ok((packet, id_at))
}

/// Publishes everything, as fast as the broker takes it, and waits until it has all.
fn publish_all(port: u16, packets: &[(Vec<u8>, usize)]) -> Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    // CONNECT of 3.1.1 with a clean session and no keep-alive, as client "filler".
    socket.write_all(b"\x10\x12\0\x04MQTT\x04\x02\0\0\0\x06filler")?;
    let mut answer = [0; 4];
    socket.read_exact(&mut answer)?;
    ensure!(answer == [0x20, 2, 0, 0], "the broker refused: {answer:?}");
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let reader = {
        let (mut socket, acknowledged) = (socket.try_clone()?, Arc::clone(&acknowledged));
        std::thread::spawn(move || {
            // Nothing but PUBACKs of four bytes can come.
            let (mut buffer, mut bytes) = (vec![0; 65_536], 0);
            while let Ok(n @ 1..) = socket.read(&mut buffer) {
                bytes += n;
                acknowledged.store(bytes / 4, Ordering::Release);
            }
        })
    };
    let until = Instant::now() + PATIENCE;
    let wait_for = |count: usize| -> Result<()> {
        while acknowledged.load(Ordering::Acquire) < count {
            ensure!(
                Instant::now() < until,
                "the broker does not take the backlog"
            );
            std::thread::park_timeout(Duration::from_micros(200));
        }
        Ok(())
    };
    let mut out = Vec::new();
    for (chunk, sent) in packets.chunks(256).zip((0..).step_by(256)) {
        wait_for((sent + chunk.len()).saturating_sub(WINDOW))?;
        out.clear();
        for ((packet, id_at), n) in chunk.iter().zip(sent..) {
            let start = out.len();
            out.extend_from_slice(packet);
            let id = u16::try_from(n % 65_535 + 1)?;
            out[start + id_at..start + id_at + 2].copy_from_slice(&id.to_be_bytes());
        }
        socket.write_all(&out)?;
    }
    wait_for(packets.len())?;
    socket.write_all(&[0xE0, 0])?;
    socket.shutdown(std::net::Shutdown::Both)?;
    // It ends with the connection.
    reader.join().ok().context("the reader of PUBACKs")
}
