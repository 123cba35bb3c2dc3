//! The statements of the plain loop: those of the store, one row each.

/// A packet by its hash.
pub(super) const LOOK_UP: &str =
    "SELECT id, substr(raw_hex, 1, 2) FROM transmissions WHERE hash = ?";
/// A new observer.
pub(super) const ADD_OBSERVER: &str =
    "INSERT INTO observers(rowid, id, name, iata, first_seen) VALUES (?, ?, ?, ?, ?)";
/// An observation, unless it is there.
pub(super) const ADD_OBSERVATION: &str = "INSERT INTO observations(id, transmission_id, observer_idx, direction, snr, rssi, score, \
     path_json, timestamp, raw_hex, arrived_at, feeder_time, time_source, duration_ms) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
/// A new packet.
pub(super) const ADD_TRANSMISSION: &str = "INSERT INTO transmissions(id, raw_hex, hash, first_seen, route_type, payload_type, \
     payload_version, decoded_json, from_pubkey, last_seen, channel_hash, scope_name, \
     observation_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
/// More observations of a known packet.
pub(super) const TOUCH_TRANSMISSION: &str = "UPDATE transmissions SET observation_count = observation_count + ?, \
     last_seen = max(last_seen, ?) WHERE id = ?";
/// A node, by its newest advert.
pub(super) const UPSERT_NODE: &str = "INSERT INTO nodes(public_key, name, role, lat, lon, last_seen, first_seen, advert_count, \
     default_scope, advert_timestamp, foreign_advert) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT(public_key) DO UPDATE SET name = coalesce(excluded.name, name), \
     role = excluded.role, lat = coalesce(excluded.lat, lat), lon = coalesce(excluded.lon, lon), \
     last_seen = max(coalesce(last_seen, ''), excluded.last_seen), \
     advert_count = advert_count + excluded.advert_count, \
     default_scope = coalesce(excluded.default_scope, default_scope), \
     advert_timestamp = excluded.advert_timestamp, foreign_advert = excluded.foreign_advert \
     WHERE excluded.advert_timestamp >= coalesce(nodes.advert_timestamp, 0)";
/// Brings an inactive node back.
pub(super) const REVIVE_NODE: &str =
    "INSERT INTO nodes SELECT * FROM inactive_nodes WHERE public_key = ? ON CONFLICT DO NOTHING";
/// The other half of bringing it back.
pub(super) const FORGET_INACTIVE_NODE: &str = "DELETE FROM inactive_nodes WHERE public_key = ?";
/// Adds to the hourly aggregates.
pub(super) const COUNT_HOURLY: &str = "INSERT INTO observation_counts_hourly(hour, observer_idx, payload_type, observations, \
     transmissions) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET \
     observations = observations + excluded.observations, \
     transmissions = transmissions + excluded.transmissions";
/// An observer's signs of life.
pub(super) const TOUCH_OBSERVER: &str = "UPDATE observers SET name = coalesce(?, name), iata = coalesce(?, iata), last_seen = ?, \
     last_packet_at = ?, packet_count = packet_count + ?, clock_skew_seconds = ?, inactive = 0 \
     WHERE rowid = ?";
/// The totals, and whether another writer has taken over.
pub(super) const TOTALS: &str = "UPDATE store_state SET transmissions = transmissions + ?, \
     observations = observations + ?, bad_signatures = bad_signatures + 0, dropped = dropped + 0 \
     WHERE id = 1 AND fencing_token = ?";
