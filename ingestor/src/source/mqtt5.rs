//! MQTT 5 by rumqttc-v5-next.

use rumqttc_v5::mqttbytes::v5::{DisconnectReasonCode, RetainForwardRule, SubscribeReasonCode};
use rumqttc_v5::{
    AckMode, AsyncClient, Broker, BrokerSessionResumePolicy, ConnectReturnCode, ConnectionError,
    Event, EventLoop, Incoming as Packet, IncomingPacketSizeLimit, MqttOptions, NetworkOptions,
    Outgoing, StateError, SubscribeFilterInput,
};

use super::link::{
    Ack, Incoming, Link, LinkError, LinkEvent, LinkOptions, MAX_PACKET_V5, READ_BATCH,
    RECEIVE_MAXIMUM, SESSION_EXPIRY, Transport,
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
        .set_session_expiry_interval(Some(
            u32::try_from(SESSION_EXPIRY.as_secs()).unwrap_or(u32::MAX),
        ))
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
        .set_ack_mode(AckMode::Manual)
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        .set_max_packet_size(Some(MAX_PACKET_V5))
        .set_incoming_packet_size_limit(IncomingPacketSizeLimit::Bytes(MAX_PACKET_V5))
        .set_outgoing_inflight_upper_limit(16)
        .set_max_request_batch(READ_BATCH)
        .set_read_batch_size(READ_BATCH);
    if let Some(dial) = target.dial.clone() {
        mqtt.set_socket_connector(move |_, network| {
            let dial = dial.clone();
            async move { rumqttc_v5::default_socket_connect(dial, network).await }
        });
    }
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
    Ok(Link::V5(Box::new(event_loop), client))
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
    client: &AsyncClient,
) -> Result<LinkEvent, LinkError> {
    Ok(match event_loop.poll().await.map_err(error)? {
        Event::Incoming(Packet::ConnAck(ack)) => LinkEvent::Connected {
            session_present: ack.session_present,
        },
        Event::Incoming(Packet::Publish(publish)) => {
            let ack = client
                .prepare_ack(&publish)
                .map(|ack| Ack::V5(client.clone(), ack));
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
                    refusal => Err(format!("{refusal:?}")),
                })
                .collect(),
        ),
        Event::Outgoing(Outgoing::Disconnect) => LinkEvent::Disconnected,
        _ => LinkEvent::Other,
    })
}

fn error(error: ConnectionError) -> LinkError {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::RefusedProtocolVersion
            | ConnectReturnCode::UnsupportedProtocolVersion,
        )
        | ConnectionError::MqttState(StateError::ConnFail {
            reason:
                ConnectReturnCode::RefusedProtocolVersion
                | ConnectReturnCode::UnsupportedProtocolVersion,
        }) => LinkError::VersionRefused,
        ConnectionError::ConnectionRefused(code) => LinkError::Refused(format!("{code:?}")),
        ConnectionError::MqttState(StateError::ConnFail { reason }) => {
            LinkError::Refused(format!("{reason:?}"))
        }
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => LinkError::TakenOver,
        ConnectionError::MqttState(state) => match state {
            StateError::ConnectionAborted => LinkError::Closed("without a DISCONNECT".into()),
            StateError::Io(e) => super::io_error(&e),
            StateError::Deserialization(_) | StateError::IncomingPacketTooLarge { .. } => {
                LinkError::Unreadable(state.to_string())
            }
            other => LinkError::Other(other.to_string()),
        },
        ConnectionError::Io(e) => super::io_error(&e),
        other => LinkError::Other(super::chain(&other)),
    }
}
