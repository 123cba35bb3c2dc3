//! How SQLite runs the queries: none may walk through the packets or the observations, or sort them.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use super::{nodes, observations, observers, packets, stats};

/// What the planner may believe of a file: nothing, or the sizes that `ANALYZE` found.
const STATISTICS: [&str; 3] = [
    "",
    "INSERT INTO sqlite_stat1 VALUES \
     ('transmissions', NULL, '100000'), ('observations', 'idx_observations_dedup', '1000000 10 1 1'), \
     ('observations', 'idx_observations_observer_timestamp', '1000000 12500 1'), \
     ('observers', 'idx_observers_last_seen', '80 1'), ('nodes', 'idx_nodes_last_seen', '1000 1')",
    "INSERT INTO sqlite_stat1 VALUES \
     ('transmissions', NULL, '3'), ('observations', 'idx_observations_dedup', '3 1 1 1'), \
     ('observations', 'idx_observations_observer_timestamp', '3 3 1'), \
     ('observers', 'idx_observers_last_seen', '10000 10000'), ('nodes', 'idx_nodes_last_seen', '50000 50000')",
];

/// The indexes of v3 that an adopted file has beside ours.
const ADOPTED: &str = "CREATE INDEX v3_1 ON transmissions(hash); \
     CREATE INDEX v3_2 ON transmissions(payload_type); \
     CREATE INDEX v3_3 ON transmissions(scope_name) WHERE scope_name IS NOT NULL; \
     CREATE INDEX v3_4 ON transmissions(id) WHERE last_seen = 0; \
     CREATE INDEX v3_5 ON observations(transmission_id); CREATE INDEX v3_6 ON observations(observer_idx); \
     CREATE INDEX v3_7 ON observations(timestamp); \
     CREATE INDEX v3_8 ON observations(transmission_id, timestamp); \
     CREATE INDEX v3_9 ON nodes(foreign_advert) WHERE foreign_advert = 1;";

async fn file(indexes: &'static str, statistics: &'static str) -> SqliteConnection {
    let mut db = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await
        .unwrap();
    let schema = include_str!("../schema/v1.sql");
    for sql in [schema, indexes, "ANALYZE", statistics] {
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    }
    // Statistics are read when a connection opens the file, or now.
    sqlx::raw_sql("ANALYZE sqlite_schema")
        .execute(&mut db)
        .await
        .unwrap();
    db
}

/// The steps of the plan of `sql`.
async fn plan(db: &mut SqliteConnection, sql: &str) -> Vec<String> {
    sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(db)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("detail"))
        .collect()
}

/// Whether a step reads all of the transmissions (`t`) or the observations (`o`), or makes an index or
/// a filter of a whole table for this one query.
fn is_walk(step: &str) -> bool {
    let mut words = step.split(' ');
    let is_big = |table: &str| ["t", "o", "transmissions", "observations"].contains(&table);
    match words.next() {
        Some("SCAN") => words.next().is_some_and(is_big),
        // BLOOM FILTER ON o: made of all its rows.
        Some("BLOOM") => words.nth(2).is_some_and(is_big),
        _ => step.contains("AUTOMATIC"),
    }
}

#[tokio::test]
async fn no_query_walks_through_packets_or_observations_or_sorts_them() {
    for (indexes, statistics) in ["", ADOPTED]
        .into_iter()
        .flat_map(|i| STATISTICS.map(|s| (i, s)))
    {
        let mut db = file(indexes, statistics).await;
        for (sql, sorts) in [
            (observations::AFTER, 0),
            (packets::PAGE, 0),
            // The ids of one packet's observations.
            (packets::ONE, 1),
            // Nodes and observers, of which there are few.
            (nodes::PAGE, 1),
            (nodes::COUNTS, 0),
            (observers::LIST, 1),
            (stats::TOTALS, 0),
        ] {
            let steps = plan(&mut db, sql).await;
            let walks: Vec<_> = steps.iter().filter(|step| is_walk(step)).collect();
            assert!(walks.is_empty(), "{walks:?} in {steps:#?}\nof {sql}");
            let sorted = steps.iter().filter(|s| s.contains("TEMP B-TREE")).count();
            // Receptions of the last hour are found by observer and time, not by observer alone.
            assert!(
                steps.iter().all(|s| !s.contains("(observer_idx=?)")),
                "{steps:#?}\nof {sql}"
            );
            assert!(sorted <= sorts, "{sorted} sorts in {steps:#?}\nof {sql}");
        }
    }
}

#[tokio::test]
async fn a_walk_is_recognised() {
    let mut db = file("", "").await;
    for sql in [
        "SELECT * FROM transmissions WHERE payload_type = 4",
        "SELECT count(*) FROM observations o",
        "SELECT * FROM nodes, observations o WHERE o.snr = nodes.lat",
    ] {
        let steps = plan(&mut db, sql).await;
        assert!(steps.iter().any(|step| is_walk(step)), "{steps:?}");
    }
}
