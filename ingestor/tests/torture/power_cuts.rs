//! Power cuts: what the disk holds at any instant has everything that was acknowledged before it. Needs root
//! for its disks.

#[cfg(feature = "mutants")]
use std::process::Command;

use meshcore_testkit::{CuttableDisk, announce, can_mount};
#[cfg(feature = "mutants")]
use meshcore_testkit::{Program, Publisher, numbered_packet, wait_until};

#[cfg(feature = "mutants")]
use crate::harness::LIMIT;
use crate::harness::{Harness, Traffic};
use crate::oracle::Oracle;

fn cuts() -> u32 {
    std::env::var("TORTURE_CUTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(50)
}

/// A harness whose database is on a disk whose power can be cut.
async fn on_cuttable_disk() -> (Harness, CuttableDisk) {
    let disk = CuttableDisk::new(512).unwrap();
    let db = disk.path().join("mesh.db");
    let mut harness = Harness::start_at(tempfile::tempdir().unwrap(), db, &[]).await;
    harness.make_session();
    (harness, disk)
}

/// Cuts the power under load `cuts()` times, or until something is lost. Gives back in which cut that was.
async fn first_loss(env: &[(&str, &str)]) -> (Option<u32>, usize) {
    let (mut harness, disk) = on_cuttable_disk().await;
    let traffic = Traffic::start(&harness);
    let mut oracle = Oracle::default();
    let _ingestor = harness.start_ingestor(env);
    let mut lost = None;
    for cut in 0..cuts() {
        harness.wait_for_acks(1);
        harness.random_pause();
        // What is acknowledged up to here must be in what is cut off after here.
        oracle.look(&harness);
        let cut_disk = disk.cut().unwrap();
        traffic.pause(true);
        if oracle.lost_in(&cut_disk.path().join("mesh.db")).await > 0 {
            lost = Some(cut);
            break;
        }
        traffic.pause(false);
    }
    traffic.pause(false);
    traffic.stop().await;
    (lost, harness.proxy.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_power_cut_loses_nothing_acknowledged() {
    if !can_mount() {
        return;
    }
    let (lost, acknowledged) = first_loss(&[]).await;
    assert_eq!(
        lost, None,
        "acknowledged packets are missing after the power cut"
    );
    announce(&format!(
        "{} power cuts, {acknowledged} acknowledgements seen, 0 lost",
        cuts()
    ));
}

#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn power_cuts_catch_an_ingestor_that_does_not_sync_its_commits() {
    if !can_mount() {
        return;
    }
    let (lost, _) = first_loss(&[("MESHCORE_MUTANT", "synchronous-normal")]).await;
    let cut = lost.unwrap_or_else(|| panic!("the mutant survived {} power cuts", cuts()));
    announce(&format!(
        "synchronous=NORMAL was caught by power cut {}",
        cut + 1
    ));
}

/// The ghost commit: SIGKILL between the write of a commit and its fdatasync, a restart, the redelivery of
/// the message, its acknowledgement, a power cut. Says whether the message is lost.
#[cfg(feature = "mutants")]
async fn ghost_commit_is_lost(env: &[(&str, &str)]) -> bool {
    let (mut harness, disk) = on_cuttable_disk().await;
    let mut publisher = Publisher::start(harness.broker.port(), "publisher", 10).unwrap();
    let mut oracle = Oracle::default();
    let mut ingestor = harness.start_ingestor(env);
    // A first packet makes the observer and fills the caches: the second commit is an ordinary one.
    let first = numbered_packet(8);
    publisher
        .publish(&first.topic, first.payload)
        .await
        .unwrap();
    harness.wait_for_acks(1);

    let pid = ingestor.id().to_string();
    let log = harness.log("strace.log");
    let mut strace = Program::start_command::<&str, &str>(
        Command::new("strace")
            .args(["-f", "-p", &pid, "-e", "trace=fdatasync,fsync"])
            .args([
                "-e",
                "inject=fdatasync,fsync:error=EIO:signal=SIGKILL:when=1",
            ]),
        &[],
        &log,
    )
    .unwrap();
    wait_until("strace is attached", LIMIT, || {
        strace.log().contains("attached").then_some(())
    })
    .unwrap();
    let second = numbered_packet(16);
    publisher
        .publish(&second.topic, second.payload)
        .await
        .unwrap();
    ingestor.wait(LIMIT).unwrap();
    strace.wait(LIMIT).unwrap();
    assert_eq!(
        harness.proxy.count(),
        1,
        "the kill came before the acknowledgement"
    );

    let _again = harness.start_ingestor(env);
    harness.wait_for_acks(1);
    oracle.look(&harness);
    let cut_disk = disk.cut().unwrap();
    oracle.lost_in(&cut_disk.path().join("mesh.db")).await > 0
}

#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ghost_commit_is_not_acknowledged_before_it_is_real() {
    if !can_mount() {
        return;
    }
    assert!(!ghost_commit_is_lost(&[]).await);
}

#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ghost_commit_catches_an_ingestor_without_the_start_up_barrier() {
    if !can_mount() {
        return;
    }
    assert!(
        ghost_commit_is_lost(&[("MESHCORE_MUTANT", "no-barrier")]).await,
        "the mutant survived"
    );
}
