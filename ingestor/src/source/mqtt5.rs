//! MQTT 5 by rumqttc-v5-next.

use std::pin::Pin;
use std::sync::Arc;

use rumqttc_v5::mqttbytes::Error as WireError;
use rumqttc_v5::mqttbytes::v5::{DisconnectReasonCode, RetainForwardRule, SubscribeReasonCode};
use rumqttc_v5::{
    AckMode, AsyncClient, Broker, ConnectReturnCode, ConnectionError, Event, EventLoop,
    Incoming as Packet, IncomingPacketSizeLimit, MqttOptions, NetworkOptions, Outgoing,
    PersistedAckMode, PersistedSession, SessionStore, SessionStoreError, SessionStoreKey,
    StateError, SubscribeFilterInput,
};

use super::link::{
    Ack, Incoming, Link, LinkError, LinkEvent, LinkOptions, MAX_PACKET_V5, READ_BATCH,
    RECEIVE_MAXIMUM, SESSION_EXPIRY_SECONDS, Transport,
};

/// How much of what we publish may be unacknowledged: we publish nothing.
const OUTGOING_IN_FLIGHT: u16 = 16;

pub(super) fn new(options: &LinkOptions) -> Result<Link, String> {
    let target = &options.target;
    let mut mqtt = match &target.transport {
        Transport::Tcp => {
            MqttOptions::new(&options.client_id, Broker::tcp(&target.host, target.port))
        }
        Transport::Tls(tls) => {
            let mut mqtt =
                MqttOptions::new(&options.client_id, Broker::tcp(&target.host, target.port));
            mqtt.set_transport(rumqttc_v5::Transport::Tls(tls.configuration()));
            mqtt
        }
        Transport::WebSocket => {
            let broker = Broker::websocket(&target.url).map_err(|e| e.to_string())?;
            let mut mqtt = MqttOptions::new(&options.client_id, broker);
            mqtt.set_transport(rumqttc_v5::Transport::Ws);
            mqtt
        }
        Transport::WebSocketTls(tls) => MqttOptions::websocket_with_tls_config(
            &options.client_id,
            &target.url,
            tls.configuration(),
        )
        .map_err(|e| e.to_string())?,
    };
    mqtt.set_keep_alive(u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX))
        .set_clean_start(options.clean)
        .set_session_expiry_interval(Some(SESSION_EXPIRY_SECONDS))
        .set_session_store(NothingInFlight)
        .set_ack_mode(AckMode::Manual)
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        .set_max_packet_size(Some(MAX_PACKET_V5))
        .set_incoming_packet_size_limit(IncomingPacketSizeLimit::Bytes(MAX_PACKET_V5))
        .set_outgoing_inflight_upper_limit(OUTGOING_IN_FLIGHT)
        .set_max_request_batch(READ_BATCH)
        .set_read_batch_size(READ_BATCH);
    let (dial, farewells) = (target.dial.clone(), options.farewells.clone());
    mqtt.set_socket_connector(move |address, network| {
        super::socket::connect(dial.clone().unwrap_or(address), network, farewells.clone())
    });
    if let Some((username, password)) = &options.credentials {
        mqtt.set_credentials(username, password.clone());
    }
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(options.connect_timeout.as_secs().max(1));
    network.set_tcp_nodelay(true);
    mqtt.set_network_options(network);
    // Unbounded: the writer must never wait here while this task waits for the writer. Its length is bounded
    // by what is unacknowledged.
    let (client, event_loop) = AsyncClient::builder(mqtt)
        .unbounded()
        .try_build()
        .map_err(|e| e.to_string())?;
    Ok(Link::V5(Box::new(event_loop), Arc::new(client)))
}

pub(super) fn subscribe(client: &AsyncClient, topics: &[String], qos: u8) -> bool {
    let qos = rumqttc_v5::mqttbytes::qos(qos).unwrap_or(rumqttc_v5::mqttbytes::QoS::AtLeastOnce);
    // Retained messages come with a new subscription only, not each time we say again what we want.
    let filters = topics.iter().map(|topic| {
        SubscribeFilterInput::new(topic, qos).retain_forward_rule(RetainForwardRule::OnNewSubscribe)
    });
    client.try_subscribe_many(filters).is_ok()
}

pub(super) async fn poll(
    event_loop: &mut EventLoop,
    client: &Arc<AsyncClient>,
) -> Result<LinkEvent, LinkError> {
    Ok(match event_loop.poll().await.map_err(error)? {
        Event::Incoming(Packet::ConnAck(ack)) => {
            // From here on there is nothing to keep: it would be asked to save with each acknowledgement.
            event_loop.options.clear_session_store();
            LinkEvent::Connected {
                session_present: ack.session_present,
            }
        }
        Event::Incoming(Packet::Publish(publish)) => {
            let ack = client
                .prepare_ack(&publish)
                .map(|ack| Ack::V5(Arc::clone(client), ack));
            LinkEvent::Publish(Incoming {
                topic: publish.topic,
                payload: publish.payload,
                retain: publish.retain,
                ack,
            })
        }
        Event::Incoming(Packet::SubAck(ack)) => LinkEvent::Subscribed(
            ack.return_codes
                .into_iter()
                .map(|code| match code {
                    SubscribeReasonCode::Success(_) => Ok(()),
                    refusal => Err(super::in_words(&refusal)),
                })
                .collect(),
        ),
        Event::Outgoing(Outgoing::Disconnect) => LinkEvent::Disconnected,
        _ => LinkEvent::Other,
    })
}

fn error(error: ConnectionError) -> LinkError {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => refusal(code),
        ConnectionError::MqttState(state) => state_error(state),
        ConnectionError::Io(e) => super::io_error(&e),
        ConnectionError::Timeout(_) => super::timed_out(),
        other => LinkError::Other(super::chain(&other)),
    }
}

/// Why a CONNACK said no.
fn refusal(code: ConnectReturnCode) -> LinkError {
    let why = super::in_words(&code);
    match code {
        ConnectReturnCode::RefusedProtocolVersion
        | ConnectReturnCode::UnsupportedProtocolVersion => LinkError::VersionRefused,
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            LinkError::SignIn(why)
        }
        _ => LinkError::Refused(why),
    }
}

fn state_error(error: StateError) -> LinkError {
    match error {
        StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        } => LinkError::TakenOver,
        StateError::ServerDisconnect { reason_code, .. } => LinkError::Other(format!(
            "the broker ended the connection: {}",
            super::in_words(&reason_code)
        )),
        StateError::ConnectionAborted => LinkError::Closed("without a DISCONNECT".into()),
        // A connection that breaks while a packet is read or written comes as a packet that can't be read.
        StateError::Io(e) | StateError::Deserialization(WireError::Io(e)) => super::io_error(&e),
        // The CONNACK of a 3.1.1 broker that refuses 5.
        StateError::Deserialization(WireError::InvalidConnectReturnCode(_)) => {
            LinkError::VersionRefused
        }
        StateError::Deserialization(e) => LinkError::Unreadable(e.to_string()),
        StateError::IncomingPacketTooLarge { .. } => LinkError::Unreadable(error.to_string()),
        StateError::AwaitPingResp => super::no_pings(),
        other => LinkError::Other(other.to_string()),
    }
}

/// The client's half of our session: we publish nothing, so nothing of ours is ever in flight. Without it the
/// library takes a session that the broker resumes for one whose packet ids it can't know, and silently
/// refuses to subscribe and unsubscribe in it. It is asked once for each connection.
#[derive(Debug)]
struct NothingInFlight;

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for NothingInFlight {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> StoreFuture<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(SESSION_EXPIRY_SECONDS),
            outgoing_inflight_upper_limit: Some(OUTGOING_IN_FLIGHT),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async { Ok(Some(session)) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
