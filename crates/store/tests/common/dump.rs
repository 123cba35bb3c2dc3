//! All rows of a file, to compare it with itself at another time.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

/// The rows of one table: a text for each value, by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Every table by name.
pub(crate) type Dump = BTreeMap<String, Rows>;

/// Reads all tables but those of this life: sessions, tokens and times of jobs are new each time.
pub(crate) async fn dump(db: &mut SqliteConnection) -> Dump {
    let tables = texts(
        db,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'",
    )
    .await;
    let mut dump = Dump::new();
    for table in tables {
        if table == "ingest_sessions" || table == "store_jobs" {
            continue;
        }
        let columns = columns(db, &table).await;
        let kept: Vec<_> = columns
            .into_iter()
            .filter(|c| {
                !matches!(
                    c.as_str(),
                    "db_uuid" | "fencing_token" | "started_at" | "ended_at"
                )
            })
            .collect();
        let rows = rows(db, &table, &kept).await;
        dump.insert(
            table,
            Rows {
                columns: kept,
                rows,
            },
        );
    }
    dump
}

pub(crate) async fn columns(db: &mut SqliteConnection, table: &str) -> Vec<String> {
    texts(
        db,
        &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
    )
    .await
}

/// The values of `columns` in the order of the primary key, or of what comes first in the row.
async fn rows(db: &mut SqliteConnection, table: &str, columns: &[String]) -> Vec<Vec<String>> {
    let values: Vec<_> = columns.iter().map(|c| format!("quote(\"{c}\")")).collect();
    let order: Vec<_> = (1..=columns.len().min(3)).map(|n| n.to_string()).collect();
    let sql = format!(
        "SELECT {} FROM {table} ORDER BY {}",
        values.join(", "),
        order.join(", ")
    );
    query(db, &sql).await
}

/// What `sql` gives, all values as texts.
pub(crate) async fn query(db: &mut SqliteConnection, sql: &str) -> Vec<Vec<String>> {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(db)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .iter()
        .map(|row| {
            // Whatever type it has, SQLite gives it as a text.
            let text = |at| {
                row.get_unchecked::<Option<String>, _>(at)
                    .unwrap_or_default()
            };
            (0..row.len()).map(text).collect()
        })
        .collect()
}

async fn texts(db: &mut SqliteConnection, sql: &str) -> Vec<String> {
    query(db, sql).await.into_iter().flatten().collect()
}

/// Checks that every row and value of `before` is in `after`. What CoreScope's own migrations fill may have been
/// filled: only where there was nothing.
pub(crate) fn assert_all_kept(before: &Dump, after: &Dump) {
    for (table, old) in before {
        let new = after
            .get(table)
            .unwrap_or_else(|| panic!("{table} is gone"));
        if table.ends_with("_migrations") || table == "observers" {
            // New rows may have come.
            let named = if table == "_async_migrations" {
                &old.columns[..1]
            } else {
                &old.columns[..]
            };
            let rows = project(new, named);
            for row in project(old, named) {
                assert!(rows.contains(&row), "{table}: {row:?}");
            }
            continue;
        }
        let (old_rows, new_rows) = (&old.rows, project(new, &old.columns));
        assert_eq!(old_rows.len(), new_rows.len(), "rows of {table}");
        for (old_row, new_row) in old_rows.iter().zip(&new_rows) {
            for (column, (a, b)) in old.columns.iter().zip(old_row.iter().zip(new_row)) {
                let was_empty = a == "NULL" || (column == "last_seen" && a == "0");
                assert!(
                    a == b || (was_empty && table == "transmissions"),
                    "{table}.{column}: {a} became {b}"
                );
            }
        }
    }
}

fn project(rows: &Rows, columns: &[String]) -> Vec<Vec<String>> {
    let at: Vec<_> = columns
        .iter()
        .map(|name| {
            let found = rows.columns.iter().position(|c| c == name);
            found.unwrap_or_else(|| panic!("the column {name} is gone"))
        })
        .collect();
    rows.rows
        .iter()
        .map(|row| at.iter().map(|&at| row[at].clone()).collect())
        .collect()
}

/// Totals, counts and hourly counts against what a recount gives. The first observation of a packet is the one
/// with the lowest id.
pub(crate) async fn assert_counts_are_right(db: &mut SqliteConnection) {
    assert_merged_counts_are_right(db).await;
    let first = "SELECT quote(o.timestamp / 3600 * 3600), quote(coalesce(o.observer_idx, 0)), quote(count(*)) \
         FROM observations o WHERE o.id = (SELECT min(id) FROM observations x WHERE x.transmission_id = o.transmission_id) \
         AND o.transmission_id IN (SELECT id FROM transmissions) GROUP BY 1, 2 ORDER BY 1, 2";
    let kept = "SELECT quote(hour), quote(observer_idx), quote(sum(transmissions)) FROM observation_counts_hourly \
         GROUP BY 1, 2 HAVING sum(transmissions) > 0 ORDER BY 1, 2";
    assert_eq!(query(db, kept).await, query(db, first).await);
}

/// As [`assert_counts_are_right`], where a merge has put older observations below those that came first.
pub(crate) async fn assert_merged_counts_are_right(db: &mut SqliteConnection) {
    for (kept, counted) in [
        (
            "SELECT quote(transmissions), quote(observations) FROM store_state",
            "SELECT quote((SELECT count(*) FROM transmissions)), quote((SELECT count(*) FROM observations))",
        ),
        (
            "SELECT quote(id), quote(observation_count) FROM transmissions ORDER BY id",
            "SELECT quote(t.id), quote(count(o.id)) FROM transmissions t \
             LEFT JOIN observations o ON o.transmission_id = t.id GROUP BY t.id ORDER BY t.id",
        ),
        (
            "SELECT quote(hour), quote(observer_idx), quote(payload_type), quote(observations) \
             FROM observation_counts_hourly ORDER BY 1, 2, 3",
            "SELECT quote(o.timestamp / 3600 * 3600), quote(coalesce(o.observer_idx, 0)), \
             quote(coalesce(t.payload_type, 255)), quote(count(*)) \
             FROM observations o JOIN transmissions t ON t.id = o.transmission_id \
             GROUP BY o.timestamp / 3600, coalesce(o.observer_idx, 0), coalesce(t.payload_type, 255) ORDER BY 1, 2, 3",
        ),
        (
            "SELECT quote(coalesce(sum(transmissions), 0)) FROM observation_counts_hourly",
            "SELECT quote(count(*)) FROM transmissions WHERE observation_count > 0",
        ),
    ] {
        let (kept, counted) = (query(db, kept).await, query(db, counted).await);
        assert_eq!(kept.len(), counted.len());
        for (kept, counted) in kept.iter().zip(&counted) {
            assert_eq!(kept, counted);
        }
    }
    assert_eq!(query(db, "PRAGMA integrity_check").await, [["ok"]]);
}
