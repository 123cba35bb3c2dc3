//! Import: databases of CoreScope and of ours are merged; nothing is doubled, nothing is lost, counts are right.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use common::dump::{Dump, assert_counts_are_right, assert_merged_counts_are_right, dump, query};
use common::{advert, describe, look, node, one_i64, one_text, open, options, reception, record};
use meshcore_store::{Error, Imported, Reader, StoreOptions, Tally, import};
use meshcore_testkit::{CORESCOPE_MIGRATIONS, CoreScopeEnd, CoreScopeOptions};

async fn run(source: &Path, target: &Path) -> Imported {
    import(source, options(target), |_| ControlFlow::Continue(()))
        .await
        .unwrap()
}

fn tally(read: u64, added: u64) -> Tally {
    Tally {
        read,
        added,
        left_out: 0,
    }
}

/// The packets and observations of a file, whatever their ids.
async fn contents(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut db = look(folder).await;
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sql = "SELECT t.hash, quote(t.raw_hex) || quote(t.first_seen) || quote(t.payload_type) || quote(t.decoded_json) \
        || quote(t.scope_name), coalesce(quote(upper(b.id)) || quote(o.path_json) || quote(o.timestamp) || quote(o.snr) \
        || quote(coalesce(o.raw_hex, t.raw_hex)) || quote(o.resolved_path), '') FROM transmissions t \
        LEFT JOIN observations o ON o.transmission_id = t.id LEFT JOIN observers b ON b.rowid = o.observer_idx \
        ORDER BY 1, 3";
    for row in query(&mut db, sql).await {
        all.entry(format!("{} {}", row[0], row[1]))
            .or_default()
            .push(row[2].clone());
    }
    all
}

async fn shared_tables(folder: &Path) -> Dump {
    let mut db = look(folder).await;
    let mut all = dump(&mut db).await;
    all.retain(|table, _| {
        [
            "neighbor_edges",
            "observer_metrics",
            "client_receptions",
            "client_observers",
        ]
        .contains(&table.as_str())
    });
    all
}

#[tokio::test]
async fn a_core_scope_database_becomes_a_new_one_of_ours() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = source.path().join("mesh.db");
    CoreScopeOptions::default().build(&file).await;
    let bytes = std::fs::read(&file).unwrap();
    let imported = run(&file, target.path()).await;
    assert!(imported.finished && !imported.resumed);
    assert_eq!(imported.tables["transmissions"], tally(200, 200));
    assert_eq!(imported.tables["observations"], tally(2000, 2000));
    // The last one is another spelling of the one before.
    assert_eq!(imported.tables["observers"], tally(12, 11));
    assert_eq!(imported.tables["nodes"], tally(20, 20));
    assert_eq!(imported.tables["inactive_nodes"], tally(5, 5));
    assert_eq!(imported.tables["dropped_packets"], tally(7, 7));
    assert!(bytes == std::fs::read(&file).unwrap(), "the source changed");
    // SQLite may leave an empty one behind a read.
    assert_eq!(common::wal_bytes(source.path()), 0);
    assert_eq!(contents(source.path()).await, contents(target.path()).await);
    assert_eq!(
        shared_tables(source.path()).await,
        shared_tables(target.path()).await
    );
    let mut db = look(target.path()).await;
    assert_counts_are_right(&mut db).await;
    // The order in lists is the same, and all ids are below those of what comes live.
    let order = "SELECT group_concat(hash ORDER BY id) FROM transmissions";
    let mut theirs = look(source.path()).await;
    assert_eq!(
        one_text(&mut db, order).await,
        one_text(&mut theirs, order).await
    );
    for highest in [
        "SELECT max(id) FROM transmissions",
        "SELECT max(id) FROM observations",
    ] {
        assert_eq!(one_i64(&mut db, highest).await, -1);
    }
    assert_eq!(one_i64(&mut db, "SELECT dropped FROM store_state").await, 7);

    // Again: nothing is new.
    let before = dump(&mut db).await;
    let again = run(&file, target.path()).await;
    assert!(again.finished && !again.resumed);
    for (table, tally) in &again.tables {
        assert_eq!(tally.added, 0, "{table}");
    }
    assert_eq!(again.tables["observations"].known(), 2000);
    assert_eq!(dump(&mut db).await, before);

    // The ingestor goes on in it, counts nothing again, and its default retention deletes nothing.
    let (mut store, opened) = open(target.path()).await;
    assert_eq!(opened.adopted, None);
    assert!(opened.is_adopted && opened.gives_pages_back);
    store
        .write(&[record(reception(1, "new", "01"))], &describe)
        .await
        .unwrap();
    store.close().await.unwrap();
    assert_counts_are_right(&mut db).await;
}

#[tokio::test]
async fn whatever_its_state_it_is_imported() {
    let all: Vec<_> = CORESCOPE_MIGRATIONS.iter().map(|(name, _)| *name).collect();
    let tables = "DROP TABLE inactive_nodes; DROP TABLE _migrations; DROP TABLE _async_migrations";
    for (what, built) in [
        (
            "without migrations",
            CoreScopeOptions {
                missing: all.clone(),
                then: tables,
                ..CoreScopeOptions::default()
            },
        ),
        (
            "observers by name",
            CoreScopeOptions {
                observer_by_name: true,
                ..CoreScopeOptions::default()
            },
        ),
        (
            "killed with a WAL",
            CoreScopeOptions {
                end: CoreScopeEnd::Killed,
                ..CoreScopeOptions::default()
            },
        ),
        (
            "rollback journal",
            CoreScopeOptions {
                journal: "delete",
                ..CoreScopeOptions::default()
            },
        ),
        (
            "empty",
            CoreScopeOptions {
                transmissions: 0,
                ..CoreScopeOptions::default()
            },
        ),
    ] {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = source.path().join("mesh.db");
        built.build(&file).await;
        let files = |part: &str| {
            std::fs::read(source.path().join(format!("mesh.db{part}"))).unwrap_or_default()
        };
        let before = (files(""), files("-wal"));
        let imported = run(&file, target.path()).await;
        assert!(
            before == (files(""), files("-wal")),
            "{what}: the source changed"
        );
        let mut db = look(target.path()).await;
        assert_counts_are_right(&mut db).await;
        let mut theirs = look(source.path()).await;
        for table in ["transmissions", "observations"] {
            let count = format!("SELECT count(*) FROM {table}");
            let (ours, theirs) = (
                query(&mut db, &count).await,
                query(&mut theirs, &count).await,
            );
            assert_eq!(ours, theirs, "{what}: {table}");
            assert_eq!(
                imported
                    .tables
                    .get(table)
                    .map_or(0, |t| t.added)
                    .to_string(),
                ours[0][0],
                "{what}"
            );
        }
        let again = run(&file, target.path()).await;
        assert!(
            again.tables.values().all(|tally| tally.added == 0),
            "{what}: {again:?}"
        );
        // What the observation's own columns say of its observer is right in the target too.
        if what == "observers by name" {
            let wrong = "SELECT count(*) FROM observations WHERE observer_idx IS NULL";
            assert_eq!(
                one_i64(&mut db, wrong).await,
                one_i64(
                    &mut theirs,
                    "SELECT count(*) FROM observations WHERE observer_id IS NULL"
                )
                .await
            );
            assert!(
                one_i64(
                    &mut db,
                    "SELECT count(*) FROM observers WHERE id LIKE 'unknown%'"
                )
                .await
                    > 0
            );
        }
    }
}

#[tokio::test]
async fn what_overlaps_is_merged_and_goes_below_what_is_there() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = source.path().join("mesh.db");
    CoreScopeOptions::default().build(&file).await;
    let mut theirs = look(source.path()).await;
    let hash = one_text(&mut theirs, "SELECT hash FROM transmissions WHERE id = 1")
        .await
        .unwrap();
    let observer = one_text(&mut theirs, "SELECT id FROM observers WHERE rowid = 3")
        .await
        .unwrap();
    sqlx::Connection::close(theirs).await.unwrap();
    // The target has heard one of the packets too, from one of the observers, spelt in another way.
    let mut same = reception(1, &observer.to_lowercase(), "77");
    hex::decode_to_slice(&hash, &mut same.hash).unwrap();
    let key = format!("{:064x}", 2_654_435_761_u64);
    let (mut store, _) = open(target.path()).await;
    store
        .write(
            &[
                record(same),
                record(reception(2, "only here", "01")),
                advert(3, "only here", node(&key, Some("Newer"), 5)),
            ],
            &describe,
        )
        .await
        .unwrap();
    store.close().await.unwrap();
    let mut db = look(target.path()).await;
    let newest = one_i64(&mut db, "SELECT max(id) FROM observations").await;

    let imported = run(&file, target.path()).await;
    assert_eq!(imported.tables["transmissions"], tally(200, 199));
    assert_eq!(imported.tables["observers"], tally(12, 10));
    assert_eq!(imported.tables["nodes"], tally(20, 19));
    assert_merged_counts_are_right(&mut db).await;
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM transmissions").await,
        202
    );
    assert_eq!(
        one_i64(&mut db, "SELECT max(id) FROM observations").await,
        newest,
        "what is imported is older"
    );
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM observations WHERE id >= 0").await,
        3
    );
    let order = "SELECT count(*) FROM transmissions a JOIN transmissions b ON b.id > a.id AND a.id < 0 AND b.id < 0 AND b.first_seen < a.first_seen";
    assert_eq!(one_i64(&mut db, order).await, 0, "the order stays");
    let (name, adverts) = (
        format!("SELECT name FROM nodes WHERE public_key = '{key}'"),
        format!(
            "SELECT quote(advert_count) || quote(first_seen) FROM nodes WHERE public_key = '{key}'"
        ),
    );
    assert_eq!(
        query(&mut db, &name).await,
        [["Newer"]],
        "the newer advert counts"
    );
    assert_eq!(
        query(&mut db, &adverts).await,
        [["1'2026-05-28T20:26:40Z'"]]
    );
    let first_seen = format!("SELECT first_seen FROM transmissions WHERE hash = '{hash}'");
    assert!(
        query(&mut db, &first_seen).await[0][0].starts_with("2026-05-28"),
        "the earlier time counts"
    );
    // Its packets are counted, old and new.
    let packets = format!(
        "SELECT packet_count = (SELECT count(*) FROM observations WHERE observer_idx = observers.rowid) \
         FROM observers WHERE upper(id) = '{}'",
        observer.to_uppercase()
    );
    assert_eq!(query(&mut db, &packets).await, [["1"]]);
    // Lists show what was here first, then what was imported, each newest first.
    let mut reader = Reader::open(&target.path().join("mesh.db")).await.unwrap();
    let page = reader.packets(i64::MAX, 300).await.unwrap();
    let ids: Vec<_> = page.iter().map(|row| row.transmission_id).collect();
    assert_eq!(ids.len(), 202);
    assert!(ids[2] > 0 && ids[3] < 0, "{:?}", &ids[..5]);
    assert!(page[3..].is_sorted_by(|a, b| a.first_seen >= b.first_seen));
    assert_eq!(reader.last_observation_id().await.unwrap(), newest);

    let again = run(&file, target.path()).await;
    assert!(
        again.tables.values().all(|tally| tally.added == 0),
        "{again:?}"
    );
    // The other way round: ours into a new one.
    let third = tempfile::tempdir().unwrap();
    let imported = run(&target.path().join("mesh.db"), third.path()).await;
    assert_eq!(imported.tables["transmissions"], tally(202, 202));
    assert_eq!(contents(target.path()).await, contents(third.path()).await);
    assert_merged_counts_are_right(&mut look(third.path()).await).await;
}

#[tokio::test]
async fn frames_of_ours_that_can_not_be_rebuilt_in_the_target_are_kept() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The same packet, flooded and sent directly: other headers.
    let (mut flood, mut direct) = (reception(1, "a", "01"), reception(1, "b", "02"));
    flood.raw[0] = 0x15;
    direct.raw[0] = 0x16;
    let mut second = reception(1, "c", "0304");
    second.raw[0] = 0x16;
    for (folder, records) in [
        (
            &source,
            vec![record(direct.clone()), record(second.clone())],
        ),
        (&target, vec![record(flood)]),
    ] {
        let (mut store, _) = open(folder.path()).await;
        store.write(&records, &describe).await.unwrap();
        store.close().await.unwrap();
    }
    run(&source.path().join("mesh.db"), target.path()).await;
    let mut db = look(target.path()).await;
    let frames = query(&mut db, "SELECT b.id, quote(o.raw_hex) FROM observations o JOIN observers b ON b.rowid = o.observer_idx ORDER BY 1").await;
    let quoted = |raw: &[u8]| format!("'{}'", hex::encode_upper(raw));
    assert_eq!(
        frames,
        [
            ["a".to_owned(), "NULL".to_owned()],
            ["b".to_owned(), quoted(&direct.raw)],
            ["c".to_owned(), quoted(&second.raw)],
        ]
    );
}

#[tokio::test]
async fn frames_that_are_no_text_stop_no_import() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&source, &target] {
        CoreScopeOptions::default()
            .build(&folder.path().join("mesh.db"))
            .await;
    }
    // Observations of the source's own, whose packets have an odd frame in one of the two files.
    let odd = "UPDATE observations SET path_json = '[\"77\"]', raw_hex = NULL WHERE id IN (SELECT max(id) FROM observations \
        WHERE transmission_id IN (1, 2, 3, 4) GROUP BY transmission_id); \
        UPDATE transmissions SET raw_hex = x'FF00' WHERE id = 1; \
        UPDATE transmissions SET raw_hex = CAST(x'FFFE' AS TEXT) WHERE id = 2";
    let ours = "UPDATE transmissions SET raw_hex = x'FF00' WHERE id = 3; \
        UPDATE transmissions SET raw_hex = CAST(x'FFFE' AS TEXT) WHERE id = 4";
    for (folder, sql) in [(&source, odd), (&target, ours)] {
        let mut db = look(folder.path()).await;
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        sqlx::Connection::close(db).await.unwrap();
    }
    open(target.path()).await.0.close().await.unwrap();
    let imported = run(&source.path().join("mesh.db"), target.path()).await;
    assert!(imported.finished);
    let mut db = look(target.path()).await;
    let kept = "SELECT count(*) FROM observations WHERE path_json = '[\"77\"]' AND typeof(raw_hex) = 'text'";
    assert_eq!(one_i64(&mut db, kept).await, 4, "each has its packet's");
}

#[tokio::test]
async fn stopped_after_any_chunk_it_goes_on_and_ends_the_same() {
    let (source, whole, target) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let file = source.path().join("mesh.db");
    CoreScopeOptions {
        transmissions: 1_500,
        ..CoreScopeOptions::default()
    }
    .build(&file)
    .await;
    let at_once = run(&file, whole.path()).await;
    let (mut runs, mut last) = (0, None);
    while runs < 100 {
        // Each run gets one chunk further.
        let mut chunks = 0;
        let imported = import(&file, options(target.path()), |_| {
            chunks += 1;
            if chunks > 1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .await
        .unwrap();
        runs += 1;
        let mut db = look(target.path()).await;
        assert_counts_are_right(&mut db).await;
        let finished = imported.finished;
        last = Some(imported);
        if finished {
            break;
        }
    }
    let last = last.unwrap();
    assert!(last.finished && last.resumed && runs > 5, "{runs}");
    assert_eq!(last.tables, at_once.tables, "rows of all runs together");
    let (mut a, mut b) = (look(whole.path()).await, look(target.path()).await);
    assert!(dump(&mut a).await == dump(&mut b).await, "the files differ");
}

/// Imports until `chunks` of them are done.
async fn run_chunks(source: &Path, target: &Path, chunks: usize) -> Imported {
    let mut told = 0;
    // The first call comes before the first chunk.
    let go_on = |_: &_| {
        told += 1;
        if told > chunks {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    import(source, options(target), go_on).await.unwrap()
}

/// Checks that all of `part` is in the file at `folder`, under whatever id.
async fn assert_contains(folder: &Path, part: &Path) {
    let all = contents(folder).await;
    for (packet, observations) in contents(part).await {
        let kept = all.get(&packet).unwrap_or_else(|| panic!("lost: {packet}"));
        for observation in &observations {
            assert!(kept.contains(observation), "lost: {packet} {observation}");
        }
    }
}

#[tokio::test]
async fn what_the_ingestor_stores_between_two_runs_is_kept_and_counted_once() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = source.path().join("mesh.db");
    CoreScopeOptions {
        transmissions: 2_500,
        ..CoreScopeOptions::default()
    }
    .build(&file)
    .await;
    let mut theirs = look(source.path()).await;
    let observer = one_text(&mut theirs, "SELECT id FROM observers WHERE rowid = 1")
        .await
        .unwrap();
    let mut live = 0;
    let last = loop {
        let imported = run_chunks(&file, target.path(), 1).await;
        if imported.finished {
            break imported;
        }
        let (mut store, _) = open(target.path()).await;
        let records: Vec<_> = (0..500)
            .map(|n| record(reception(u64::MAX - live - n, &observer, "01")))
            .collect();
        store.write(&records, &describe).await.unwrap();
        store.close().await.unwrap();
        live += 500;
        assert!(live < 50_000, "it does not get on");
    };
    assert!(last.resumed && live >= 2_000, "{live}");
    let whole = tempfile::tempdir().unwrap();
    let at_once = run(&file, whole.path()).await;
    assert_eq!(last.tables, at_once.tables, "rows of all runs together");
    assert_contains(target.path(), whole.path()).await;
    let mut db = look(target.path()).await;
    assert_merged_counts_are_right(&mut db).await;
    let totals = "SELECT transmissions * 1000000 + observations FROM store_state";
    let live = i64::try_from(live).unwrap();
    assert_eq!(
        one_i64(&mut db, totals).await,
        one_i64(&mut look(whole.path()).await, totals).await + live * 1_000_001
    );
    // The order is the one of the source, and what is live comes behind it.
    let imported = "SELECT group_concat(hash ORDER BY id) FROM transmissions WHERE id < 0";
    let all = "SELECT group_concat(hash ORDER BY id) FROM transmissions";
    assert!(one_text(&mut db, imported).await == one_text(&mut theirs, all).await);
    let packets = "SELECT packet_count FROM observers WHERE rowid = 1";
    assert_eq!(
        one_i64(&mut db, packets).await,
        one_i64(&mut theirs, packets).await + live
    );
}

#[tokio::test]
async fn another_import_between_two_runs_loses_nothing_of_either() {
    let folder = tempfile::tempdir().unwrap();
    let build = async |name: &str, options: CoreScopeOptions| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        options.build(&folder.join("mesh.db")).await;
        folder
    };
    let first = build(
        "first",
        CoreScopeOptions {
            transmissions: 1_500,
            ..CoreScopeOptions::default()
        },
    )
    .await;
    let second = build(
        "second",
        CoreScopeOptions {
            then: "UPDATE transmissions SET hash = 'bbbb' || substr(hash, 5)",
            ..CoreScopeOptions::default()
        },
    )
    .await;
    let packet_counts = "SELECT quote(id), quote(packet_count) FROM observers ORDER BY id";
    let one_by_one = tempfile::tempdir().unwrap();
    let at_once = run(&first.join("mesh.db"), one_by_one.path()).await;
    run(&second.join("mesh.db"), one_by_one.path()).await;
    let wanted = query(&mut look(one_by_one.path()).await, packet_counts).await;
    // Before the first packet, between packets, before the first observation, between observations.
    for chunks in 0..5 {
        let target = tempfile::tempdir().unwrap();
        let stopped = run_chunks(&first.join("mesh.db"), target.path(), chunks).await;
        assert!(!stopped.finished);
        let between = run(&second.join("mesh.db"), target.path()).await;
        assert_eq!(between.tables["observations"], tally(2_000, 2_000));
        let imported = run(&first.join("mesh.db"), target.path()).await;
        assert!(imported.finished && imported.resumed);
        for table in ["transmissions", "observations"] {
            assert_eq!(
                imported.tables[table], at_once.tables[table],
                "after {chunks} chunks"
            );
        }
        assert!(
            contents(target.path()).await == contents(one_by_one.path()).await,
            "after {chunks} chunks the files differ"
        );
        let mut db = look(target.path()).await;
        assert_merged_counts_are_right(&mut db).await;
        assert_eq!(query(&mut db, packet_counts).await, wanted);
    }
}

#[tokio::test]
async fn an_import_into_an_empty_database_is_no_news_to_the_live_feed() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = source.path().join("mesh.db");
    CoreScopeOptions::default().build(&file).await;
    open(target.path()).await.0.close().await.unwrap();
    // As the server follows a file: from where it stands on.
    let mut feed = Reader::open(&target.path().join("mesh.db")).await.unwrap();
    let begin = feed.last_observation_id().await.unwrap();
    run(&file, target.path()).await;
    assert_eq!(feed.observations_after(begin, 10).await.unwrap().len(), 0);
    let (mut store, _) = open(target.path()).await;
    store
        .write(&[record(reception(1, "new", "01"))], &describe)
        .await
        .unwrap();
    store.close().await.unwrap();
    assert_eq!(feed.observations_after(begin, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn ids_that_leave_no_room_are_refused_with_the_cure() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = source.path().join("mesh.db");
    CoreScopeOptions {
        then: "INSERT INTO transmissions(id, raw_hex, hash, first_seen) \
               VALUES (9223372036854775807, '15', 'ffffffffffffffff', '2026-05-28T00:00:00Z')",
        ..CoreScopeOptions::default()
    }
    .build(&file)
    .await;
    // Into a new one they fit.
    let imported = run(&file, target.path()).await;
    assert_eq!(imported.tables["transmissions"], tally(201, 201));
    let other = tempfile::tempdir().unwrap();
    let small = source.path().join("small.db");
    CoreScopeOptions::default().build(&small).await;
    run(&small, other.path()).await;
    let error = import(&file, options(other.path()), |_| ControlFlow::Continue(()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("import it into a new database"),
        "{error}"
    );
}

#[tokio::test]
async fn rows_that_break_todays_rules_are_merged_by_them() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = source.path().join("mesh.db");
    let built = CoreScopeOptions {
        then: "CREATE TABLE t AS SELECT * FROM transmissions; DROP TABLE transmissions; \
               CREATE TABLE transmissions (id INTEGER PRIMARY KEY AUTOINCREMENT, raw_hex TEXT, hash TEXT, first_seen TEXT, \
               route_type INTEGER, payload_type INTEGER, payload_version INTEGER, decoded_json TEXT, from_pubkey TEXT, \
               last_seen INTEGER NOT NULL DEFAULT 0, created_at TEXT, channel_hash TEXT, scope_name TEXT); \
               INSERT INTO transmissions SELECT * FROM t; DROP TABLE t; \
               UPDATE transmissions SET hash = NULL WHERE id = 3; UPDATE transmissions SET hash = upper(hash) WHERE id = 4; \
               UPDATE transmissions SET hash = '00000000000000ff' WHERE id IN (5, 6); \
               UPDATE nodes SET public_key = upper(public_key) WHERE rowid < 4; \
               DROP INDEX idx_obs_unique; INSERT INTO observations(transmission_id, observer_idx, path_json, timestamp) \
               SELECT transmission_id, observer_idx, path_json, timestamp + 1 FROM observations \
               WHERE observer_idx IS NOT NULL AND transmission_id > 10 LIMIT 5; \
               INSERT INTO observations(transmission_id, observer_idx, path_json, timestamp) VALUES (999999, 1, '[]', 1780000000)",
        ..CoreScopeOptions::default()
    };
    built.build(&file).await;
    let of_three = one_i64(
        &mut look(source.path()).await,
        "SELECT count(*) FROM observations WHERE transmission_id = 3",
    )
    .await;
    let imported = run(&file, target.path()).await;
    let transmissions = imported.tables["transmissions"];
    assert_eq!(
        (
            transmissions.added,
            transmissions.known(),
            transmissions.left_out
        ),
        (198, 1, 1)
    );
    let observations = imported.tables["observations"];
    assert_eq!(observations.left_out, of_three.unsigned_abs() + 1);
    assert!(observations.known() >= 5, "{observations:?}");
    let mut db = look(target.path()).await;
    assert_counts_are_right(&mut db).await;
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM transmissions WHERE hash GLOB '*[A-Z]*'"
        )
        .await,
        0
    );
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM nodes WHERE public_key GLOB '*[A-Z]*'"
        )
        .await,
        0
    );
    let again = run(&file, target.path()).await;
    assert!(
        again.tables.values().all(|tally| tally.added == 0),
        "{again:?}"
    );
}

#[tokio::test]
async fn what_can_not_be_imported_is_refused_with_its_reason() {
    let target = tempfile::tempdir().unwrap();
    let refused = |source: &Path, target: &Path| {
        let (source, target) = (source.to_owned(), options(target));
        async move {
            import(&source, target, |_| ControlFlow::Continue(()))
                .await
                .unwrap_err()
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mesh.db");
    assert!(
        refused(&file, target.path())
            .await
            .to_string()
            .contains("No such file")
    );
    std::fs::write(&file, "Dear diary, this is no database at all").unwrap();
    assert!(
        refused(&file, target.path())
            .await
            .to_string()
            .contains("no database")
    );
    for (built, words) in [
        (
            CoreScopeOptions {
                then: "ALTER TABLE transmissions RENAME COLUMN hash TO digest",
                ..CoreScopeOptions::default()
            },
            "no column `hash`",
        ),
        (
            CoreScopeOptions {
                then: "PRAGMA application_id = 9",
                ..CoreScopeOptions::default()
            },
            "neither a CoreScope database nor one of ours",
        ),
        (
            CoreScopeOptions {
                transmissions: 500,
                journal: "delete",
                end: CoreScopeEnd::KilledInTransaction,
                ..CoreScopeOptions::default()
            },
            "in the middle of a transaction",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mesh.db");
        built.build(&file).await;
        let bytes = std::fs::read(&file).unwrap();
        let error = refused(&file, target.path()).await;
        assert!(
            matches!(error, Error::Source { .. }) && error.to_string().contains(words),
            "{error}"
        );
        assert!(bytes == std::fs::read(&file).unwrap());
    }
    assert!(!target.path().join("mesh.db").exists(), "nothing was begun");
    // Itself, under another name.
    open(target.path()).await.0.close().await.unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(target.path().join("mesh.db"), &link).unwrap();
    assert!(
        refused(&link, target.path())
            .await
            .to_string()
            .contains("the target itself")
    );
    // A target that somebody writes.
    let (store, _) = open(target.path()).await;
    let source = tempfile::tempdir().unwrap();
    CoreScopeOptions::default()
        .build(&source.path().join("mesh.db"))
        .await;
    let error = refused(&source.path().join("mesh.db"), target.path()).await;
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(store);
}

/// The figure of docs/adoption.md; a million takes `IMPORT_TRANSMISSIONS=100000`.
#[tokio::test]
async fn the_speed_of_an_import_is_known() {
    let transmissions =
        std::env::var("IMPORT_TRANSMISSIONS").map_or(5_000, |text| text.parse().unwrap());
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = source.path().join("mesh.db");
    CoreScopeOptions {
        transmissions,
        observers: 80,
        nodes: 1_000,
        ..CoreScopeOptions::default()
    }
    .build(&file)
    .await;
    let started = std::time::Instant::now();
    let mut slowest = std::time::Duration::ZERO;
    let mut last = started;
    let options = StoreOptions {
        ballast_bytes: 0,
        ..options(target.path())
    };
    let imported = import(&file, options, |_| {
        slowest = slowest.max(last.elapsed());
        last = std::time::Instant::now();
        ControlFlow::Continue(())
    })
    .await
    .unwrap();
    let bytes = |path: &Path| std::fs::metadata(path).unwrap().len() >> 20;
    println!(
        "{} observations imported in {:?}, the slowest chunk in {slowest:?}; {} MiB became {} MiB",
        imported.tables["observations"].added,
        started.elapsed(),
        bytes(&file),
        bytes(&target.path().join("mesh.db"))
    );
    assert!(imported.finished);
}
