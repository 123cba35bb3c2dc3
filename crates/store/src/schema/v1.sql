-- Schema version 1: CoreScope's v3 tables and columns, with our additive columns and tables marked.
-- Column order matters in nodes and inactive_nodes: CoreScope moves rows between them with SELECT *.

CREATE TABLE nodes (
  public_key TEXT PRIMARY KEY,
  name TEXT, role TEXT, lat REAL, lon REAL,
  last_seen TEXT, first_seen TEXT,
  advert_count INTEGER DEFAULT 0,
  battery_mv INTEGER, temperature_c REAL,
  foreign_advert INTEGER DEFAULT 0,
  default_scope TEXT,
  multibyte_sup INTEGER NOT NULL DEFAULT 0,
  multibyte_evidence TEXT,
  advert_timestamp INTEGER            -- ours: the newest advert's own clock, unix seconds
);
CREATE INDEX idx_nodes_last_seen ON nodes(last_seen);

CREATE TABLE inactive_nodes (
  public_key TEXT PRIMARY KEY,
  name TEXT, role TEXT, lat REAL, lon REAL,
  last_seen TEXT, first_seen TEXT,
  advert_count INTEGER DEFAULT 0,
  battery_mv INTEGER, temperature_c REAL,
  foreign_advert INTEGER DEFAULT 0,
  default_scope TEXT,
  multibyte_sup INTEGER NOT NULL DEFAULT 0,
  multibyte_evidence TEXT,
  advert_timestamp INTEGER            -- ours
);
CREATE INDEX idx_inactive_nodes_last_seen ON inactive_nodes(last_seen);

CREATE TABLE observers (
  id TEXT PRIMARY KEY,
  name TEXT, iata TEXT,
  last_seen TEXT, first_seen TEXT,
  packet_count INTEGER DEFAULT 0,
  model TEXT, firmware TEXT, client_version TEXT, radio TEXT,
  battery_mv INTEGER, uptime_secs INTEGER, noise_floor REAL,
  inactive INTEGER DEFAULT 0,
  last_packet_at TEXT,
  clock_skew_seconds INTEGER,
  clock_skew_count_24h INTEGER DEFAULT 0,
  clock_last_naive_at TEXT,
  can_relay INTEGER DEFAULT 1,
  can_relay_seen INTEGER DEFAULT 0,
  online INTEGER                      -- ours: the last status said online (1) or offline (0)
);
CREATE INDEX idx_observers_last_seen ON observers(last_seen);

CREATE TABLE transmissions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  raw_hex TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  first_seen TEXT NOT NULL,
  route_type INTEGER, payload_type INTEGER, payload_version INTEGER,
  decoded_json TEXT,
  from_pubkey TEXT,
  last_seen INTEGER NOT NULL DEFAULT 0,
  created_at TEXT DEFAULT (datetime('now')),
  channel_hash TEXT,
  scope_name TEXT,
  observation_count INTEGER NOT NULL DEFAULT 0   -- ours: kept in the transaction that adds the observations
);
CREATE INDEX idx_transmissions_first_seen ON transmissions(first_seen);
CREATE INDEX idx_transmissions_from_pubkey ON transmissions(from_pubkey) WHERE from_pubkey IS NOT NULL;
CREATE INDEX idx_transmissions_channel_hash ON transmissions(channel_hash) WHERE payload_type = 5;

CREATE TABLE observations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  transmission_id INTEGER NOT NULL REFERENCES transmissions(id),
  observer_idx INTEGER,
  direction TEXT,
  snr REAL, rssi REAL, score INTEGER,
  path_json TEXT,
  timestamp INTEGER NOT NULL,
  resolved_path TEXT,
  raw_hex TEXT,                       -- only where it can't be rebuilt from the transmission and path_json
  arrived_at INTEGER,                 -- ours: when the ingestor received it, unix milliseconds
  feeder_time INTEGER,                -- ours: the feeder's own time stamp, unix milliseconds
  time_source INTEGER,                -- ours: where `timestamp` is from: 0 arrival, 1 feeder, 2 arrival of a backlog
  duration_ms INTEGER                 -- ours: airtime as the feeder reported it
);
CREATE UNIQUE INDEX idx_observations_dedup ON observations(transmission_id, observer_idx, COALESCE(path_json,''));
CREATE INDEX idx_observations_observer_timestamp ON observations(observer_idx, timestamp);

CREATE TABLE neighbor_edges (
  node_a TEXT, node_b TEXT, count INTEGER DEFAULT 1, last_seen TEXT,
  PRIMARY KEY (node_a, node_b)
);

CREATE TABLE observer_metrics (
  observer_id TEXT, timestamp TEXT,
  noise_floor REAL, tx_air_secs INTEGER, rx_air_secs INTEGER, recv_errors INTEGER,
  battery_mv INTEGER, packets_sent INTEGER, packets_recv INTEGER,
  PRIMARY KEY (observer_id, timestamp)
);
CREATE INDEX idx_observer_metrics_timestamp ON observer_metrics(timestamp);

CREATE TABLE dropped_packets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hash TEXT, raw_hex TEXT, reason TEXT NOT NULL,
  observer_id TEXT, observer_name TEXT, node_pubkey TEXT, node_name TEXT,
  dropped_at DATETIME DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE client_receptions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  rx_pubkey TEXT NOT NULL, heard_key TEXT NOT NULL, heard_keylen INTEGER NOT NULL,
  rssi INTEGER, snr REAL, lat REAL NOT NULL, lon REAL NOT NULL, pos_acc_m REAL,
  rx_at TEXT NOT NULL, ingested_at TEXT NOT NULL, src TEXT NOT NULL,
  UNIQUE (rx_pubkey, heard_key, rx_at)
);
CREATE INDEX idx_client_receptions_rx_at ON client_receptions(rx_at);

CREATE TABLE client_observers (pubkey TEXT PRIMARY KEY, name TEXT, last_seen TEXT);

CREATE TABLE _migrations (name TEXT PRIMARY KEY);
INSERT INTO _migrations(name) VALUES
  ('advert_count_unique_v1'),('noise_floor_real_v1'),('node_telemetry_v1'),('obs_timestamp_index_v1'),
  ('observer_metrics_v1'),('observer_metrics_ts_idx'),('observers_inactive_v1'),('observer_metrics_packets_v1'),
  ('channel_hash_v1'),('dropped_packets_v1'),('observers_last_packet_at_v1'),('observers_clock_naive_v1'),
  ('cleanup_legacy_null_hash_ts'),('foreign_advert_v1'),('from_pubkey_v1'),('channel_hash_casing_v1'),
  ('scope_name_v1'),('nodes_default_scope_v1'),('observations_raw_hex_v1'),('obs_observer_ts_idx_v1'),
  ('backfill_path_json_from_raw_hex_v1'),('backfill_default_scope_v1');
CREATE TABLE _async_migrations (
  name TEXT PRIMARY KEY, status TEXT, started_at TEXT, ended_at TEXT, error TEXT
);
INSERT INTO _async_migrations(name, status, started_at, ended_at) VALUES
  ('obs_observer_ts_idx_v1','done',datetime('now'),datetime('now')),
  ('tx_last_seen_backfill_v1','done',datetime('now'),datetime('now'));

CREATE VIEW packets_v AS
  SELECT o.id, COALESCE(o.raw_hex, t.raw_hex) AS raw_hex, datetime(o.timestamp,'unixepoch') AS timestamp,
         obs.id AS observer_id, obs.name AS observer_name, o.direction, o.snr, o.rssi, o.score, t.hash,
         t.route_type, t.payload_type, t.payload_version, o.path_json, t.decoded_json, t.created_at
  FROM observations o JOIN transmissions t ON t.id = o.transmission_id
  LEFT JOIN observers obs ON obs.rowid = o.observer_idx AND (obs.inactive IS NULL OR obs.inactive = 0);

-- Ours: hourly aggregates, kept in the transaction that adds the observations.
CREATE TABLE observation_counts_hourly (
  hour INTEGER NOT NULL,              -- unix seconds of the hour's start
  observer_idx INTEGER NOT NULL,
  payload_type INTEGER NOT NULL,
  observations INTEGER NOT NULL,
  transmissions INTEGER NOT NULL,     -- first heard by this observer in this hour
  PRIMARY KEY (hour, observer_idx, payload_type)
) WITHOUT ROWID;

-- Ours: one row with the totals and the fencing token; every write transaction updates it.
CREATE TABLE store_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  db_uuid TEXT NOT NULL,
  fencing_token TEXT NOT NULL,
  transmissions INTEGER NOT NULL DEFAULT 0,
  observations INTEGER NOT NULL DEFAULT 0,
  bad_signatures INTEGER NOT NULL DEFAULT 0,
  dropped INTEGER NOT NULL DEFAULT 0
);

-- Ours: one row for each process life; its commit is part of the start-up barrier.
CREATE TABLE ingest_sessions (
  id INTEGER PRIMARY KEY,
  started_at TEXT NOT NULL,
  version TEXT NOT NULL,
  previous_end TEXT NOT NULL          -- clean, unclean, io_error, new
);
