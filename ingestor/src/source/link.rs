//! One MQTT connection, whichever version it speaks. A link lives from CONNECT to the end of the connection
//! and is never reused: an acknowledgement handle dies with its connection, so it can't acknowledge whatever
//! message has that packet id on the next one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::task::TaskTracker;

use super::{mqtt4, mqtt5};

/// The largest packet a 5 broker may send us: payload, topic and properties.
pub(crate) const MAX_PACKET_V5: u32 = 128 * 1024;
/// The largest packet that is read, to be discarded, from a 3.1.1 broker, which can't be told a limit.
pub(crate) const MAX_PACKET_V4: usize = 16 * 1024 * 1024;
/// How many unacknowledged messages a 5 broker may send.
pub(crate) const RECEIVE_MAXIMUM: u16 = 2_048;
/// How long a 5 broker keeps our session while we are away: a day.
pub(crate) const SESSION_EXPIRY_SECONDS: u32 = 24 * 3600;
/// How many packets are read, and requests written, in one go.
pub(crate) const READ_BATCH: usize = 256;

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.
    V5,
}

impl Version {
    /// As people and the configuration write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

/// Everything one connection needs, with secrets already read.
#[derive(Clone)]
pub(crate) struct LinkOptions {
    pub(crate) client_id: String,
    pub(crate) target: Target,
    pub(crate) credentials: Option<(String, Bytes)>,
    pub(crate) keep_alive: Duration,
    pub(crate) connect_timeout: Duration,
    /// Ask the broker to forget our session first.
    pub(crate) clean: bool,
    /// Tracks the polite end of sockets.
    pub(crate) farewells: TaskTracker,
}

/// Where to connect, and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The whole URL, for the WebSocket transports.
    pub(crate) url: String,
    /// Host and port of the socket, where that isn't `host` (which is then the name in the certificate).
    pub(crate) dial: Option<String>,
    pub(crate) transport: Transport,
}

/// How bytes travel.
#[derive(Clone)]
pub(crate) enum Transport {
    Tcp,
    Tls(super::tls::ClientTls),
    WebSocket,
    WebSocketTls(super::tls::ClientTls),
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The broker accepted us.
    Connected { session_present: bool },
    /// A message.
    Publish(Incoming),
    /// The answers to our subscriptions, in order; the refusals say why.
    Subscribed(Vec<Result<(), String>>),
    /// Our own DISCONNECT is on its way: every acknowledgement before it has left.
    Disconnected,
    /// Something that needs nothing.
    Other,
}

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    /// The acknowledgement that it waits for; none at QoS 0.
    pub(crate) ack: Option<Ack>,
}

/// Why a connection ended, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// The broker doesn't speak this version.
    VersionRefused,
    /// The peer closed, or sent what isn't MQTT of this version.
    Closed(String),
    /// The broker doesn't accept who we say we are, with its reason.
    SignIn(String),
    /// The broker refused us, with its reason.
    Refused(String),
    /// Another client took our session over.
    TakenOver,
    /// What the broker sent can't be read, or is too large: it would be sent again after a reconnect.
    Unreadable(String),
    /// The network, TLS, or anything else.
    Other(String),
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::VersionRefused => write!(f, "the broker refuses this protocol version"),
            Self::Closed(why) => write!(f, "the broker closed the connection ({why})"),
            Self::SignIn(why) => write!(
                f,
                "the broker refused the sign-in ({why}): check user name, password or token"
            ),
            Self::Refused(why) => write!(f, "the broker refused the connection: {why}"),
            Self::TakenOver => write!(f, "another client connected with our client id"),
            Self::Unreadable(why) => {
                write!(f, "the broker sent something that can't be read: {why}")
            }
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// The acknowledgement of one message, good for the connection that brought it.
#[derive(Debug)]
pub(crate) enum Ack {
    V4(Arc<rumqttc_v4::AsyncClient>, rumqttc_v4::ManualAck),
    V5(Arc<rumqttc_v5::AsyncClient>, rumqttc_v5::ManualAck),
}

impl Ack {
    /// Sends it; says whether its connection was still there to take it.
    pub(crate) fn send(self) -> bool {
        match self {
            Self::V4(client, ack) => client.try_manual_ack(ack).is_ok(),
            Self::V5(client, ack) => client.try_manual_ack(ack).is_ok(),
        }
    }
}

/// The requests one can make of a connection.
#[derive(Clone, Debug)]
pub(crate) enum LinkClient {
    V4(Arc<rumqttc_v4::AsyncClient>),
    V5(Arc<rumqttc_v5::AsyncClient>),
}

impl LinkClient {
    /// Subscribes to all `topics` at QoS 1 or `qos`; the answer comes as [`LinkEvent::Subscribed`].
    pub(crate) fn subscribe(&self, topics: &[String], qos: u8) -> bool {
        match self {
            Self::V4(client) => mqtt4::subscribe(client, topics, qos),
            Self::V5(client) => mqtt5::subscribe(client, topics, qos),
        }
    }

    /// Unsubscribes from a topic of an earlier configuration.
    pub(crate) fn unsubscribe(&self, topic: &str) -> bool {
        match self {
            Self::V4(client) => client.try_unsubscribe(topic).is_ok(),
            Self::V5(client) => client.try_unsubscribe(topic).is_ok(),
        }
    }

    /// Asks for a DISCONNECT behind everything that was requested before.
    pub(crate) fn disconnect(&self) -> bool {
        match self {
            Self::V4(client) => client.try_disconnect().is_ok(),
            Self::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

/// A connection, to be polled until it ends. Its client is shared, since each message that is not acknowledged
/// yet holds it, and a clone has several counters.
pub(crate) enum Link {
    V4(Box<rumqttc_v4::EventLoop>, Arc<rumqttc_v4::AsyncClient>),
    V5(Box<rumqttc_v5::EventLoop>, Arc<rumqttc_v5::AsyncClient>),
}

impl Link {
    /// Makes a connection ready; it connects when it is polled.
    pub(crate) fn new(version: Version, options: &LinkOptions) -> Result<Self, String> {
        match version {
            Version::V4 => mqtt4::new(options),
            Version::V5 => mqtt5::new(options),
        }
    }

    /// The other end of this connection's requests.
    pub(crate) fn client(&self) -> LinkClient {
        match self {
            Self::V4(_, client) => LinkClient::V4(client.clone()),
            Self::V5(_, client) => LinkClient::V5(client.clone()),
        }
    }

    /// The next event. Not cancel-safe: a call that is dropped can lose a request that it has taken from the queue
    /// and not sent yet, an acknowledgement as well, which costs a redelivery. So once a call was dropped, the link
    /// is good for leaving only.
    pub(crate) async fn poll(&mut self) -> Result<LinkEvent, LinkError> {
        match self {
            Self::V4(event_loop, client) => mqtt4::poll(event_loop, client).await,
            Self::V5(event_loop, client) => mqtt5::poll(event_loop, client).await,
        }
    }
}
