//! MQTT 3.1.1 by rumqttc-v4-next.

use std::sync::Arc;

use rumqttc_v4::mqttbytes::Error as WireError;
use rumqttc_v4::mqttbytes::v4::{ConnectReturnCode, SubscribeReasonCode};
use rumqttc_v4::{
    AckMode, AsyncClient, Broker, ConnectionError, Event, EventLoop, Incoming as Packet,
    MqttOptions, NetworkOptions, Outgoing, StateError, SubscribeFilterInput,
};

use super::link::{
    Ack, Incoming, Link, LinkError, LinkEvent, LinkOptions, MAX_PACKET_V4, READ_BATCH, Transport,
};

pub(super) fn new(options: &LinkOptions) -> Result<Link, String> {
    let target = &options.target;
    let mut mqtt = match &target.transport {
        Transport::Tcp => {
            MqttOptions::new(&options.client_id, Broker::tcp(&target.host, target.port))
        }
        Transport::Tls(tls) => {
            let mut mqtt =
                MqttOptions::new(&options.client_id, Broker::tcp(&target.host, target.port));
            mqtt.set_transport(rumqttc_v4::Transport::Tls(tls.configuration()));
            mqtt
        }
        Transport::WebSocket => {
            let broker = Broker::websocket(&target.url).map_err(|e| e.to_string())?;
            let mut mqtt = MqttOptions::new(&options.client_id, broker);
            mqtt.set_transport(rumqttc_v4::Transport::Ws);
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
        .set_clean_session(options.clean)
        .set_ack_mode(AckMode::Manual)
        .set_max_packet_size(MAX_PACKET_V4, MAX_PACKET_V4)
        .set_inflight(16)
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
    // Unbounded: the writer must never wait here while this task waits for the writer. Its length is bounded
    // by what is unacknowledged.
    let (client, mut event_loop) = AsyncClient::builder(mqtt)
        .unbounded()
        .try_build()
        .map_err(|e| e.to_string())?;
    event_loop.network_options = network;
    Ok(Link::V4(Box::new(event_loop), Arc::new(client)))
}

pub(super) fn subscribe(client: &AsyncClient, topics: &[String], qos: u8) -> bool {
    let qos = rumqttc_v4::mqttbytes::qos(qos).unwrap_or(rumqttc_v4::mqttbytes::QoS::AtLeastOnce);
    let filters = topics
        .iter()
        .map(|topic| SubscribeFilterInput::new(topic, qos));
    client.try_subscribe_many(filters).is_ok()
}

pub(super) async fn poll(
    event_loop: &mut EventLoop,
    client: &Arc<AsyncClient>,
) -> Result<LinkEvent, LinkError> {
    Ok(match event_loop.poll().await.map_err(error)? {
        Event::Incoming(Packet::ConnAck(ack)) => LinkEvent::Connected {
            session_present: ack.session_present,
        },
        Event::Incoming(Packet::Publish(publish)) => {
            let ack = client
                .prepare_ack(&publish)
                .map(|ack| Ack::V4(Arc::clone(client), ack));
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
                    // 3.1.1 gives no reason.
                    SubscribeReasonCode::Failure => Err("refused".to_owned()),
                })
                .collect(),
        ),
        Event::Outgoing(Outgoing::Disconnect) => LinkEvent::Disconnected,
        _ => LinkEvent::Other,
    })
}

fn error(error: ConnectionError) -> LinkError {
    match error {
        ConnectionError::ConnectionRefused(code) => refusal(code),
        ConnectionError::MqttState(state) => state_error(state),
        ConnectionError::Io(e) => super::io_error(&e),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => super::timed_out(),
        other => LinkError::Other(super::chain(&other)),
    }
}

/// Why a CONNACK said no.
fn refusal(code: ConnectReturnCode) -> LinkError {
    let why = super::in_words(&code);
    match code {
        ConnectReturnCode::RefusedProtocolVersion => LinkError::VersionRefused,
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            LinkError::SignIn(why)
        }
        _ => LinkError::Refused(why),
    }
}

fn state_error(error: StateError) -> LinkError {
    match error {
        StateError::ConnectionAborted => LinkError::Closed("without a DISCONNECT".into()),
        // A connection that breaks while a packet is read or written comes as a packet that can't be read.
        StateError::Io(e) | StateError::Deserialization(WireError::Io(e)) => super::io_error(&e),
        StateError::Deserialization(e) => LinkError::Unreadable(e.to_string()),
        StateError::AwaitPingResp => super::no_pings(),
        other => LinkError::Other(other.to_string()),
    }
}
