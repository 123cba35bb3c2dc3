-- CoreScope's tables after all of its migrations, written from the documented shape.

CREATE TABLE nodes (
  public_key TEXT PRIMARY KEY, name TEXT, role TEXT, lat REAL, lon REAL, last_seen TEXT, first_seen TEXT,
  advert_count INTEGER DEFAULT 0, battery_mv INTEGER, temperature_c REAL, foreign_advert INTEGER DEFAULT 0,
  default_scope TEXT, multibyte_sup INTEGER NOT NULL DEFAULT 0, multibyte_evidence TEXT
);
CREATE INDEX idx_nodes_last_seen ON nodes(last_seen);
CREATE INDEX idx_nodes_foreign ON nodes(foreign_advert) WHERE foreign_advert = 1;
CREATE TABLE inactive_nodes (
  public_key TEXT PRIMARY KEY, name TEXT, role TEXT, lat REAL, lon REAL, last_seen TEXT, first_seen TEXT,
  advert_count INTEGER DEFAULT 0, battery_mv INTEGER, temperature_c REAL, foreign_advert INTEGER DEFAULT 0,
  default_scope TEXT, multibyte_sup INTEGER NOT NULL DEFAULT 0, multibyte_evidence TEXT
);
CREATE INDEX idx_inactive_last_seen ON inactive_nodes(last_seen);
CREATE TABLE observers (
  id TEXT PRIMARY KEY, name TEXT, iata TEXT, last_seen TEXT, first_seen TEXT, packet_count INTEGER DEFAULT 0,
  model TEXT, firmware TEXT, client_version TEXT, radio TEXT, battery_mv INTEGER, uptime_secs INTEGER,
  noise_floor REAL, inactive INTEGER DEFAULT 0, last_packet_at TEXT, clock_skew_seconds INTEGER,
  clock_skew_count_24h INTEGER DEFAULT 0, clock_last_naive_at TEXT, can_relay INTEGER DEFAULT 1,
  can_relay_seen INTEGER DEFAULT 0
);
CREATE INDEX idx_observers_last_seen ON observers(last_seen);
CREATE TABLE transmissions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, raw_hex TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
  first_seen TEXT NOT NULL, route_type INTEGER, payload_type INTEGER, payload_version INTEGER,
  decoded_json TEXT, from_pubkey TEXT, last_seen INTEGER NOT NULL DEFAULT 0,
  created_at TEXT DEFAULT (datetime('now')), channel_hash TEXT, scope_name TEXT
);
CREATE INDEX idx_tx_hash ON transmissions(hash);
CREATE INDEX idx_tx_first_seen ON transmissions(first_seen);
CREATE INDEX idx_tx_payload_type ON transmissions(payload_type);
CREATE INDEX idx_tx_from_pubkey ON transmissions(from_pubkey);
CREATE INDEX idx_tx_channel ON transmissions(channel_hash) WHERE payload_type = 5;
CREATE INDEX idx_tx_scope ON transmissions(scope_name) WHERE scope_name IS NOT NULL;
CREATE INDEX idx_tx_unseen ON transmissions(id) WHERE last_seen = 0;
CREATE TABLE observations (
  id INTEGER PRIMARY KEY AUTOINCREMENT, transmission_id INTEGER NOT NULL REFERENCES transmissions(id),
  observer_idx INTEGER, direction TEXT, snr REAL, rssi REAL, score INTEGER, path_json TEXT,
  timestamp INTEGER NOT NULL, resolved_path TEXT, raw_hex TEXT
);
CREATE INDEX idx_obs_tx ON observations(transmission_id);
CREATE INDEX idx_obs_observer ON observations(observer_idx);
CREATE INDEX idx_obs_ts ON observations(timestamp);
CREATE INDEX idx_obs_tx_ts ON observations(transmission_id, timestamp);
CREATE INDEX idx_obs_observer_ts ON observations(observer_idx, timestamp);
CREATE UNIQUE INDEX idx_obs_unique ON observations(transmission_id, observer_idx, COALESCE(path_json, ''));
CREATE TABLE neighbor_edges (
  node_a TEXT, node_b TEXT, count INTEGER DEFAULT 1, last_seen TEXT, PRIMARY KEY (node_a, node_b)
);
CREATE TABLE observer_metrics (
  observer_id TEXT, timestamp TEXT, noise_floor REAL, tx_air_secs INTEGER, rx_air_secs INTEGER,
  recv_errors INTEGER, battery_mv INTEGER, packets_sent INTEGER, packets_recv INTEGER,
  PRIMARY KEY (observer_id, timestamp)
);
CREATE INDEX idx_metrics_ts ON observer_metrics(timestamp);
CREATE TABLE dropped_packets (
  id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT, raw_hex TEXT, reason TEXT NOT NULL, observer_id TEXT,
  observer_name TEXT, node_pubkey TEXT, node_name TEXT, dropped_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_dropped_observer ON dropped_packets(observer_id);
CREATE INDEX idx_dropped_node ON dropped_packets(node_pubkey);
CREATE TABLE client_receptions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, rx_pubkey TEXT NOT NULL, heard_key TEXT NOT NULL,
  heard_keylen INTEGER NOT NULL, rssi INTEGER, snr REAL, lat REAL NOT NULL, lon REAL NOT NULL, pos_acc_m REAL,
  rx_at TEXT NOT NULL, ingested_at TEXT NOT NULL, src TEXT NOT NULL, UNIQUE (rx_pubkey, heard_key, rx_at)
);
CREATE INDEX idx_client_heard ON client_receptions(heard_key, heard_keylen, lat, lon);
CREATE INDEX idx_client_place ON client_receptions(lat, lon);
CREATE INDEX idx_client_rx_at ON client_receptions(rx_at);
CREATE TABLE client_observers (pubkey TEXT PRIMARY KEY, name TEXT, last_seen TEXT);
CREATE TABLE _migrations (name TEXT PRIMARY KEY);
CREATE TABLE _async_migrations (
  name TEXT PRIMARY KEY, status TEXT, started_at TEXT, ended_at TEXT, error TEXT
);
