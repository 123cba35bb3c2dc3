//! Adoption: a CoreScope database in any state becomes ours where it stands, and nothing of it is lost.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::dump::{Dump, assert_all_kept, assert_counts_are_right, columns, dump, query};
use common::{advert, describe, look, node, one_i64, one_text, open, options, reception, record};
use meshcore_store::{
    AdoptionProgress, Error, PreviousEnd, ProgressHook, Reader, SCHEMA_VERSION, Store, StoreOptions,
};
use meshcore_testkit::{CORESCOPE_MIGRATIONS, CoreScopeEnd, CoreScopeOptions};
use sqlx::Connection;

/// Queries as CoreScope's tools ask them; each must give the same answer after the adoption.
const V3_QUERIES: [&str; 9] = [
    "SELECT quote(id), quote(raw_hex), quote(timestamp), quote(observer_id), quote(observer_name), quote(direction), \
     quote(snr), quote(rssi), quote(score), quote(hash), quote(route_type), quote(payload_type), \
     quote(payload_version), quote(path_json), quote(decoded_json), quote(created_at) FROM packets_v ORDER BY id",
    "SELECT quote(observer_id), quote(count(*)), quote(max(timestamp)) FROM packets_v GROUP BY observer_id ORDER BY 1",
    "SELECT quote(hash), quote(first_seen), quote(payload_type) FROM transmissions \
     WHERE first_seen >= '2026-05-29' ORDER BY first_seen DESC, id DESC LIMIT 50",
    "SELECT quote(t.hash), quote(count(*)), quote(min(o.timestamp)), quote(group_concat(o.path_json ORDER BY o.id)) \
     FROM transmissions t JOIN observations o ON o.transmission_id = t.id GROUP BY t.id ORDER BY t.id",
    "SELECT quote(payload_type), quote(count(*)) FROM transmissions GROUP BY payload_type ORDER BY 1",
    "SELECT quote(public_key), quote(name), quote(role), quote(lat), quote(lon), quote(advert_count) FROM nodes \
     ORDER BY last_seen DESC, public_key",
    "SELECT quote(count(*)) FROM inactive_nodes",
    "SELECT quote(id), quote(name), quote(iata), quote(rowid) FROM observers ORDER BY rowid",
    "SELECT quote(decoded_json ->> '$.pubKey'), quote(count(*)) FROM transmissions \
     WHERE payload_type = 4 GROUP BY 1 ORDER BY 1",
];

struct Before {
    dump: Dump,
    answers: Vec<Vec<Vec<String>>>,
}

/// Builds a file in `dir` and reads a copy of it, so that the file stays as it was left.
async fn build(dir: &Path, options: &CoreScopeOptions) -> Before {
    let path = dir.join("mesh.db");
    options.build(&path).await;
    let other = tempfile::tempdir().unwrap();
    for part in ["mesh.db", "mesh.db-wal", "mesh.db-journal"] {
        if dir.join(part).exists() {
            std::fs::copy(dir.join(part), other.path().join(part)).unwrap();
        }
    }
    let mut db = look(other.path()).await;
    let has_view = one_i64(
        &mut db,
        "SELECT count(*) FROM sqlite_schema WHERE name = 'packets_v'",
    )
    .await;
    let mut answers = Vec::new();
    for sql in V3_QUERIES {
        let possible = has_view == 1 || !sql.contains("packets_v");
        let possible = possible
            && (!sql.contains("inactive_nodes")
                || !columns(&mut db, "inactive_nodes").await.is_empty());
        answers.push(if possible {
            query(&mut db, sql).await
        } else {
            Vec::new()
        });
    }
    Before {
        dump: dump(&mut db).await,
        answers,
    }
}

/// Checks that the adopted file in `dir` is all it was and all it must be, and that ingest goes on.
async fn check_adopted(dir: &Path, before: &Before) {
    let mut db = look(dir).await;
    let after = dump(&mut db).await;
    assert_all_kept(&before.dump, &after);
    for (sql, answer) in V3_QUERIES.iter().zip(&before.answers) {
        // Observers that were only named in observations have rows now.
        let added = sql.contains("FROM observers")
            && after["observers"].rows.len() > before.dump["observers"].rows.len();
        if !answer.is_empty() && !added {
            let now = query(&mut db, sql).await;
            assert_eq!(now.len(), answer.len(), "{sql}");
            for (now, then) in now.iter().zip(answer) {
                assert_eq!(now, then, "{sql}");
            }
        }
    }
    assert_counts_are_right(&mut db).await;
    assert_has_our_shape(&mut db).await;

    // Ingest goes on: known packets, new ones, a node.
    let (mut store, opened) = open(dir).await;
    assert_eq!(opened.adopted, None, "a second start adopts nothing");
    let key = format!("{:064x}", (5_u64 * 2_654_435_761) % 4_294_967_296);
    store
        .write(
            &[
                record(reception(1, "a new observer", "01")),
                record(reception(1, "a new observer", "02")),
                record(reception(1, "a new observer", "02")),
                advert(2, "a new observer", node(&key, Some("Renamed"), 7)),
            ],
            &describe,
        )
        .await
        .unwrap();
    store.close().await.unwrap();
    assert_counts_are_right(&mut db).await;
    let name = query(
        &mut db,
        &format!("SELECT name FROM nodes WHERE public_key = '{key}'"),
    )
    .await;
    assert_eq!(name, [["Renamed"]]);
    let stats = Reader::open(&dir.join("mesh.db"))
        .await
        .unwrap()
        .stats()
        .await
        .unwrap();
    assert_eq!(
        stats.total_packets,
        one_i64(&mut db, "SELECT count(*) FROM transmissions").await
    );
}

/// Every table, column and index of a new file is there, and CoreScope's own start finds what it looks for.
async fn assert_has_our_shape(db: &mut sqlx::sqlite::SqliteConnection) {
    let new = tempfile::tempdir().unwrap();
    open(new.path()).await.0.close().await.unwrap();
    let mut fresh = look(new.path()).await;
    for table in query(
        &mut fresh,
        "SELECT name FROM sqlite_schema WHERE type = 'table'",
    )
    .await
    {
        let table = &table[0];
        let has = columns(db, table).await;
        for column in columns(&mut fresh, table).await {
            assert!(
                has.contains(&column),
                "{table}.{column} is missing: {has:?}"
            );
        }
    }
    assert_eq!(
        columns(db, "nodes").await,
        columns(db, "inactive_nodes").await
    );
    assert_eq!(one_i64(db, "PRAGMA user_version").await, SCHEMA_VERSION);
    assert_eq!(one_i64(db, "PRAGMA application_id").await, 0x4D43_4F50);
    assert_eq!(one_text(db, "PRAGMA journal_mode").await.unwrap(), "wal");
    let plan = query(
        db,
        "EXPLAIN QUERY PLAN SELECT 1 FROM observations WHERE transmission_id = 5",
    )
    .await;
    assert!(plan[0][3].contains("USING"), "{plan:?}");
}

async fn adopted(options: &CoreScopeOptions) {
    let dir = tempfile::tempdir().unwrap();
    let before = build(dir.path(), options).await;
    let (store, opened) = open(dir.path()).await;
    let found = opened.adopted.expect("adopted");
    assert_eq!(
        found.observations,
        i64::try_from(before.dump["observations"].rows.len()).unwrap()
    );
    assert!(!opened.gives_pages_back && !found.was_ours);
    store.close().await.unwrap();
    check_adopted(dir.path(), &before).await;
}

#[tokio::test]
async fn a_database_of_the_newest_version_is_adopted_whole() {
    adopted(&CoreScopeOptions::default()).await;
}

#[tokio::test]
async fn an_empty_database_is_adopted_too() {
    adopted(&CoreScopeOptions {
        transmissions: 0,
        observers: 0,
        nodes: 5,
        ..CoreScopeOptions::default()
    })
    .await;
}

#[tokio::test]
async fn whichever_migration_is_missing_it_is_adopted() {
    for (name, _) in CORESCOPE_MIGRATIONS {
        println!("without {name}");
        adopted(&CoreScopeOptions {
            transmissions: 60,
            missing: vec![name],
            ..CoreScopeOptions::default()
        })
        .await;
    }
}

#[tokio::test]
async fn without_any_migration_it_is_adopted() {
    let missing: Vec<_> = CORESCOPE_MIGRATIONS.iter().map(|(name, _)| *name).collect();
    adopted(&CoreScopeOptions {
        missing: missing.clone(),
        ..CoreScopeOptions::default()
    })
    .await;
    adopted(&CoreScopeOptions {
        missing,
        then: "DROP TABLE inactive_nodes; DROP TABLE _migrations; DROP TABLE _async_migrations; \
               DROP INDEX idx_obs_tx; DROP INDEX idx_obs_unique; DROP INDEX idx_tx_first_seen; \
               DROP INDEX idx_obs_tx_ts",
        ..CoreScopeOptions::default()
    })
    .await;
}

#[tokio::test]
async fn only_true_marks_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let missing: Vec<_> = CORESCOPE_MIGRATIONS.iter().map(|(name, _)| *name).collect();
    let options = CoreScopeOptions {
        missing,
        ..CoreScopeOptions::default()
    };
    options.build(&dir.path().join("mesh.db")).await;
    open(dir.path()).await;
    let mut db = look(dir.path()).await;
    let marks = query(&mut db, "SELECT name FROM _migrations ORDER BY name").await;
    let marks: Vec<_> = marks.iter().map(|row| row[0].as_str()).collect();
    assert!(
        marks.contains(&"from_pubkey_v1") && marks.contains(&"scope_name_v1"),
        "{marks:?}"
    );
    for not_done in [
        "cleanup_legacy_null_hash_ts",
        "backfill_path_json_from_raw_hex_v1",
        "noise_floor_real_v1",
    ] {
        assert!(!marks.contains(&not_done), "{not_done}");
    }
    // What those that are set stand for is there.
    for (sql, wanted) in [
        (
            "SELECT count(*) FROM transmissions WHERE payload_type = 4 AND from_pubkey IS NOT decoded_json ->> '$.pubKey'",
            0,
        ),
        (
            "SELECT count(*) FROM transmissions WHERE payload_type = 5 AND channel_hash IS NULL",
            0,
        ),
        (
            "SELECT count(*) FROM transmissions WHERE payload_type <> 5 AND channel_hash IS NOT NULL",
            0,
        ),
        (
            "SELECT count(DISTINCT channel_hash) >= 5 FROM transmissions",
            1,
        ),
    ] {
        assert_eq!(one_i64(&mut db, sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn background_work_that_was_not_done_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let options = CoreScopeOptions {
        then: "UPDATE transmissions SET last_seen = 0, from_pubkey = NULL WHERE id % 2; \
               UPDATE _async_migrations SET status = 'pending_async'",
        ..CoreScopeOptions::default()
    };
    let before = build(dir.path(), &options).await;
    open(dir.path()).await.0.close().await.unwrap();
    let mut db = look(dir.path()).await;
    for sql in [
        "SELECT count(*) FROM transmissions t WHERE observation_count > 0 AND last_seen IS NOT \
         (SELECT max(timestamp) FROM observations WHERE transmission_id = t.id)",
        "SELECT count(*) FROM transmissions WHERE payload_type = 4 AND from_pubkey IS NULL",
        "SELECT count(*) FROM _async_migrations WHERE status <> 'done'",
    ] {
        assert_eq!(one_i64(&mut db, sql).await, 0, "{sql}");
    }
    check_adopted(dir.path(), &before).await;
}

#[tokio::test]
async fn every_journal_mode_and_every_end_is_adopted() {
    for journal in ["wal", "delete", "truncate", "persist"] {
        for end in [
            CoreScopeEnd::Closed,
            CoreScopeEnd::Killed,
            CoreScopeEnd::KilledInTransaction,
        ] {
            if journal == "wal" && end == CoreScopeEnd::KilledInTransaction {
                continue;
            }
            println!("{journal}, {end:?}");
            let dir = tempfile::tempdir().unwrap();
            let options = CoreScopeOptions {
                transmissions: 500,
                journal,
                end,
                ..CoreScopeOptions::default()
            };
            let before = build(dir.path(), &options).await;
            let bytes = |suffix: &str| {
                std::fs::metadata(dir.path().join(format!("mesh.db{suffix}")))
                    .map_or(0, |m| m.len())
            };
            let rows = before.dump["observations"].rows.len();
            match end {
                CoreScopeEnd::Closed => assert!(rows < 5_001),
                CoreScopeEnd::Killed => {
                    assert!(rows > 5_300, "{rows}");
                    assert!(journal != "wal" || bytes("-wal") > 0);
                }
                CoreScopeEnd::KilledInTransaction => {
                    assert!(bytes("-journal") > 0);
                    let main = std::fs::read(dir.path().join("mesh.db")).unwrap();
                    let is_changed = String::from_utf8_lossy(&main).contains("lost");
                    assert!(is_changed, "the main file has uncommitted changes in it");
                }
            }
            let lost = before.dump["transmissions"]
                .rows
                .iter()
                .flatten()
                .any(|v| v == "'lost'");
            assert!(!lost, "the journal is played back");
            open(dir.path()).await.0.close().await.unwrap();
            check_adopted(dir.path(), &before).await;
        }
    }
}

#[tokio::test]
async fn the_older_shape_with_named_observers_is_converted() {
    let dir = tempfile::tempdir().unwrap();
    let options = CoreScopeOptions {
        observer_by_name: true,
        ..CoreScopeOptions::default()
    };
    let before = build(dir.path(), &options).await;
    open(dir.path()).await.0.close().await.unwrap();
    check_adopted(dir.path(), &before).await;
    let mut db = look(dir.path()).await;
    for sql in [
        "SELECT count(*) FROM observations WHERE observer_id IS NOT NULL AND observer_id IS NOT \
         (SELECT id FROM observers WHERE rowid = observer_idx)",
        // The view shows old and new rows.
        "SELECT (SELECT count(*) FROM observations) - (SELECT count(*) FROM packets_v)",
        "SELECT count(*) FROM packets_v WHERE observer_id IS NULL AND id NOT IN \
         (SELECT id FROM observations WHERE observer_idx IS NULL)",
    ] {
        assert_eq!(one_i64(&mut db, sql).await, 0, "{sql}");
    }
    let unknown = "SELECT count(*) FROM observers WHERE id LIKE 'unknown%'";
    assert!(
        one_i64(&mut db, unknown).await > 0,
        "observers without a row have one now"
    );
}

#[tokio::test]
async fn observations_that_repeat_others_are_kept_and_new_ones_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let options = CoreScopeOptions {
        then: "DROP INDEX idx_obs_unique; DROP INDEX idx_obs_tx; DROP INDEX idx_obs_tx_ts; \
               INSERT INTO observations(transmission_id, observer_idx, path_json, timestamp) \
               SELECT transmission_id, observer_idx, path_json, timestamp + 1 FROM observations \
               WHERE observer_idx IS NOT NULL LIMIT 33",
        ..CoreScopeOptions::default()
    };
    let before = build(dir.path(), &options).await;
    let (store, opened) = open(dir.path()).await;
    assert_eq!(opened.adopted.unwrap().repeated_observations, 33);
    store.close().await.unwrap();
    check_adopted(dir.path(), &before).await;
    let mut db = look(dir.path()).await;
    let new = "SELECT count(*) FROM observations WHERE time_source IS NOT NULL";
    assert_eq!(
        one_i64(&mut db, new).await,
        3,
        "the repeat of a new one was not stored"
    );
}

#[tokio::test]
async fn packets_that_share_a_hash_or_have_none_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let options = CoreScopeOptions {
        then: "CREATE TABLE t AS SELECT * FROM transmissions; DROP TABLE transmissions; \
               CREATE TABLE transmissions (id INTEGER PRIMARY KEY AUTOINCREMENT, raw_hex TEXT, hash TEXT, \
               first_seen TEXT, route_type INTEGER, payload_type INTEGER, payload_version INTEGER, \
               decoded_json TEXT, from_pubkey TEXT, last_seen INTEGER NOT NULL DEFAULT 0, created_at TEXT, \
               channel_hash TEXT, scope_name TEXT); \
               INSERT INTO transmissions SELECT * FROM t; DROP TABLE t; \
               UPDATE transmissions SET hash = NULL WHERE id = 3; \
               UPDATE transmissions SET hash = upper(hash), payload_type = NULL WHERE id = 4; \
               UPDATE transmissions SET hash = '00000000000000ff' WHERE id IN (5, 6)",
        ..CoreScopeOptions::default()
    };
    let before = build(dir.path(), &options).await;
    open(dir.path()).await.0.close().await.unwrap();
    check_adopted(dir.path(), &before).await;
    // They expire like others.
    let (store, _) = open(dir.path()).await;
    let retention = meshcore_store::Retention {
        packets: Some(Duration::from_hours(24)),
        ..common::running::keep_everything()
    };
    let running = common::running::Setup {
        retention,
        ..common::running::Setup::new()
    }
    .start(store);
    let mut db = look(dir.path()).await;
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while one_i64(
        &mut db,
        "SELECT count(*) FROM transmissions WHERE time(first_seen) IS NOT NULL AND id < 100",
    )
    .await
        > 0
    {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.stopped().await.close().await.unwrap();
}

#[tokio::test]
async fn observers_whose_ids_differ_in_case_stay_two_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    CoreScopeOptions::default()
        .build(&dir.path().join("mesh.db"))
        .await;
    let (mut store, _) = open(dir.path()).await;
    let mut db = look(dir.path()).await;
    let both = "SELECT group_concat(rowid) FROM observers WHERE upper(id) = (SELECT upper(id) FROM observers WHERE rowid = 12)";
    assert_eq!(one_text(&mut db, both).await.unwrap(), "11,12");
    let lower = one_text(&mut db, "SELECT id FROM observers WHERE rowid = 12")
        .await
        .unwrap();
    store
        .write(&[record(reception(7, &lower, ""))], &describe)
        .await
        .unwrap();
    let idx = "SELECT observer_idx FROM observations ORDER BY id DESC LIMIT 1";
    assert_eq!(one_i64(&mut db, idx).await, 11);
    store
        .write(&[record(reception(8, "new", ""))], &describe)
        .await
        .unwrap();
    assert_eq!(one_i64(&mut db, idx).await, 13);
    store.close().await.unwrap();
}

#[tokio::test]
async fn values_of_other_kinds_than_their_columns_are_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let options = CoreScopeOptions {
        then: "UPDATE observers SET id = NULL, clock_skew_seconds = 4 WHERE rowid = 3; \
               UPDATE observers SET clock_skew_seconds = 1.5, noise_floor = 'quiet' WHERE rowid = 4; \
               UPDATE transmissions SET raw_hex = x'00', decoded_json = x'FF', from_pubkey = 7 WHERE id = 2; \
               UPDATE observations SET path_json = 5, snr = 'high' WHERE id = 6; \
               UPDATE nodes SET lat = 'north' WHERE rowid = 1",
        ..CoreScopeOptions::default()
    };
    let before = build(dir.path(), &options).await;
    let (mut store, _) = open(dir.path()).await;
    assert_eq!(store.observer_skews().await.unwrap().len(), 4);
    store.close().await.unwrap();
    check_adopted(dir.path(), &before).await;
}

#[tokio::test]
async fn packets_whose_frames_are_no_hex_are_heard_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = CoreScopeOptions {
        then: "UPDATE transmissions SET raw_hex = x'FF00', hash = '0000000000900001' WHERE id = 1; \
               UPDATE transmissions SET raw_hex = CAST(x'FFFE' AS TEXT), hash = '0000000000900002' WHERE id = 2; \
               UPDATE transmissions SET raw_hex = 'no hex', hash = '0000000000900003' WHERE id = 3; \
               UPDATE transmissions SET raw_hex = 7, hash = '0000000000900004' WHERE id = 4; \
               UPDATE transmissions SET raw_hex = '', hash = '0000000000900005' WHERE id = 5",
        ..CoreScopeOptions::default()
    };
    options.build(&dir.path().join("mesh.db")).await;
    let (mut store, _) = open(dir.path()).await;
    let records: Vec<_> = (0x90_0001..=0x90_0005)
        .map(|n| record(reception(n, "a new observer", "01")))
        .collect();
    let outcome = store.write(&records, &describe).await.unwrap();
    assert_eq!((outcome.transmissions, outcome.observations), (0, 5));
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    let kept = "SELECT count(*) FROM observations WHERE transmission_id < 6 AND raw_hex LIKE '1501010000000000900%' \
        AND arrived_at IS NOT NULL";
    assert_eq!(one_i64(&mut db, kept).await, 5, "each has its own frame");
}

#[tokio::test]
async fn rows_with_negative_ids_are_counted_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = CoreScopeOptions {
        then: "UPDATE observations SET id = id - 1000, transmission_id = transmission_id - 100; \
               UPDATE transmissions SET id = id - 100",
        ..CoreScopeOptions::default()
    };
    let before = build(dir.path(), &options).await;
    open(dir.path()).await.0.close().await.unwrap();
    check_adopted(dir.path(), &before).await;
}

#[tokio::test]
async fn what_can_not_be_adopted_is_refused_with_its_reason_and_left_alone() {
    for (then, words) in [
        (
            "ALTER TABLE transmissions RENAME COLUMN hash TO digest",
            &["`transmissions`", "`hash`"][..],
        ),
        ("DROP TABLE nodes", &["no table `nodes`"]),
        (
            "ALTER TABLE observations ADD COLUMN must INTEGER NOT NULL DEFAULT 1; PRAGMA writable_schema = ON; \
          UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL DEFAULT 1', ' NOT NULL') WHERE name = 'observations'; \
          PRAGMA writable_schema = OFF",
            &["observations.must"],
        ),
        (
            "PRAGMA application_id = 77",
            &["application_id 77", "not a MeshCore database"],
        ),
        ("PRAGMA user_version = 9", &["user_version 9"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        CoreScopeOptions {
            then,
            ..CoreScopeOptions::default()
        }
        .build(&dir.path().join("mesh.db"))
        .await;
        let bytes = std::fs::read(dir.path().join("mesh.db")).unwrap();
        for _ in 0..2 {
            let refused = Store::open(options(dir.path())).await.unwrap_err();
            for word in words {
                assert!(refused.to_string().contains(word), "{refused}");
            }
            assert_eq!(refused.class(), meshcore_store::Class::Refused);
        }
        assert!(
            bytes == std::fs::read(dir.path().join("mesh.db")).unwrap(),
            "{then}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_at_the_second_start_too() {
    let dir = tempfile::tempdir().unwrap();
    let text = "Dear diary, this is not a database at all.";
    std::fs::write(dir.path().join("mesh.db"), text).unwrap();
    for _ in 0..2 {
        let refused = Store::open(options(dir.path())).await.unwrap_err();
        assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
    }
    assert_eq!(
        std::fs::read_to_string(dir.path().join("mesh.db")).unwrap(),
        text
    );
}

#[tokio::test]
async fn adoption_tells_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let built = CoreScopeOptions {
        transmissions: 3_000,
        then: "DROP INDEX idx_obs_observer_ts",
        ..CoreScopeOptions::default()
    };
    built.build(&dir.path().join("mesh.db")).await;
    let told: Arc<Mutex<Vec<AdoptionProgress>>> = Arc::default();
    let hear = Arc::clone(&told);
    let options = StoreOptions {
        progress: ProgressHook::new(move |progress| hear.lock().unwrap().push(*progress)),
        ..options(dir.path())
    };
    Store::open(options).await.unwrap().0.close().await.unwrap();
    let told = told.lock().unwrap();
    let lines: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert!(
        lines.iter().any(|l| l.contains("missing indexes built")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|l| l.contains("% of 3,000 packets")),
        "{lines:?}"
    );
    let last = lines.last().unwrap();
    assert!(
        last.contains("100 % of") && last.contains("observations"),
        "{last}"
    );
    let done: Vec<_> = told
        .iter()
        .filter(|p| p.step == meshcore_store::AdoptionStep::Observations)
        .map(|p| p.done)
        .collect();
    assert!(done.len() > 1 && done.is_sorted(), "{done:?}");
}

#[tokio::test]
async fn a_reader_waits_until_the_file_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mesh.db");
    CoreScopeOptions::default().build(&path).await;
    let refused = Reader::open(&path).await.unwrap_err();
    assert!(
        refused.to_string().contains("which the ingestor adopts"),
        "{refused}"
    );
    // As an interrupted adoption leaves it.
    let mut db = look(dir.path()).await;
    sqlx::raw_sql("CREATE TABLE store_jobs(name TEXT PRIMARY KEY, step TEXT, position INTEGER, tallies TEXT, began_at TEXT, finished_at TEXT)")
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    let refused = Reader::open(&path).await.unwrap_err();
    assert!(matches!(refused, Error::NotReady { .. }), "{refused}");
    assert!(
        refused.to_string().contains("is being adopted"),
        "{refused}"
    );
    open(dir.path()).await.0.close().await.unwrap();
    Reader::open(&path).await.unwrap();
}

#[tokio::test]
async fn what_core_scope_adds_to_a_file_of_ours_is_counted_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    CoreScopeOptions::default()
        .build(&dir.path().join("mesh.db"))
        .await;
    let (mut store, _) = open(dir.path()).await;
    store
        .write(&[record(reception(1, "a", "01"))], &describe)
        .await
        .unwrap();
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    sqlx::raw_sql(
        "INSERT INTO transmissions(raw_hex, hash, first_seen, payload_type) VALUES ('1500AA', 'abcdef0123456789', '2026-10-01T00:00:00Z', 5); \
         INSERT INTO observations(transmission_id, observer_idx, path_json, timestamp) SELECT max(id), 1, '[]', 1790000000 FROM transmissions; \
         INSERT INTO observations(transmission_id, observer_idx, path_json, timestamp) SELECT max(id), 2, '[]', 1790000000 FROM transmissions; \
         DELETE FROM observations WHERE transmission_id = 1; DELETE FROM transmissions WHERE id = 1",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let hours = query(
        &mut db,
        "SELECT quote(sum(observations)) FROM observation_counts_hourly",
    )
    .await;
    let (store, opened) = open(dir.path()).await;
    assert!(opened.adopted.expect("counted").was_ours);
    store.close().await.unwrap();
    let totals = "SELECT transmissions = (SELECT count(*) FROM transmissions) AND observations = (SELECT count(*) FROM observations) FROM store_state";
    assert_eq!(one_i64(&mut db, totals).await, 1);
    let count = "SELECT observation_count FROM transmissions WHERE hash = 'abcdef0123456789'";
    assert_eq!(one_i64(&mut db, count).await, 2);
    let more = one_i64(
        &mut db,
        "SELECT sum(observations) FROM observation_counts_hourly",
    )
    .await;
    assert_eq!(
        more.to_string(),
        (hours[0][0].parse::<i64>().unwrap() + 2).to_string()
    );
    assert_eq!(open(dir.path()).await.1.adopted, None);
}

#[tokio::test]
async fn the_first_start_after_an_adoption_passes_the_barrier_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    CoreScopeOptions::default()
        .build(&dir.path().join("mesh.db"))
        .await;
    let (store, opened) = open(dir.path()).await;
    assert_eq!(opened.previous_end, PreviousEnd::Clean);
    assert!(opened.checkpoint.is_complete());
    assert_eq!(store.instance().len(), 12);
    drop(store);
    let (store, opened) = open(dir.path()).await;
    assert_eq!(
        (opened.previous_end, opened.adopted),
        (PreviousEnd::Unclean, None)
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_version_1_file_is_migrated_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mesh.db");
    let mut db = sqlx::ConnectOptions::connect(
        &sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true),
    )
    .await
    .unwrap();
    sqlx::raw_sql(include_str!("../src/schema/v1.sql"))
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::raw_sql("PRAGMA application_id = 0x4D434F50; PRAGMA user_version = 1")
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    let (mut store, opened) = open(dir.path()).await;
    assert_eq!(opened.adopted, None);
    store
        .write(&[record(reception(1, "a", "01"))], &describe)
        .await
        .unwrap();
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_i64(&mut db, "PRAGMA user_version").await,
        SCHEMA_VERSION
    );
    assert_has_our_shape(&mut db).await;
}
