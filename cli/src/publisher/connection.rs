//! One connection to the broker: hands messages to the MQTT client and counts what comes back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc_v4::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Outgoing,
    Packet, PublishOptions, StateError, mqttbytes,
};
use tokio::sync::mpsc;

use super::window::Window;
use super::{Message, PublishError, Shared};

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is said when nobody listens at the address.
pub(crate) const REFUSED: &str = "connection refused";
/// What a broken connection is called.
const CLOSED: &str = "the broker closed the connection";

/// An established connection.
pub(super) struct Connection {
    client: AsyncClient,
    event_loop: EventLoop,
}

/// How a connection ended.
pub(super) enum Ended {
    /// Everything was published and acknowledged, and the broker was told goodbye.
    Done,
    /// It broke; the window holds what must be sent again.
    Lost(String),
}

impl Connection {
    /// Connects and waits for the broker's answer.
    pub(super) async fn open(options: &MqttOptions, in_flight: u16) -> Result<Self, PublishError> {
        let mut options = options.clone();
        // Identifiers must not run out even if the broker acknowledges out of order.
        options.set_inflight(in_flight.saturating_mul(4));
        let (client, mut event_loop) = AsyncClient::builder(options)
            .capacity(usize::from(in_flight))
            .try_build()
            .map_err(|err| PublishError::Unreachable {
                reason: err.to_string(),
            })?;
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, event_loop.poll());
        match attempt.await {
            Ok(Ok(_)) => Ok(Self { client, event_loop }),
            Ok(Err(err)) => Err(classify(&err)),
            Err(_) => Err(PublishError::Unreachable {
                reason: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            }),
        }
    }

    /// Publishes what comes until the source is closed and all of it is acknowledged, or until the
    /// connection breaks.
    pub(super) async fn run(
        self,
        window: &Mutex<Window>,
        messages: &mut mpsc::Receiver<Message>,
        shared: &Shared,
    ) -> Ended {
        let Self {
            client,
            mut event_loop,
        } = self;
        // The event loop is polled to its end and the sender never ends first, so neither future
        // is dropped half-way but when the connection is gone.
        tokio::select! {
            ended = poll(&mut event_loop, window, shared) => ended,
            () = send(&client, window, messages, shared) => Ended::Lost("the client stopped".to_owned()),
        }
    }
}

/// Hands messages to the client: first those that an earlier connection left, then new ones. Ends
/// only when the client is gone.
async fn send(
    client: &AsyncClient,
    window: &Mutex<Window>,
    messages: &mut mpsc::Receiver<Message>,
    shared: &Shared,
) {
    let left = lock(window).restart();
    for message in left {
        if !hand_over(client, message, shared).await {
            return;
        }
    }
    loop {
        let Ok(slot) = shared.slots.acquire().await else {
            return;
        };
        let Some(message) = messages.recv().await else {
            break;
        };
        // The slot comes back with the acknowledgement.
        slot.forget();
        lock(window).push(message.clone());
        if !hand_over(client, message, shared).await {
            return;
        }
    }
    let all = u32::from(shared.in_flight);
    if shared.slots.acquire_many(all).await.is_err() || client.disconnect().await.is_err() {
        return;
    }
    std::future::pending::<()>().await;
}

async fn hand_over(client: &AsyncClient, message: Message, shared: &Shared) -> bool {
    let options = PublishOptions::new(shared.qos).retain(message.retain);
    let published = client.publish(message.topic, message.payload, options);
    published.await.is_ok()
}

/// Drives the connection and counts.
async fn poll(event_loop: &mut EventLoop, window: &Mutex<Window>, shared: &Shared) -> Ended {
    loop {
        let is_done = match event_loop.poll().await {
            Ok(Event::Outgoing(Outgoing::Publish(packet_id))) => {
                shared.counters.add_published();
                lock(window).sent(packet_id)
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                let is_ours = lock(window).acknowledged(ack.pkid);
                if is_ours {
                    shared.counters.add_acknowledged();
                }
                is_ours
            }
            Ok(_) => false,
            Err(ConnectionError::RequestsDone) => return Ended::Done,
            Err(err) => return Ended::Lost(reason(&err)),
        };
        if is_done {
            shared.slots.add_permits(1);
        }
    }
}

fn lock(window: &Mutex<Window>) -> MutexGuard<'_, Window> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it makes sense to try again.
fn classify(err: &ConnectionError) -> PublishError {
    match err {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => PublishError::NotAuthorized,
        ConnectionError::ConnectionRefused(code) => PublishError::Refused {
            reason: format!("{code:?}"),
        },
        err => PublishError::Unreachable {
            reason: reason(err),
        },
    }
}

/// What a person can do something with.
fn reason(err: &ConnectionError) -> String {
    match err {
        // A reset while a packet is read is wrapped once more.
        ConnectionError::Io(err)
        | ConnectionError::MqttState(
            StateError::Io(err) | StateError::Deserialization(mqttbytes::Error::Io(err)),
        ) => io_reason(err),
        ConnectionError::MqttState(StateError::ConnectionAborted) => CLOSED.to_owned(),
        ConnectionError::MqttState(StateError::AwaitPingResp) => "the broker is silent".to_owned(),
        ConnectionError::NetworkTimeout => "no answer".to_owned(),
        err => err.to_string(),
    }
}

fn io_reason(err: &std::io::Error) -> String {
    match err.kind() {
        std::io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::ConnectionAborted
        | std::io::ErrorKind::UnexpectedEof
        | std::io::ErrorKind::BrokenPipe => CLOSED.to_owned(),
        _ => err.to_string(),
    }
}
