//! What a batch leaves in the file.

mod common;

use common::{
    NOW, advert, describe, look, node, one_i64, one_text, open, options, reception, record,
};
use meshcore_store::{Dropped, Neighbors, Observer, Reader, Record, Status, Store, StoreOptions};

#[tokio::test]
async fn a_packet_is_one_transmission_and_an_observation_for_each_observer_and_path() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let heard = [("a", ""), ("a", "01"), ("b", "01"), ("a", ""), ("b", "01")];
    let records: Vec<_> = heard
        .iter()
        .map(|(o, p)| record(reception(7, o, p)))
        .collect();

    let outcome = store.write(&records, &describe).await.unwrap();
    assert_eq!(
        (
            outcome.transmissions,
            outcome.observations,
            outcome.duplicates
        ),
        (1, 3, 2)
    );
    let again = store.write(&records, &describe).await.unwrap();
    assert_eq!(
        (again.transmissions, again.observations, again.duplicates),
        (0, 0, 5)
    );
    store.close().await.unwrap();

    // And once more with nothing in memory.
    let (mut store, _) = open(dir.path()).await;
    let again = store.write(&records, &describe).await.unwrap();
    assert_eq!(
        (again.transmissions, again.observations, again.duplicates),
        (0, 0, 5)
    );

    let mut db = look(dir.path()).await;
    assert_eq!(
        one_i64(&mut db, "SELECT observation_count FROM transmissions").await,
        3
    );
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT sum(observations) FROM observation_counts_hourly"
        )
        .await,
        3
    );
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT sum(transmissions) FROM observation_counts_hourly"
        )
        .await,
        1
    );
    assert_eq!(
        one_i64(&mut db, "SELECT packet_count FROM observers WHERE id = 'a'").await,
        2
    );
    assert_eq!(
        one_text(&mut db, "SELECT hash FROM transmissions")
            .await
            .unwrap(),
        "0000000000000007"
    );
    assert_eq!(
        one_text(&mut db, "SELECT decoded_json FROM transmissions")
            .await
            .unwrap(),
        "{\"n\":7}"
    );
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM observations WHERE observer_idx IS NULL"
        )
        .await,
        0
    );
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM observations WHERE raw_hex IS NOT NULL"
        )
        .await,
        0
    );
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM packets_v WHERE observer_id IN ('a','b')"
        )
        .await,
        3
    );
    let stats = Reader::open(store.path())
        .await
        .unwrap()
        .stats()
        .await
        .unwrap();
    assert_eq!(
        (
            stats.total_transmissions,
            stats.total_observations,
            stats.total_observers
        ),
        (1, 3, 2)
    );
}

#[tokio::test]
async fn batches_of_every_size_count_right() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let mut packets = 0;
    for size in [1_u64, 7, 8, 9, 31, 33, 129, 511, 512, 513, 1300] {
        let records: Vec<_> = (0..size)
            .flat_map(|n| ["a", "b"].map(|o| record(reception(packets + n, o, "05"))))
            .collect();
        let outcome = store.write(&records, &describe).await.unwrap();
        packets += size;
        assert_eq!(
            (outcome.transmissions, outcome.observations),
            (size, 2 * size)
        );
        let half_known: Vec<_> = (0..2 * size)
            .map(|n| record(reception(packets - size + n, "a", "05")))
            .collect();
        let outcome = store.write(&half_known, &describe).await.unwrap();
        packets += size;
        assert_eq!(
            (
                outcome.transmissions,
                outcome.observations,
                outcome.duplicates
            ),
            (size, size, size)
        );
    }
    let mut db = look(dir.path()).await;
    let packets = i64::try_from(packets).unwrap();
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM transmissions").await,
        packets
    );
    assert_eq!(
        one_i64(&mut db, "SELECT transmissions FROM store_state").await,
        packets
    );
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM observations").await,
        one_i64(&mut db, "SELECT sum(observation_count) FROM transmissions").await
    );
    assert_eq!(
        one_text(&mut db, "PRAGMA integrity_check").await.unwrap(),
        "ok"
    );
}

#[tokio::test]
async fn an_observer_is_one_whatever_the_case_of_its_key_and_keeps_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let key = "Ab".repeat(32);
    let mut first = reception(1, &key, "");
    first.observer.name = Some("Hill".to_owned());
    first.observer.iata = Some("SJC".to_owned());
    let second = reception(1, &key.to_lowercase(), "");
    let outcome = store
        .write(&[record(first), record(second)], &describe)
        .await
        .unwrap();
    assert_eq!((outcome.observations, outcome.duplicates), (1, 1));
    let mut db = look(dir.path()).await;
    assert_eq!(one_i64(&mut db, "SELECT count(*) FROM observers").await, 1);
    assert_eq!(
        one_text(&mut db, "SELECT id FROM observers").await.unwrap(),
        key
    );
    assert_eq!(
        one_text(&mut db, "SELECT name || '/' || iata FROM observers")
            .await
            .unwrap(),
        "Hill/SJC"
    );
}

#[tokio::test]
async fn an_older_advert_does_not_overwrite_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let key = "aa".repeat(32);
    let newer = advert(1, "a", node(&key, Some("New"), 2_000));
    let older = advert(2, "a", node(&key, Some("Old"), 1_000));
    let nameless = advert(3, "a", node(&key, None, 3_000));
    store
        .write(&[newer, older.clone()], &describe)
        .await
        .unwrap();
    store.write(&[older], &describe).await.unwrap();
    store.write(&[nameless], &describe).await.unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(&mut db, "SELECT name FROM nodes").await.unwrap(),
        "New"
    );
    assert_eq!(
        one_i64(&mut db, "SELECT advert_timestamp FROM nodes").await,
        3_000
    );
}

#[tokio::test]
async fn a_node_that_comes_back_keeps_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let key = "aa".repeat(32);
    store
        .write(&[advert(1, "a", node(&key, Some("N"), 1))], &describe)
        .await
        .unwrap();
    let mut db = look(dir.path()).await;
    sqlx::raw_sql(
        "UPDATE nodes SET first_seen = '2020-01-01T00:00:00Z'; \
         INSERT INTO inactive_nodes SELECT * FROM nodes; DELETE FROM nodes;",
    )
    .execute(&mut db)
    .await
    .unwrap();
    store
        .write(&[advert(2, "a", node(&key, Some("N"), 2))], &describe)
        .await
        .unwrap();
    assert_eq!(
        one_text(&mut db, "SELECT first_seen FROM nodes")
            .await
            .unwrap(),
        "2020-01-01T00:00:00Z"
    );
    assert_eq!(one_i64(&mut db, "SELECT advert_count FROM nodes").await, 2);
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM inactive_nodes").await,
        0
    );
}

#[tokio::test]
async fn what_can_not_be_rebuilt_is_kept_as_received() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let first = reception(1, "a", "0102");
    let mut other_header = reception(1, "b", "01");
    other_header.raw[0] = 0x16;
    let mut trace = reception(1, "c", "03");
    trace.path_is_frame_path = false;
    let other_raw = hex::encode_upper(&other_header.raw);
    store
        .write(
            &[record(first), record(other_header), record(trace)],
            &describe,
        )
        .await
        .unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(&mut db, "SELECT raw_hex FROM observations WHERE id = 1").await,
        None
    );
    assert_eq!(
        one_text(&mut db, "SELECT raw_hex FROM observations WHERE id = 2").await,
        Some(other_raw)
    );
    assert!(
        one_text(&mut db, "SELECT raw_hex FROM observations WHERE id = 3")
            .await
            .is_some()
    );
}

#[tokio::test]
async fn a_refused_row_becomes_a_dead_letter_and_the_others_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let mut db = look(dir.path()).await;
    sqlx::raw_sql(
        "CREATE TRIGGER refuse BEFORE INSERT ON transmissions WHEN NEW.hash LIKE '%05' \
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let records: Vec<_> = (0..20).map(|n| record(reception(n, "a", ""))).collect();
    let outcome = store.write(&records, &describe).await.unwrap();
    assert_eq!(outcome.transmissions, 19);
    assert_eq!(outcome.dropped, [("store:1811".to_owned(), 1)]);
    assert_eq!(
        one_text(&mut db, "SELECT hash FROM dropped_packets")
            .await
            .unwrap(),
        "0000000000000005"
    );
    assert_eq!(one_i64(&mut db, "SELECT dropped FROM store_state").await, 1);
}

#[tokio::test]
async fn more_observers_than_the_limit_are_not_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let limited = StoreOptions {
        max_observers: 2,
        ..options(dir.path())
    };
    let (mut store, _) = Store::open(limited).await.unwrap();
    let records: Vec<_> = ["a", "b", "c", "a", "d"]
        .iter()
        .map(|o| record(reception(1, o, "")))
        .collect();
    let outcome = store.write(&records, &describe).await.unwrap();
    assert_eq!((outcome.observations, outcome.duplicates), (2, 1));
    assert_eq!(outcome.dropped, [("observer_limit".to_owned(), 2)]);
}

#[tokio::test]
async fn statuses_samples_neighbours_and_dead_letters_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let observer = Observer {
        id: "a".into(),
        seen_at: Some(NOW),
        ..Observer::default()
    };
    let status = |battery, model: Option<&str>| {
        Record::Status(Box::new(Status {
            observer: observer.clone(),
            model: model.map(str::to_owned),
            battery_mv: battery,
            noise_floor: Some(-115.0),
            sample_at: Some(NOW - NOW % 300),
            ..Status::default()
        }))
    };
    let retained = Record::Status(Box::new(Status {
        observer: Observer {
            id: "b".into(),
            seen_at: None,
            ..Observer::default()
        },
        online: Some(true),
        ..Status::default()
    }));
    let neighbors = Record::Neighbors(Box::new(Neighbors {
        observer: observer.clone(),
        neighbors: vec!["0011".into(), "ff".into()],
    }));
    let dropped = Record::Dropped(Box::new(Dropped {
        reason: "too_short".into(),
        hash: None,
        raw: vec![0xAB; 2_000],
        observer_id: Some("a".into()),
        observer_name: None,
    }));
    let records = [
        status(Some(4100), Some("T-Beam")),
        status(Some(4000), None),
        retained,
        neighbors.clone(),
        dropped,
        Record::Nothing,
    ];
    store.write(&records, &describe).await.unwrap();
    store.write(&[neighbors], &describe).await.unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(
            &mut db,
            "SELECT model || battery_mv FROM observers WHERE id='a'"
        )
        .await
        .unwrap(),
        "T-Beam4000"
    );
    assert_eq!(
        one_text(&mut db, "SELECT last_seen FROM observers WHERE id='b'").await,
        None
    );
    assert_eq!(
        one_i64(&mut db, "SELECT count(*) FROM observer_metrics").await,
        1
    );
    assert_eq!(
        one_i64(&mut db, "SELECT packet_count FROM observers WHERE id='a'").await,
        0
    );
    assert_eq!(
        one_i64(&mut db, "SELECT sum(count) FROM neighbor_edges").await,
        2
    );
    assert_eq!(
        one_i64(&mut db, "SELECT length(raw_hex) FROM dropped_packets").await,
        1024
    );
}

#[tokio::test]
async fn an_earlier_reception_moves_first_seen_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    store
        .write(&[record(reception(1, "a", ""))], &describe)
        .await
        .unwrap();
    let mut earlier = reception(1, "b", "");
    earlier.heard_at = NOW - 100;
    store.write(&[record(earlier)], &describe).await.unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_i64(&mut db, "SELECT unixepoch(first_seen) FROM transmissions").await,
        NOW - 100
    );
    assert_eq!(
        one_i64(&mut db, "SELECT last_seen FROM transmissions").await,
        NOW
    );
}

#[tokio::test]
async fn the_updates_find_their_rows_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, _) = open(dir.path()).await;
    let mut db = look(dir.path()).await;
    for sql in [
        "EXPLAIN QUERY PLAN WITH v(id, n, seen) AS (VALUES (1,2,3),(4,5,6)) UPDATE transmissions SET \
         observation_count = observation_count + v.n FROM v WHERE transmissions.id = v.id",
        "EXPLAIN QUERY PLAN WITH v(idx, n) AS (VALUES (1,2),(4,5)) UPDATE observers SET \
         packet_count = packet_count + v.n FROM v WHERE observers.rowid = v.idx",
    ] {
        let plan: Vec<String> = sqlx::query_as::<_, (i64, i64, i64, String)>(sql)
            .fetch_all(&mut db)
            .await
            .unwrap()
            .into_iter()
            .map(|r| r.3)
            .collect();
        assert!(
            plan.iter().any(|p| p.contains("USING INTEGER PRIMARY KEY")),
            "{plan:?}"
        );
    }
}

#[tokio::test]
async fn a_redelivery_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let mut again = reception(1, "a", "");
    store
        .write(&[record(reception(1, "a", ""))], &describe)
        .await
        .unwrap();
    let wal = std::fs::metadata(dir.path().join("mesh.db-wal"))
        .unwrap()
        .len();
    again.observer.seen_at = Some(NOW + 1);
    let outcome = store.write(&[record(again)], &describe).await.unwrap();
    assert_eq!(outcome.duplicates, 1);
    assert_eq!(
        std::fs::metadata(dir.path().join("mesh.db-wal"))
            .unwrap()
            .len(),
        wal
    );
}

#[tokio::test]
async fn a_node_whose_clock_was_set_back_is_still_alive() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let key = "aa".repeat(32);
    let right = advert(1, "a", node(&key, Some("Right"), 2_000));
    let Record::Reception(mut later) = advert(2, "a", node(&key, Some("Reset"), 1)) else {
        unreachable!("an advert is a reception");
    };
    later.heard_at = NOW + 500;
    store
        .write(&[right, Record::Reception(later)], &describe)
        .await
        .unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_text(
            &mut db,
            "SELECT name || advert_count || (unixepoch(last_seen) - unixepoch(first_seen)) || advert_timestamp \
             FROM nodes"
        )
        .await
        .unwrap(),
        "Right25002000"
    );
}

#[tokio::test]
async fn an_observer_known_from_a_retained_message_was_never_seen_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let key = "Ab".repeat(32);
    let status = |id: String, seen_at| {
        Record::Status(Box::new(Status {
            observer: Observer {
                id,
                seen_at,
                ..Observer::default()
            },
            sample_at: seen_at,
            ..Status::default()
        }))
    };
    store
        .write(&[status(key.clone(), None)], &describe)
        .await
        .unwrap();
    let mut db = look(dir.path()).await;
    let sql = "SELECT first_seen || last_seen FROM observers";
    assert_eq!(one_text(&mut db, sql).await, None);
    let seen = [
        status(key.to_lowercase(), Some(NOW)),
        status(key.to_uppercase(), Some(NOW - 60)),
    ];
    for record in seen {
        store.write(&[record], &describe).await.unwrap();
    }
    let sql = "SELECT unixepoch(last_seen) - unixepoch(first_seen) FROM observers";
    assert_eq!(one_i64(&mut db, sql).await, 60);
    // Samples are of the observer as it is stored, however it spells itself.
    let sql = "SELECT count(*) FROM observer_metrics m JOIN observers o ON o.id = m.observer_id";
    assert_eq!(one_i64(&mut db, sql).await, 2);
}
