//! Kills, stops, a broker that dies, a reader that never goes away.

use std::time::{Duration, Instant};

use meshcore_testkit::{announce, wait_until};

use crate::harness::{EndlessReader, Harness, LIMIT, Traffic};
use crate::oracle::{Oracle, wal_bytes};

/// How often the rarer faults are tried.
const TIMES: u32 = 10;

fn kills() -> u32 {
    std::env::var("TORTURE_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(50)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sigkill_at_random_moments_loses_nothing_acknowledged() {
    let mut harness = Harness::start(&[]).await;
    harness.make_session();
    let traffic = Traffic::start(&harness);
    let mut oracle = Oracle::default();
    for _ in 0..kills() {
        let mut ingestor = harness.start_ingestor(&[]);
        harness.wait_for_acks(1);
        harness.random_pause();
        ingestor.kill().unwrap();
        oracle.check_copy(&harness).await;
    }
    let published = traffic.stop().await;
    let mut ingestor = harness.start_ingestor(&[]);
    harness.wait_for_all(published, &ingestor);
    ingestor.terminate().unwrap();
    assert_eq!(ingestor.wait(LIMIT).unwrap().code(), Some(0));
    let stored = oracle.check_all(&harness, published).await;
    announce(&format!(
        "{} SIGKILLs (seed {}): {} packets published, {} acknowledgements seen, {stored} stored, 0 lost",
        kills(),
        harness.seed,
        published,
        harness.proxy.count(),
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sigterm_drains_checkpoints_and_exits_in_time() {
    let mut harness = Harness::start(&[]).await;
    harness.make_session();
    let traffic = Traffic::start(&harness);
    let mut oracle = Oracle::default();
    let mut longest = Duration::ZERO;
    for time in 1..=u64::from(TIMES) {
        let mut ingestor = harness.start_ingestor(&[]);
        harness.wait_for_acks(1);
        harness.random_pause();
        let stopped = Instant::now();
        ingestor.terminate().unwrap();
        let status = ingestor.wait(LIMIT).unwrap();
        longest = longest.max(stopped.elapsed());
        assert_eq!(status.code(), Some(0), "{}", ingestor.log());
        assert_eq!(wal_bytes(&harness.db), 0, "a clean stop leaves no WAL");
        // What it sent may still be on its way to the proxy, with the goodbye behind all acknowledgements. One
        // goodbye is from before.
        wait_until("the goodbye", LIMIT, || {
            (harness.proxy.disconnects() > time).then_some(())
        })
        .unwrap();
        oracle.check_copy(&harness).await;
        // What was committed before the stop was acknowledged before the DISCONNECT.
        assert_eq!(oracle.stored_but_not_acknowledged(&harness).await, 0);
    }
    assert_eq!(harness.proxy.disconnects(), u64::from(TIMES) + 1);
    traffic.stop().await;
    announce(&format!(
        "{TIMES} SIGTERMs under load: exit 0, empty WAL, the longest took {longest:?}"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_is_killed_takes_nothing_acknowledged_with_it() {
    let mut harness = Harness::start(&[]).await;
    harness.make_session();
    let traffic = Traffic::start(&harness);
    let mut oracle = Oracle::default();
    traffic.stop_waiting();
    let mut ingestor = harness.start_ingestor(&[]);
    for _ in 0..TIMES {
        harness.wait_for_acks(1);
        harness.random_pause();
        harness.broker.kill().unwrap();
        harness.broker.start_again().unwrap();
    }
    harness.wait_for_acks(1);
    traffic.stop().await;
    ingestor.terminate().unwrap();
    assert_eq!(
        ingestor.wait(LIMIT).unwrap().code(),
        Some(0),
        "{}",
        ingestor.log()
    );
    oracle.check_copy(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_in_another_process_changes_nothing() {
    let mut harness = Harness::start(&[]).await;
    harness.make_session();
    let traffic = Traffic::start(&harness);
    let mut oracle = Oracle::default();
    let reader = EndlessReader::start(&harness);
    for round in 0..TIMES {
        let mut ingestor = harness.start_ingestor(&[]);
        harness.wait_for_acks(1);
        harness.random_pause();
        if round % 2 == 0 {
            ingestor.kill().unwrap();
        } else {
            ingestor.terminate().unwrap();
            assert_eq!(
                ingestor.wait(LIMIT).unwrap().code(),
                Some(0),
                "{}",
                ingestor.log()
            );
        }
        oracle.check_copy(&harness).await;
    }
    traffic.stop().await;
    assert!(reader.stop() > 0, "the reader has read");
}

/// The fault that the kill test must catch.
#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kills_catch_an_ingestor_that_acknowledges_before_the_commit() {
    let mut harness = Harness::start(&[]).await;
    harness.make_session();
    let traffic = Traffic::start(&harness);
    let mut oracle = Oracle::default();
    let mut caught = false;
    for _ in 0..kills() {
        let mut ingestor = harness.start_ingestor(&[("MESHCORE_MUTANT", "ack-before-commit")]);
        harness.wait_for_acks(1);
        harness.random_pause();
        ingestor.kill().unwrap();
        if oracle.lost(&harness).await > 0 {
            caught = true;
            break;
        }
    }
    traffic.stop().await;
    assert!(caught, "the mutant survived {} kills", kills());
}
