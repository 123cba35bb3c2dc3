//! A message as JSON, so that fixtures can be compared as a whole. Absent fields are left out.

use meshcore_feed::{
    CompanionTarget, FeederTime, FrameClaims, Message, NeighborStatus, Position, Presence,
    SourceKind, StatusStats,
};
use serde_json::{Map, Value, json};

/// Everything that a message holds.
pub(crate) fn summary(message: &Message) -> Value {
    let mut value = match message {
        Message::Reception(r) => json!({
            "observer_id": r.observer_id, "observer_name": r.observer_name, "iata": r.iata,
            "raw": r.raw_hex(), "snr": r.snr, "snr_is_integer": r.snr_is_integer.then_some(true),
            "rssi": r.rssi, "score": r.score, "duration_ms": r.duration_ms,
            "direction": r.direction.map(meshcore_feed::Direction::as_str),
            "feeder_time": r.feeder_time.map(time), "feeder_hash": r.feeder_hash,
            "rx_radio_id": r.rx_radio_id, "tx_radio_ids": r.tx_radio_ids, "radio": r.radio,
            "from_raw_topic": (r.source_kind == SourceKind::Raw).then_some(true),
        }),
        Message::Transmit(t) => json!({
            "observer_id": t.observer_id, "observer_name": t.observer_name, "iata": t.iata,
            "raw": t.raw.as_deref().map(hex::encode_upper),
            "raw_rejected": t.raw_rejected.then_some(true), "claims": claims(&t.claims),
            "duration_ms": t.duration_ms, "feeder_time": t.feeder_time.map(time),
            "feeder_hash": t.feeder_hash, "tx_radio_ids": t.tx_radio_ids,
        }),
        Message::Status(s) => json!({
            "observer_id": s.observer_id, "observer_name": s.observer_name, "iata": s.iata,
            "presence": s.presence.map(|p| if p == Presence::Online { "online" } else { "offline" }),
            "feeder_time": s.feeder_time.map(time), "model": s.model,
            "firmware_version": s.firmware_version, "client_version": s.client_version,
            "radio": s.radio, "repeat": s.repeat, "source": s.source,
            "radios": s.radios.iter().map(|r| json!([r.id, r.radio])).collect::<Vec<_>>(),
            "position": s.position.map(position), "stats": stats(&s.stats),
        }),
        Message::Neighbors(n) => json!({
            "observer_id": n.observer_id, "observer_name": n.observer_name, "iata": n.iata,
            "feeder_time": n.feeder_time.map(time), "total": n.total_neighbors,
            "queried": n.queried_neighbors, "truncated": n.truncated, "scopes": n.scopes,
            "default_scope": n.default_scope,
            "neighbors": n.neighbors.iter().map(|n| json!({
                "public_key": n.public_key, "snr": n.snr, "rssi": n.rssi,
                "heard_secs_ago": n.heard_secs_ago, "scopes": n.scopes,
                "status": n.status.map(|status| match status {
                    NeighborStatus::Responded => "responded",
                    NeighborStatus::Timeout => "timeout",
                    NeighborStatus::SendFailed => "send_failed",
                }),
            })).collect::<Vec<_>>(),
        }),
        Message::Companion(c) => json!({
            "observer_id": c.observer_id, "observer_name": c.observer_name, "iata": c.iata,
            "target": match &c.target {
                CompanionTarget::Channel { index } => json!({"channel": index}),
                CompanionTarget::Direct { peer } => json!({"direct": peer}),
            },
            "text": c.text, "sender": c.sender, "sender_time": c.sender_time.map(time),
            "feeder_time": c.feeder_time.map(time), "snr": c.snr, "rssi": c.rssi,
        }),
        Message::ClientReception(c) => json!({
            "client_key": c.client_key, "raw": hex::encode_upper(&c.raw), "snr": c.snr,
            "rssi": c.rssi, "position": position(c.position),
            "feeder_time": c.feeder_time.map(time),
        }),
        Message::Ignored(ignored) => json!({ "reason": ignored.reason() }),
    };
    drop_absent(&mut value);
    value["kind"] = json!(message.kind());
    value
}

fn time(time: FeederTime) -> String {
    format!("{}{}", time.time, if time.zoned { "" } else { " naive" })
}

fn position(p: Position) -> Value {
    json!([p.latitude, p.longitude, p.accuracy_m])
}

fn claims(c: &FrameClaims) -> Value {
    json!([
        c.len,
        c.packet_type,
        c.route.map(|route| format!("{route:?}")),
        c.payload_len
    ])
}

fn stats(s: &StatusStats) -> Value {
    json!({
        "battery_mv": s.battery_mv, "uptime_secs": s.uptime_secs, "debug_flags": s.debug_flags,
        "queue_len": s.queue_len, "noise_floor": s.noise_floor, "tx_air_secs": s.tx_air_secs,
        "rx_air_secs": s.rx_air_secs, "recv_errors": s.recv_errors,
        "packets_sent": s.packets_sent, "packets_received": s.packets_received,
        "errors": s.errors, "internal_heap": s.internal_heap,
    })
}

/// Removes nulls and empty lists from objects, all the way down.
fn drop_absent(value: &mut Value) {
    let Value::Object(object) = value else {
        if let Value::Array(items) = value {
            items.iter_mut().for_each(drop_absent);
        }
        return;
    };
    object.values_mut().for_each(drop_absent);
    object.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => *fields != Map::new(),
        _ => true,
    });
}
