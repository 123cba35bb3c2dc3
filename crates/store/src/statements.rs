//! Every statement of the write path, in one place.
//!
//! Those that carry most rows say `OR FAIL`: with the usual `OR ABORT` SQLite copies each page that a statement of
//! several rows changes, to be able to undo the statement. A batch that fails is undone as a whole anyway.

use crate::sql::RowsStatement;

/// What the writer must know of a transmission that is in the file.
pub(crate) const LOOK_UP: &str =
    "SELECT id, substr(raw_hex, 1, 12), unixepoch(first_seen) FROM transmissions WHERE hash = ?";

/// The statements of the writer, made once.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) insert_observers: RowsStatement,
    pub(crate) insert_observations: RowsStatement,
    pub(crate) insert_transmissions: RowsStatement,
    pub(crate) touch_transmissions: RowsStatement,
    pub(crate) first_seen_earlier: RowsStatement,
    pub(crate) touch_observers: RowsStatement,
    pub(crate) report_observers: RowsStatement,
    pub(crate) revive_nodes: RowsStatement,
    pub(crate) forget_inactive_nodes: RowsStatement,
    pub(crate) upsert_nodes: RowsStatement,
    pub(crate) count_hourly: RowsStatement,
    pub(crate) sample_metrics: RowsStatement,
    pub(crate) insert_dropped: RowsStatement,
    pub(crate) insert_client_receptions: RowsStatement,
    pub(crate) touch_client_observers: RowsStatement,
    pub(crate) upsert_neighbors: RowsStatement,
}

impl Statements {
    pub(crate) fn new() -> Self {
        Self {
            insert_observers: RowsStatement::new(
                "add observers",
                "INSERT OR FAIL INTO observers(rowid, id, name, iata, first_seen) VALUES",
                5,
                "",
            ),
            insert_observations: RowsStatement::new(
                "add observations",
                "INSERT OR FAIL INTO observations(id, transmission_id, observer_idx, direction, snr, rssi, score, \
                 path_json, timestamp, raw_hex, arrived_at, feeder_time, time_source, duration_ms) VALUES",
                14,
                "ON CONFLICT DO NOTHING",
            ),
            insert_transmissions: RowsStatement::new(
                "add transmissions",
                "INSERT OR FAIL INTO transmissions(id, raw_hex, hash, first_seen, route_type, payload_type, \
                 payload_version, decoded_json, from_pubkey, last_seen, channel_hash, scope_name, \
                 observation_count) VALUES",
                13,
                "",
            ),
            touch_transmissions: RowsStatement::new(
                "count observations of known transmissions",
                "WITH v(id, n, seen) AS (VALUES",
                3,
                ") UPDATE transmissions SET observation_count = observation_count + v.n, \
                 last_seen = max(last_seen, v.seen) FROM v WHERE transmissions.id = v.id",
            ),
            first_seen_earlier: RowsStatement::new(
                "move first_seen of known transmissions",
                "WITH v(id, seen) AS (VALUES",
                2,
                ") UPDATE transmissions SET first_seen = v.seen FROM v \
                 WHERE transmissions.id = v.id AND transmissions.first_seen > v.seen",
            ),
            touch_observers: RowsStatement::new(
                "note signs of life of observers",
                "WITH v(idx, name, iata, seen, packet_seen, n, skew, naive_at) AS (VALUES",
                8,
                ") UPDATE observers SET name = coalesce(v.name, observers.name), \
                 iata = coalesce(v.iata, observers.iata), \
                 first_seen = min(coalesce(first_seen, v.seen), coalesce(v.seen, first_seen)), \
                 last_seen = nullif(max(coalesce(last_seen, ''), coalesce(v.seen, '')), ''), \
                 last_packet_at = nullif(max(coalesce(last_packet_at, ''), coalesce(v.packet_seen, '')), ''), \
                 packet_count = packet_count + v.n, \
                 clock_skew_seconds = coalesce(v.skew, clock_skew_seconds), \
                 clock_last_naive_at = coalesce(v.naive_at, clock_last_naive_at), \
                 inactive = CASE WHEN v.seen IS NULL THEN inactive ELSE 0 END \
                 FROM v WHERE observers.rowid = v.idx",
            ),
            report_observers: RowsStatement::new(
                "store reports of observers",
                "WITH v(idx, online, model, firmware, client_version, radio, can_relay, battery_mv, uptime_secs, \
                 noise_floor) AS (VALUES",
                10,
                ") UPDATE observers SET online = coalesce(v.online, observers.online), \
                 model = coalesce(v.model, observers.model), firmware = coalesce(v.firmware, observers.firmware), \
                 client_version = coalesce(v.client_version, observers.client_version), \
                 radio = coalesce(v.radio, observers.radio), \
                 can_relay = coalesce(v.can_relay, observers.can_relay), \
                 can_relay_seen = CASE WHEN v.can_relay IS NULL THEN can_relay_seen ELSE 1 END, \
                 battery_mv = coalesce(v.battery_mv, observers.battery_mv), \
                 uptime_secs = coalesce(v.uptime_secs, observers.uptime_secs), \
                 noise_floor = coalesce(v.noise_floor, observers.noise_floor) \
                 FROM v WHERE observers.rowid = v.idx",
            ),
            revive_nodes: RowsStatement::new(
                "bring inactive nodes back",
                "INSERT INTO nodes SELECT * FROM inactive_nodes WHERE public_key IN (VALUES",
                1,
                ") ON CONFLICT DO NOTHING",
            ),
            forget_inactive_nodes: RowsStatement::new(
                "bring inactive nodes back",
                "DELETE FROM inactive_nodes WHERE public_key IN (VALUES",
                1,
                ")",
            ),
            upsert_nodes: RowsStatement::new(
                "store nodes",
                "INSERT INTO nodes(public_key, name, role, lat, lon, last_seen, first_seen, advert_count, \
                 default_scope, advert_timestamp, foreign_advert) VALUES",
                11,
                // What it says counts by its own clock, as in the firmware; that it was heard counts always: a
                // node whose clock was set back is alive.
                "ON CONFLICT(public_key) DO UPDATE SET \
                 name = iif(excluded.advert_timestamp >= coalesce(advert_timestamp, 0), \
                 coalesce(excluded.name, name), name), \
                 role = iif(excluded.advert_timestamp >= coalesce(advert_timestamp, 0), excluded.role, role), \
                 lat = iif(excluded.advert_timestamp >= coalesce(advert_timestamp, 0), \
                 coalesce(excluded.lat, lat), lat), \
                 lon = iif(excluded.advert_timestamp >= coalesce(advert_timestamp, 0), \
                 coalesce(excluded.lon, lon), lon), \
                 default_scope = iif(excluded.advert_timestamp >= coalesce(advert_timestamp, 0), \
                 coalesce(excluded.default_scope, default_scope), default_scope), \
                 foreign_advert = iif(excluded.advert_timestamp >= coalesce(advert_timestamp, 0), \
                 excluded.foreign_advert, foreign_advert), \
                 advert_timestamp = max(coalesce(advert_timestamp, 0), excluded.advert_timestamp), \
                 first_seen = min(coalesce(first_seen, excluded.first_seen), excluded.first_seen), \
                 last_seen = max(coalesce(last_seen, ''), excluded.last_seen), \
                 advert_count = advert_count + excluded.advert_count",
            ),
            count_hourly: RowsStatement::new(
                "count by the hour",
                "INSERT INTO observation_counts_hourly(hour, observer_idx, payload_type, observations, \
                 transmissions) VALUES",
                5,
                "ON CONFLICT DO UPDATE SET observations = observations + excluded.observations, \
                 transmissions = transmissions + excluded.transmissions",
            ),
            sample_metrics: RowsStatement::new(
                "store samples of observers",
                "WITH v(idx, at, noise_floor, tx_air_secs, rx_air_secs, recv_errors, battery_mv, packets_sent, \
                 packets_recv) AS (VALUES",
                9,
                ") INSERT OR REPLACE INTO observer_metrics(observer_id, timestamp, noise_floor, tx_air_secs, \
                 rx_air_secs, recv_errors, battery_mv, packets_sent, packets_recv) \
                 SELECT observers.id, v.at, v.noise_floor, v.tx_air_secs, v.rx_air_secs, v.recv_errors, \
                 v.battery_mv, v.packets_sent, v.packets_recv FROM v JOIN observers ON observers.rowid = v.idx",
            ),
            insert_dropped: RowsStatement::new(
                "store dead letters",
                "INSERT INTO dropped_packets(hash, raw_hex, reason, observer_id, observer_name) VALUES",
                5,
                "",
            ),
            insert_client_receptions: RowsStatement::new(
                "store receptions of mobile receivers",
                "INSERT INTO client_receptions(rx_pubkey, heard_key, heard_keylen, rssi, snr, lat, lon, \
                 pos_acc_m, rx_at, ingested_at, src) VALUES",
                11,
                "ON CONFLICT DO NOTHING",
            ),
            touch_client_observers: RowsStatement::new(
                "store mobile receivers",
                "INSERT INTO client_observers(pubkey, last_seen) VALUES",
                2,
                "ON CONFLICT DO UPDATE SET last_seen = max(coalesce(last_seen, ''), excluded.last_seen)",
            ),
            upsert_neighbors: RowsStatement::new(
                "store neighbours",
                "INSERT INTO neighbor_edges(node_a, node_b, last_seen) VALUES",
                3,
                "ON CONFLICT DO UPDATE SET count = count + 1, last_seen = excluded.last_seen \
                 WHERE excluded.last_seen > coalesce(last_seen, '')",
            ),
        }
    }
}
