//! Databases as CoreScope leaves them: in the state of any of its migrations, in any journal mode, closed or
//! crashed. Written from the documented shape; the rows are made up, the same for equal options.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

/// All tables, columns and indexes.
const TABLES: &str = include_str!("corescope.sql");

/// What each of CoreScope's migrations brought, as the statements that take it away again.
pub const CORESCOPE_MIGRATIONS: [(&str, &str); 22] = [
    ("advert_count_unique_v1", ""),
    ("noise_floor_real_v1", NOISE_FLOOR_IS_INTEGER),
    (
        "node_telemetry_v1",
        "ALTER TABLE nodes DROP COLUMN battery_mv; ALTER TABLE nodes DROP COLUMN temperature_c; \
         ALTER TABLE inactive_nodes DROP COLUMN battery_mv; \
         ALTER TABLE inactive_nodes DROP COLUMN temperature_c",
    ),
    ("obs_timestamp_index_v1", "DROP INDEX idx_obs_ts"),
    (
        "observer_metrics_v1",
        "DROP TABLE observer_metrics; DROP TABLE client_receptions; DROP TABLE client_observers; \
         DROP TABLE neighbor_edges",
    ),
    (
        "observer_metrics_ts_idx",
        "DROP INDEX IF EXISTS idx_metrics_ts",
    ),
    (
        "observers_inactive_v1",
        "ALTER TABLE observers DROP COLUMN inactive; ALTER TABLE observers DROP COLUMN can_relay; \
         ALTER TABLE observers DROP COLUMN can_relay_seen",
    ),
    ("observer_metrics_packets_v1", ""),
    (
        "channel_hash_v1",
        "DROP INDEX idx_tx_channel; ALTER TABLE transmissions DROP COLUMN channel_hash",
    ),
    ("dropped_packets_v1", "DROP TABLE dropped_packets"),
    (
        "observers_last_packet_at_v1",
        "ALTER TABLE observers DROP COLUMN last_packet_at",
    ),
    (
        "observers_clock_naive_v1",
        "ALTER TABLE observers DROP COLUMN clock_skew_seconds; \
         ALTER TABLE observers DROP COLUMN clock_skew_count_24h; \
         ALTER TABLE observers DROP COLUMN clock_last_naive_at",
    ),
    ("cleanup_legacy_null_hash_ts", ""),
    (
        "foreign_advert_v1",
        "DROP INDEX idx_nodes_foreign; ALTER TABLE nodes DROP COLUMN foreign_advert; \
         ALTER TABLE inactive_nodes DROP COLUMN foreign_advert",
    ),
    (
        "from_pubkey_v1",
        "DROP INDEX idx_tx_from_pubkey; ALTER TABLE transmissions DROP COLUMN from_pubkey",
    ),
    ("channel_hash_casing_v1", ""),
    (
        "scope_name_v1",
        "DROP INDEX idx_tx_scope; ALTER TABLE transmissions DROP COLUMN scope_name",
    ),
    // Only one of the two tables: the order of columns differs from then on.
    (
        "nodes_default_scope_v1",
        "ALTER TABLE inactive_nodes DROP COLUMN default_scope",
    ),
    (
        "observations_raw_hex_v1",
        "ALTER TABLE observations DROP COLUMN raw_hex; ALTER TABLE observations DROP COLUMN resolved_path",
    ),
    ("obs_observer_ts_idx_v1", "DROP INDEX idx_obs_observer_ts"),
    ("backfill_path_json_from_raw_hex_v1", ""),
    ("backfill_default_scope_v1", ""),
];

const NOISE_FLOOR_IS_INTEGER: &str = "ALTER TABLE observers DROP COLUMN noise_floor; \
    ALTER TABLE observers ADD COLUMN noise_floor INTEGER";

/// Observations before they pointed at the observer's row.
const OBSERVER_BY_NAME: &str = "DROP TABLE observations; \
    CREATE TABLE observations ( \
      id INTEGER PRIMARY KEY AUTOINCREMENT, transmission_id INTEGER NOT NULL REFERENCES transmissions(id), \
      observer_id TEXT, observer_name TEXT, direction TEXT, snr REAL, rssi REAL, score INTEGER, path_json TEXT, \
      timestamp INTEGER NOT NULL, raw_hex TEXT); \
    CREATE INDEX idx_obs_tx ON observations(transmission_id); \
    CREATE UNIQUE INDEX idx_obs_unique ON observations(transmission_id, observer_id, COALESCE(path_json, ''))";

const VIEW: &str = "CREATE VIEW packets_v AS SELECT o.id, COALESCE(o.raw_hex, t.raw_hex) AS raw_hex, \
    datetime(o.timestamp, 'unixepoch') AS timestamp, w.id AS observer_id, w.name AS observer_name, o.direction, \
    o.snr, o.rssi, o.score, t.hash, t.route_type, t.payload_type, t.payload_version, o.path_json, \
    t.decoded_json, t.created_at FROM observations o JOIN transmissions t ON t.id = o.transmission_id \
    LEFT JOIN observers w ON w.rowid = o.observer_idx AND (w.inactive IS NULL OR w.inactive = 0)";

/// How the last program on the file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreScopeEnd {
    /// It closed the file.
    Closed,
    /// It was killed after its last commit: in WAL mode `-wal` and `-shm` are there, with the last tenth of the
    /// observations in them only.
    Killed,
    /// It was killed in a transaction that had begun to change the main file; only in a rollback journal mode.
    KilledInTransaction,
}

/// A table's name, how many rows it gets, and its columns as expressions.
type TableRows = (&'static str, u32, Vec<(&'static str, String)>);

/// What the file shall be.
#[derive(Debug, Clone)]
pub struct CoreScopeOptions {
    /// Packets.
    pub transmissions: u32,
    /// Observations of each packet.
    pub observations_each: u32,
    /// Observers; the last two have ids that differ in case only.
    pub observers: u32,
    /// Nodes.
    pub nodes: u32,
    /// Migrations that were not made, by name, with what they stand for.
    pub missing: Vec<&'static str>,
    /// Whether observations name their observer by id, as in the older shape.
    pub observer_by_name: bool,
    /// The journal mode: `wal`, `delete`, `truncate` or `persist`.
    pub journal: &'static str,
    /// How it ended.
    pub end: CoreScopeEnd,
    /// Statements to run at the end, for what else a test is about.
    pub then: &'static str,
}

impl Default for CoreScopeOptions {
    fn default() -> Self {
        Self {
            transmissions: 200,
            observations_each: 10,
            observers: 12,
            nodes: 20,
            missing: Vec::new(),
            observer_by_name: false,
            journal: "wal",
            end: CoreScopeEnd::Closed,
            then: "",
        }
    }
}

impl CoreScopeOptions {
    /// Makes the file at `path`, which must not exist.
    ///
    /// # Panics
    /// When SQLite refuses something: the options don't fit each other.
    pub async fn build(&self, path: &Path) {
        let work = tempfile::tempdir().expect("a temporary folder");
        let at = match self.end {
            CoreScopeEnd::Closed => path.to_owned(),
            _ => work.path().join("work.db"),
        };
        let mut db = SqliteConnectOptions::new()
            .filename(&at)
            .create_if_missing(true)
            .foreign_keys(false)
            .disable_statement_logging()
            .connect()
            .await
            .expect("a new database");
        self.make_tables(&mut db).await;
        self.fill(&mut db).await;
        run(&mut db, self.then).await;
        // As CoreScope does at each start.
        let view = if self.observer_by_name {
            VIEW.replace("w.id AS", "o.observer_id AS")
                .replace("w.name AS", "o.observer_name AS")
                .split(" LEFT JOIN")
                .next()
                .map(str::to_owned)
        } else if self.missing.contains(&"observers_inactive_v1") {
            None
        } else {
            Some(VIEW.to_owned())
        };
        let view = view.map(|text| {
            if self.missing.contains(&"observations_raw_hex_v1") {
                text.replace("COALESCE(o.raw_hex, t.raw_hex)", "t.raw_hex")
            } else {
                text
            }
        });
        run(&mut db, &view.unwrap_or_default()).await;
        match self.end {
            CoreScopeEnd::Closed => {}
            CoreScopeEnd::Killed => {
                run(
                    &mut db,
                    "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0",
                )
                .await;
                run(&mut db, SOME_MORE).await;
                copy(&at, path);
            }
            CoreScopeEnd::KilledInTransaction => {
                assert_ne!(
                    self.journal, "wal",
                    "a WAL never changes the main file in a transaction"
                );
                // So small a cache spills changed pages into the main file before the commit.
                run(&mut db, "PRAGMA cache_size = 8; BEGIN").await;
                run(
                    &mut db,
                    "UPDATE observations SET snr = 99; UPDATE transmissions SET raw_hex = 'lost'",
                )
                .await;
                spill(&mut db, &at).await;
                copy(&at, path);
                run(&mut db, "ROLLBACK").await;
            }
        }
        db.close().await.expect("the database closes");
    }

    async fn make_tables(&self, db: &mut SqliteConnection) {
        run(db, "PRAGMA auto_vacuum = NONE").await;
        run(db, &format!("PRAGMA journal_mode = {}", self.journal)).await;
        run(db, TABLES).await;
        if self.observer_by_name {
            run(db, OBSERVER_BY_NAME).await;
        }
        for (name, undo) in CORESCOPE_MIGRATIONS {
            if !self.missing.contains(&name) {
                run(db, &format!("INSERT INTO _migrations VALUES ('{name}')")).await;
            } else if !(self.observer_by_name && undo.contains("obs")) {
                run(db, undo).await;
            }
        }
        let unknown = self
            .missing
            .iter()
            .find(|name| !CORESCOPE_MIGRATIONS.iter().any(|(known, _)| known == *name));
        assert_eq!(unknown, None, "no such migration");
    }

    async fn fill(&self, db: &mut SqliteConnection) {
        for (table, rows, columns) in self.rows() {
            insert(db, table, rows, &columns).await;
        }
        // Times that were filled in the background.
        run(
            db,
            "UPDATE transmissions SET last_seen = coalesce((SELECT max(timestamp) FROM observations \
             WHERE transmission_id = transmissions.id), 0)",
        )
        .await;
    }

    /// The rows of each table, as expressions over their number `n`.
    fn rows(&self) -> Vec<TableRows> {
        let Self {
            transmissions,
            observations_each: each,
            observers,
            nodes,
            ..
        } = *self;
        let pairs = |list: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
            let fill = |text: &str| {
                text.replace("{each}", &each.to_string())
                    .replace("{observers}", &observers.to_string())
                    .replace("{nodes}", &nodes.to_string())
                    .replace("{transmissions}", &transmissions.to_string())
                    .replace("{hash}", "((n * 2654435761 + 97) % 4294967296)")
                    .replace("{key}", "printf('%064x', (n * 2654435761) % 4294967296)")
                    .replace("{kind}", "substr('4552548395', n % 10 + 1, 1) + 0")
                    .replace("{base}", "1780000000")
            };
            list.iter()
                .map(|(name, text)| (*name, fill(text)))
                .collect()
        };
        vec![
            ("nodes", nodes, pairs(&NODE_COLUMNS)),
            ("inactive_nodes", nodes / 4, pairs(&INACTIVE_NODE_COLUMNS)),
            ("observers", observers, pairs(&OBSERVER_COLUMNS)),
            ("transmissions", transmissions, pairs(&TRANSMISSION_COLUMNS)),
            (
                "observations",
                transmissions * each,
                pairs(&OBSERVATION_COLUMNS),
            ),
            ("neighbor_edges", nodes, pairs(&EDGE_COLUMNS)),
            ("observer_metrics", observers * 10, pairs(&METRIC_COLUMNS)),
            ("dropped_packets", 7, pairs(&DROPPED_COLUMNS)),
            ("client_receptions", 9, pairs(&CLIENT_COLUMNS)),
            ("client_observers", 3, pairs(&CLIENT_OBSERVER_COLUMNS)),
            ("_async_migrations", 2, pairs(&ASYNC_COLUMNS)),
        ]
    }
}

const NODE_COLUMNS: [(&str, &str); 13] = [
    ("public_key", "{key}"),
    ("name", "'Node ' || n"),
    ("role", "iif(n % 3, 'repeater', 'companion')"),
    ("lat", "52.0 + n * 0.01"),
    ("lon", "13.0 + n * 0.01"),
    (
        "last_seen",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base} + n * 60, 'unixepoch')",
    ),
    (
        "first_seen",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base}, 'unixepoch')",
    ),
    ("advert_count", "n"),
    ("battery_mv", "iif(n % 5, NULL, 3900)"),
    ("temperature_c", "iif(n % 5, NULL, 21.5)"),
    ("foreign_advert", "n % 7 = 0"),
    ("default_scope", "iif(n % 4, NULL, '#berlin')"),
    ("multibyte_sup", "n % 2"),
];
const INACTIVE_NODE_COLUMNS: [(&str, &str); 7] = [
    ("public_key", "printf('%064x', n)"),
    ("name", "'Gone ' || n"),
    ("role", "'repeater'"),
    ("last_seen", "'2025-01-01T00:00:00Z'"),
    ("first_seen", "'2024-01-01T00:00:00Z'"),
    ("default_scope", "'#old'"),
    ("multibyte_evidence", "'seen'"),
];
const OBSERVER_COLUMNS: [(&str, &str); 16] = [
    // The last one is the one before it in lower case.
    (
        "id",
        "iif(n = {observers}, printf('AB%062x', n - 1), printf('AB%062X', n))",
    ),
    ("name", "'Observer ' || n"),
    ("iata", "iif(n % 2, 'BER', 'SJC')"),
    (
        "last_seen",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base} + 86400, 'unixepoch')",
    ),
    (
        "first_seen",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base}, 'unixepoch')",
    ),
    ("packet_count", "n * 100"),
    ("model", "'T-Beam'"),
    ("firmware", "'1.9.0'"),
    ("radio", "'869.6,62.5,8,5'"),
    ("noise_floor", "-100 - n"),
    ("inactive", "n % 9 = 0"),
    (
        "last_packet_at",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base} + 86400, 'unixepoch')",
    ),
    ("clock_skew_seconds", "iif(n % 3, NULL, n)"),
    ("clock_skew_count_24h", "0"),
    ("can_relay", "1"),
    ("can_relay_seen", "n % 2"),
];
const TRANSMISSION_COLUMNS: [(&str, &str); 13] = [
    // A gap, as deleting leaves one.
    ("id", "n + iif(n > {transmissions} / 2, 1000, 0)"),
    ("raw_hex", "printf('1502AABB%08X%064X', {hash}, n)"),
    ("hash", "printf('%08x%08x', {hash}, n)"),
    (
        "first_seen",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base} + n * 86400 / {transmissions}, 'unixepoch')",
    ),
    ("route_type", "n % 4"),
    ("payload_type", "{kind}"),
    ("payload_version", "0"),
    (
        "decoded_json",
        "CASE {kind} WHEN 4 THEN json_object('type', 'ADVERT', 'pubKey', printf('%064x', (1 + n % {nodes}) * 2654435761 % 4294967296), 'name', 'Node') \
         WHEN 5 THEN iif(n % 3, json_object('type', 'CHAN', 'channel', '#test', 'channelHashHex', 'd9', 'text', 'Hello ' || n), \
         json_object('type', 'GRP_TXT', 'channelHashHex', 'a' || (n % 10), 'decryptionStatus', 'no_key')) \
         WHEN 3 THEN 'not JSON' WHEN 9 THEN NULL ELSE json_object('type', 'TXT_MSG', 'destHash', '0A', 'srcHash', '0B') END",
    ),
    (
        "from_pubkey",
        "iif({kind} = 4, printf('%064x', (1 + n % {nodes}) * 2654435761 % 4294967296), NULL)",
    ),
    ("last_seen", "0"),
    (
        "created_at",
        "strftime('%Y-%m-%d %H:%M:%S', {base} + n * 86400 / {transmissions}, 'unixepoch')",
    ),
    (
        "channel_hash",
        "iif({kind} = 5, iif(n % 3, '#test', 'enc_A' || (n % 10)), NULL)",
    ),
    (
        "scope_name",
        "CASE n % 5 WHEN 0 THEN '#berlin' WHEN 1 THEN '' END",
    ),
];
const OBSERVATION_COLUMNS: [(&str, &str); 13] = [
    // Some come late: they belong to the packet before.
    (
        "transmission_id",
        "max(1, (n - 1) / {each} + iif(n % 17, 1, 0)) + iif(max(1, (n - 1) / {each} + iif(n % 17, 1, 0)) > {transmissions} / 2, 1000, 0)",
    ),
    (
        "observer_idx",
        "iif(n % 50, 1 + {hash} % {observers}, NULL)",
    ),
    (
        "observer_id",
        "iif(n % 50, iif(n % 40, printf('AB%062X', 1 + {hash} % ({observers} - 2)), 'unknown ' || (n % 400)), NULL)",
    ),
    ("observer_name", "'Observer ' || ({hash} % {observers})"),
    ("direction", "'rx'"),
    ("snr", "({hash} % 80) / 4.0 - 10"),
    ("rssi", "-60 - {hash} % 60"),
    ("score", "{hash} % 1000"),
    (
        "path_json",
        "CASE WHEN n % 97 = 0 THEN NULL WHEN n % 11 = 0 THEN '[]' ELSE printf('[\"%02X\",\"%02X\"]', {hash} % 256, n % 256) END",
    ),
    (
        "timestamp",
        "{base} + n * 86400 / ({transmissions} * {each}) + n % 7",
    ),
    ("resolved_path", "iif(n % 4, NULL, '[null]')"),
    (
        "raw_hex",
        "iif(n % 3, NULL, printf('1502AABB%08X', {hash}))",
    ),
    ("id", "n + iif(n > {transmissions} * {each} / 3, 5000, 0)"),
];
const EDGE_COLUMNS: [(&str, &str); 4] = [
    ("node_a", "printf('%064x', n)"),
    ("node_b", "printf('%064x', n + 1)"),
    ("count", "n"),
    (
        "last_seen",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base}, 'unixepoch')",
    ),
];
const METRIC_COLUMNS: [(&str, &str); 6] = [
    ("observer_id", "printf('AB%062X', 1 + n % {observers})"),
    (
        "timestamp",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base} + n / {observers} * 300, 'unixepoch')",
    ),
    ("noise_floor", "-100.5"),
    ("battery_mv", "4000"),
    ("packets_sent", "n"),
    ("packets_recv", "n * 2"),
];
const DROPPED_COLUMNS: [(&str, &str); 4] = [
    ("hash", "printf('%016x', n)"),
    ("raw_hex", "'1100'"),
    ("reason", "'invalid signature'"),
    ("observer_id", "printf('AB%062X', n)"),
];
const CLIENT_COLUMNS: [(&str, &str); 10] = [
    ("rx_pubkey", "printf('%064x', n % 3)"),
    ("heard_key", "printf('%04x', n)"),
    ("heard_keylen", "2"),
    ("rssi", "-90"),
    ("snr", "1.5"),
    ("lat", "52.5"),
    ("lon", "13.4"),
    (
        "rx_at",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base} + n, 'unixepoch')",
    ),
    (
        "ingested_at",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {base} + n, 'unixepoch')",
    ),
    ("src", "'rxlog'"),
];
const CLIENT_OBSERVER_COLUMNS: [(&str, &str); 3] = [
    ("pubkey", "printf('%064x', n)"),
    ("name", "'Phone ' || n"),
    ("last_seen", "'2026-05-01T00:00:00Z'"),
];
const ASYNC_COLUMNS: [(&str, &str); 4] = [
    (
        "name",
        "iif(n = 1, 'obs_observer_ts_idx_v1', 'tx_last_seen_backfill_v1')",
    ),
    ("status", "'done'"),
    ("started_at", "'2026-05-01T00:00:00Z'"),
    ("ended_at", "'2026-05-01T00:00:05Z'"),
];
/// The last commit before a kill: a tenth more observations.
const SOME_MORE: &str = "INSERT INTO observations(transmission_id, direction, path_json, timestamp) \
    SELECT transmission_id, 'rx', '[\"FF\",\"' || id || '\"]', timestamp + 1 FROM observations WHERE id % 10 = 0";

/// Inserts rows 1 to `rows`, with those of `columns` that the table has.
async fn insert(db: &mut SqliteConnection, table: &str, rows: u32, columns: &[(&str, String)]) {
    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
    let known: Vec<String> = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(&mut *db)
        .await
        .expect("the columns")
        .iter()
        .map(|row| row.get(0))
        .collect();
    if known.is_empty() {
        return;
    }
    let used = columns
        .iter()
        .filter(|(name, _)| known.iter().any(|k| k == name));
    let (names, values): (Vec<&str>, Vec<&str>) =
        used.map(|(name, value)| (*name, value.as_str())).unzip();
    let sql = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows}) \
         INSERT OR IGNORE INTO {table}({}) SELECT {} FROM numbers WHERE {rows} > 0",
        names.join(", "),
        values.join(", ")
    );
    run(db, &sql).await;
}

async fn run(db: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(db)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Makes the transaction so large that SQLite must write changed pages into the main file before the commit. How
/// much that takes depends on the caches of all connections of the process: they share their room.
async fn spill(db: &mut SqliteConnection, main: &Path) {
    let bytes = || std::fs::metadata(main).map_or(0, |m| m.len());
    let before = bytes();
    for _ in 0..200 {
        if bytes() > before {
            return;
        }
        run(
            db,
            "INSERT INTO dropped_packets(reason) SELECT hex(zeroblob(500000)) FROM observers LIMIT 4",
        )
        .await;
    }
    panic!("nothing was written before the commit");
}

/// Copies a database with what stands beside it, as a crash would leave it.
fn copy(from: &Path, to: &Path) {
    for part in ["", "-wal", "-shm", "-journal"] {
        let source = with_suffix(from, part);
        if source.exists() {
            std::fs::copy(&source, with_suffix(to, part)).expect("a copy");
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
