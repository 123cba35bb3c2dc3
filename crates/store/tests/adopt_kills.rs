//! Adoption is interrupted: by kills at any point, by a stop, by CoreScope itself. It goes on and ends the same.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

mod common;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::dump::{
    Dump, assert_all_kept, assert_counts_are_right, assert_merged_counts_are_right, dump, query,
};
use common::{describe, look, one_i64, open, options, reception, record};
use meshcore_store::{
    AdoptionProgress, AdoptionStep, Error, ProgressHook, Store, StoreOptions, import,
};
use meshcore_testkit::CoreScopeOptions;
use sqlx::AssertSqlSafe;

/// What the child process of a test does, and on which folder.
const ROLE: &str = "ADOPT_TEST_ROLE";
const FOLDER: &str = "ADOPT_TEST_FOLDER";
/// What the child makes in that folder when it is where its role wants it.
const MARK: &str = "mark";
/// It is killed long before.
const FOR_EVER: Duration = Duration::from_hours(1);

/// Not a test by itself: what the other tests start as a process of its own.
#[tokio::test]
async fn child() {
    let (Ok(role), Ok(folder)) = (std::env::var(ROLE), std::env::var(FOLDER)) else {
        return;
    };
    let folder = Path::new(&folder);
    match role.as_str() {
        "adopt" => open(folder).await.0.close().await.unwrap(),
        // It has counted something, and not all.
        "count some" => {
            let mark = folder.join(MARK);
            let options = StoreOptions {
                progress: ProgressHook::new(move |told| {
                    if told.step == AdoptionStep::Observations
                        && (1..told.total).contains(&told.done)
                    {
                        std::fs::write(&mark, "").unwrap();
                        std::thread::sleep(FOR_EVER);
                    }
                }),
                ..options(folder)
            };
            Store::open(options).await.unwrap();
        }
        "hold" => {
            let mut db = look(folder).await;
            one_i64(&mut db, "SELECT count(*) FROM observations").await;
            std::fs::write(folder.join(MARK), "").unwrap();
            std::future::pending::<()>().await;
        }
        other => panic!("no such role: {other}"),
    }
}

fn start(role: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn wait_for_mark(folder: &Path) {
    let until = Instant::now() + Duration::from_mins(1);
    while !folder.join(MARK).exists() {
        assert!(Instant::now() < until, "the child does not get there");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A file with something to do in each step.
fn large(transmissions: u32) -> CoreScopeOptions {
    CoreScopeOptions {
        transmissions,
        observers: 40,
        missing: vec![
            "from_pubkey_v1",
            "channel_hash_v1",
            "obs_observer_ts_idx_v1",
        ],
        observer_by_name: true,
        ..CoreScopeOptions::default()
    }
}

async fn contents(folder: &Path) -> Dump {
    let mut db = look(folder).await;
    dump(&mut db).await
}

/// Numbers that differ from run to run; what is checked must hold for all of them.
fn random() -> u64 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    u64::from(nanos).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33
}

#[tokio::test]
async fn killed_at_any_point_it_goes_on_and_ends_the_same() {
    let kills: usize = std::env::var("ADOPT_KILLS").map_or(20, |text| text.parse().unwrap());
    let source = tempfile::tempdir().unwrap();
    large(20_000).build(&source.path().join("mesh.db")).await;
    let before = contents(source.path()).await;

    let whole = tempfile::tempdir().unwrap();
    std::fs::copy(source.path().join("mesh.db"), whole.path().join("mesh.db")).unwrap();
    let started = Instant::now();
    assert!(start("adopt", whole.path()).wait().unwrap().success());
    let took = started.elapsed();
    let wanted = contents(whole.path()).await;
    assert_all_kept(&before, &wanted);

    let (mut done, mut rounds, mut in_steps) = (0, 0, std::collections::BTreeSet::new());
    // The longest that one may take. Several kills fit into one adoption; how many depends on what else runs, so it
    // becomes shorter after an adoption that was not hit, and longer while they are hit in the same step.
    let mut longest = took * 2 / 5;
    while done < kills {
        rounds += 1;
        let mut last_step = None;
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(source.path().join("mesh.db"), dir.path().join("mesh.db")).unwrap();
        loop {
            let mut adopting = start("adopt", dir.path());
            tokio::time::sleep(longest * u32::try_from(random() % 1_000).unwrap() / 1_000).await;
            if adopting
                .try_wait()
                .unwrap()
                .is_some_and(|status| status.success())
            {
                longest /= 2;
                break;
            }
            adopting.kill().unwrap();
            adopting.wait().unwrap();
            done += 1;
            if done >= kills {
                assert!(start("adopt", dir.path()).wait().unwrap().success());
                break;
            }
            let step = step_of(dir.path()).await;
            if last_step.as_ref() == Some(&step) {
                longest = longest * 3 / 2;
            }
            in_steps.insert(step.clone());
            last_step = Some(step);
        }
        let found = contents(dir.path()).await;
        assert!(found == wanted, "after {done} kills the file differs");
        let mut db = look(dir.path()).await;
        assert_counts_are_right(&mut db).await;
    }
    println!(
        "{done} kills in {rounds} adoptions of {took:?} each, found in the steps {in_steps:?}"
    );
    assert!(in_steps.len() > 1, "all kills were in {in_steps:?}");
}

/// The step that an interrupted adoption is in. The copy is looked at: looking must not change the file.
async fn step_of(folder: &Path) -> String {
    let copy = tempfile::tempdir().unwrap();
    for part in ["mesh.db", "mesh.db-wal"] {
        if folder.join(part).exists() {
            std::fs::copy(folder.join(part), copy.path().join(part)).unwrap();
        }
    }
    let mut db = look(copy.path()).await;
    let is_there = "SELECT count(*) FROM sqlite_schema WHERE name = 'store_jobs'";
    if one_i64(&mut db, is_there).await == 0 {
        return "nothing".to_owned();
    }
    let application_id = one_i64(&mut db, "PRAGMA application_id").await;
    let row = query(
        &mut db,
        "SELECT step, finished_at FROM store_jobs WHERE name = 'adoption'",
    )
    .await;
    assert_eq!(
        application_id == 0,
        row[0][1].is_empty(),
        "it is ours when it is finished, and not before"
    );
    row[0][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_at_any_point_it_stops_at_once_and_goes_on_later() {
    let source = tempfile::tempdir().unwrap();
    large(4_000).build(&source.path().join("mesh.db")).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(source.path().join("mesh.db"), dir.path().join("mesh.db")).unwrap();
    let mut stops = 0;
    for millis in [1, 2, 4, 8, 16, 30, 60, 90, 120, 150] {
        let opening = Store::open(options(dir.path()));
        match tokio::time::timeout(Duration::from_millis(millis), opening).await {
            Err(_) => stops += 1,
            Ok(opened) => {
                opened.unwrap().0.close().await.unwrap();
                break;
            }
        }
        // The statement at work ends too: nobody holds the file for good.
        let mut db = look(dir.path()).await;
        sqlx::raw_sql("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE; ROLLBACK")
            .execute(&mut db)
            .await
            .unwrap();
    }
    assert!(stops > 2, "{stops}");
    open(dir.path()).await.0.close().await.unwrap();
    let mut db = look(dir.path()).await;
    assert_all_kept(&contents(source.path()).await, &dump(&mut db).await);
    assert_counts_are_right(&mut db).await;
}

/// Opens the store in `dir` until it tells something that `is_wanted`, and ends it right there.
async fn stop_when(dir: &Path, is_wanted: fn(&AdoptionProgress) -> bool) {
    let options = StoreOptions {
        progress: ProgressHook::new(move |progress| {
            if is_wanted(progress) {
                // Unlike a panic it says nothing.
                std::panic::resume_unwind(Box::new("stopped"));
            }
        }),
        ..options(dir)
    };
    let ended = tokio::spawn(Store::open(options)).await;
    assert!(ended.is_err(), "it was not stopped");
}

#[tokio::test]
async fn stopped_between_indexes_again_and_again_it_keeps_what_is_built() {
    let dir = tempfile::tempdir().unwrap();
    // Observations that repeat others stand against one index; another one comes behind it.
    CoreScopeOptions {
        then: "DROP INDEX idx_obs_unique; DROP INDEX idx_tx_first_seen; \
               INSERT INTO observations(transmission_id, observer_idx, path_json, timestamp) \
               SELECT transmission_id, observer_idx, path_json, timestamp + 1 FROM observations \
               WHERE observer_idx IS NOT NULL LIMIT 33",
        ..CoreScopeOptions::default()
    }
    .build(&dir.path().join("mesh.db"))
    .await;
    let partial = "SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%id > %' ORDER BY 1";
    let mut found = Vec::new();
    for stop in 0..4 {
        // The last index is not built yet, all others are.
        stop_when(dir.path(), |told| {
            told.step == AdoptionStep::Indexes && told.done + 1 == told.total
        })
        .await;
        let now = query(&mut look(dir.path()).await, partial).await;
        assert_eq!(now.len(), 1, "stop {stop}: {now:?}");
        if stop > 0 {
            assert_eq!(now, found, "stop {stop}");
        }
        found = now;
    }
    let (store, opened) = open(dir.path()).await;
    assert_eq!(opened.adopted.unwrap().repeated_observations, 33);
    store.close().await.unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(query(&mut db, partial).await, found);
    assert_counts_are_right(&mut db).await;
}

#[tokio::test]
async fn a_count_of_what_core_scope_added_goes_on_beside_imported_packets() {
    let (dir, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut store, _) = open(dir.path()).await;
    let records: Vec<_> = (1..=9).map(|n| record(reception(n, "a", "01"))).collect();
    store.write(&records, &describe).await.unwrap();
    store.close().await.unwrap();
    let file = source.path().join("mesh.db");
    CoreScopeOptions::default().build(&file).await;
    import(&file, options(dir.path()), |_| ControlFlow::Continue(()))
        .await
        .unwrap();
    let mut db = look(dir.path()).await;
    assert_merged_counts_are_right(&mut db).await;
    let by_hour =
        "SELECT quote(sum(observations)), quote(sum(transmissions)) FROM observation_counts_hourly";
    let before = query(&mut db, by_hour).await;
    // Retention takes packets and leaves the counts of their hours. Then CoreScope runs on the file.
    sqlx::raw_sql(
        "DELETE FROM observations WHERE transmission_id IN (1, 2, -7); DELETE FROM transmissions WHERE id IN (1, 2, -7); \
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 6000) \
         INSERT INTO transmissions(raw_hex, hash, first_seen, payload_type) \
         SELECT '1500AA', printf('cccc%012x', n), '2026-10-01T00:00:00Z', 5 FROM n; \
         INSERT INTO observations(transmission_id, observer_idx, path_json, timestamp) \
         SELECT id, 1, '[]', 1790000000 FROM transmissions WHERE hash GLOB 'cccc*'",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let stops: [fn(&AdoptionProgress) -> bool; 2] = [
        |told| told.step == AdoptionStep::Transmissions,
        |told| told.step == AdoptionStep::Observations,
    ];
    for (stop, oldest) in stops.into_iter().zip([3, 4]) {
        stop_when(dir.path(), stop).await;
        // It runs again, and its retention takes something.
        sqlx::raw_sql(AssertSqlSafe(format!(
            "DELETE FROM observations WHERE transmission_id = {oldest}; DELETE FROM transmissions WHERE id = {oldest}"
        )))
        .execute(&mut db)
        .await
        .unwrap();
    }
    let (store, opened) = open(dir.path()).await;
    assert!(opened.adopted.expect("counted").was_ours);
    store.close().await.unwrap();
    let wrong = "SELECT count(*) FROM transmissions t WHERE observation_count <> \
                 (SELECT count(*) FROM observations o WHERE o.transmission_id = t.id)";
    assert_eq!(one_i64(&mut db, wrong).await, 0, "counts of packets");
    let after = query(&mut db, by_hour).await;
    for (before, after) in before[0].iter().zip(&after[0]) {
        let (before, after): (i64, i64) = (before.parse().unwrap(), after.parse().unwrap());
        assert_eq!(after, before + 6_000, "counts by hour");
    }
    let totals = "SELECT transmissions = (SELECT count(*) FROM transmissions) AND observations = (SELECT count(*) FROM observations) FROM store_state";
    assert_eq!(one_i64(&mut db, totals).await, 1);
    assert_eq!(open(dir.path()).await.1.adopted, None);
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_counted_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    large(20_000).build(&dir.path().join("mesh.db")).await;
    let mut adopting = start("count some", dir.path());
    wait_for_mark(dir.path()).await;
    adopting.kill().unwrap();
    adopting.wait().unwrap();
    let mut db = look(dir.path()).await;
    assert_eq!(one_i64(&mut db, "PRAGMA application_id").await, 0);
    let counted = "SELECT count(*) FROM observation_counts_hourly";
    assert!(one_i64(&mut db, counted).await > 0);
    sqlx::raw_sql(
        "DELETE FROM observations WHERE id % 100 = 7; DELETE FROM transmissions WHERE id NOT IN \
         (SELECT transmission_id FROM observations)",
    )
    .execute(&mut db)
    .await
    .unwrap();
    open(dir.path()).await.0.close().await.unwrap();
    assert_counts_are_right(&mut db).await;
}

#[tokio::test]
async fn a_file_that_another_process_has_open_is_waited_for_by_name() {
    let dir = tempfile::tempdir().unwrap();
    CoreScopeOptions::default()
        .build(&dir.path().join("mesh.db"))
        .await;
    let mut holder = start("hold", dir.path());
    wait_for_mark(dir.path()).await;
    let refused = Store::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains(&format!("process {}", holder.id())),
        "{refused}"
    );
    let mut db = look(dir.path()).await;
    assert_eq!(
        one_i64(
            &mut db,
            "SELECT count(*) FROM sqlite_schema WHERE name = 'store_jobs'"
        )
        .await,
        0
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (store, opened) = open(dir.path()).await;
    assert!(opened.adopted.is_some());
    store.close().await.unwrap();
}

/// The figure of docs/adoption.md; a million takes `ADOPT_TRANSMISSIONS=100000`.
#[tokio::test]
async fn adoption_is_linear_and_its_speed_is_known() {
    let transmissions =
        std::env::var("ADOPT_TRANSMISSIONS").map_or(10_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let built = CoreScopeOptions {
        transmissions,
        observers: 80,
        nodes: 1_000,
        ..CoreScopeOptions::default()
    };
    built.build(&dir.path().join("mesh.db")).await;
    let bytes = std::fs::metadata(dir.path().join("mesh.db")).unwrap().len();
    let started = Instant::now();
    let (store, opened) = open(dir.path()).await;
    let took = started.elapsed();
    store.close().await.unwrap();
    let adopted = opened.adopted.unwrap();
    let after = std::fs::metadata(dir.path().join("mesh.db")).unwrap().len();
    println!(
        "{} observations of {} packets adopted in {took:?}; {} MiB became {} MiB",
        adopted.observations,
        adopted.transmissions,
        bytes >> 20,
        after >> 20
    );
    assert!(adopted.observations >= i64::from(transmissions) * 9);
    assert!(took < Duration::from_mins(1), "{took:?}");
}
