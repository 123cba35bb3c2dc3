//! Whatever fails and however long: never a hot loop, and an end when the fault is over.

use std::time::Duration;

use meshcore_testkit::kubernetes::{ControlPlane, Fate, FaultProxy, RequestInfo};
use serde_json::json;

use crate::operator::Operator;
use crate::support::install_crd;
use crate::support::lane::Lane;
use crate::support::resources::{apply, until_ready, whole};

const NAMES: [&str; 3] = ["one", "two", "three"];
/// How long it is counted.
const MINUTE: Duration = Duration::from_mins(1);

pub(crate) async fn every_request_is_answered_with_500(plane: &'static ControlPlane) {
    work_that_fails(plane, |_| Fate::status(500), 300).await;
}

pub(crate) async fn every_request_is_one_too_many(plane: &'static ControlPlane) {
    let busy = |_: &RequestInfo| Fate::Status {
        code: 429,
        retry_after: Some(1),
    };
    work_that_fails(plane, busy, 300).await;
}

pub(crate) async fn every_write_is_a_conflict(plane: &'static ControlPlane) {
    let conflict = |request: &RequestInfo| {
        if request.is_write() {
            Fate::status(409)
        } else {
            Fate::Pass
        }
    };
    work_that_fails(plane, conflict, 150).await;
}

pub(crate) async fn every_watch_is_refused(plane: &'static ControlPlane) {
    watches_that_fail(plane, Fate::status(500)).await;
}

pub(crate) async fn every_watch_breaks_at_once(plane: &'static ControlPlane) {
    watches_that_fail(plane, Fate::CutWatchAfter(0)).await;
}

pub(crate) async fn every_watch_is_too_old_at_once(plane: &'static ControlPlane) {
    watches_that_fail(plane, Fate::ExpireWatchAfter(0)).await;
}

pub(crate) async fn every_watch_ends_at_once(plane: &'static ControlPlane) {
    watches_that_fail(plane, Fate::EndWatchAfter(0)).await;
}

/// Everything is well; then requests fail, just when there is much to do.
async fn work_that_fails(plane: &'static ControlPlane, fails: fn(&RequestInfo) -> Fate, most: u64) {
    let lane = lane(plane).await;
    let proxy = FaultProxy::start(&lane.access, |_: &_| Fate::Pass)
        .await
        .unwrap();
    let access = proxy.access(&lane.access).unwrap();
    let mut operator = start(&access, &lane);
    operator.wait_ready();
    apply(plane, lane.name(), &NAMES.map(|name| (name, whole()))).await;
    until_ready(plane, lane.name(), &NAMES).await;

    proxy.set_plan(fails);
    let before = proxy.count();
    let mut changed = whole();
    changed["retention"] = json!({"packetDays": 3});
    apply(
        plane,
        lane.name(),
        &NAMES.map(|name| (name, changed.clone())),
    )
    .await;
    let delete = [
        "delete",
        "-n",
        lane.name(),
        "services,networkpolicies",
        "--all",
    ];
    plane.admin().kubectl(&delete).await.unwrap();
    tokio::time::sleep(MINUTE).await;
    let calls = proxy.count() - before;
    println!("{calls} calls a minute while {:?}", fails(&write()));
    assert!(calls <= most, "{calls} calls: {:?}", proxy.counts());
    assert!(calls > 10, "it tries: {:?}", proxy.counts());

    proxy.calm();
    until_ready(plane, lane.name(), &NAMES).await;
    for name in NAMES {
        let get = ["get", "-n", lane.name(), "service,networkpolicy", name];
        plane.admin().kubectl(&get).await.unwrap();
    }
}

/// No watch lasts, from the beginning on, until the fault is over.
async fn watches_that_fail(plane: &'static ControlPlane, fate: Fate) {
    let lane = lane(plane).await;
    apply(plane, lane.name(), &NAMES.map(|name| (name, whole()))).await;
    let plan = move |request: &RequestInfo| {
        if request.is_watch() { fate } else { Fate::Pass }
    };
    let proxy = FaultProxy::start(&lane.access, plan).await.unwrap();
    let access = proxy.access(&lane.access).unwrap();
    let _operator = start(&access, &lane);
    tokio::time::sleep(MINUTE).await;
    let counts = proxy.counts();
    println!("in the first minute while {fate:?} for watches: {counts:?}");
    let watches = counts["list"] + counts["watch"];
    assert!(watches <= 400, "{counts:?}");
    assert!(counts["watch"] > 12, "it tries: {counts:?}");

    proxy.calm();
    until_ready(plane, lane.name(), &NAMES).await;
}

async fn lane(plane: &'static ControlPlane) -> Lane {
    install_crd(plane).await;
    Lane::new(plane).await
}

/// One that goes on whatever becomes of a Lease.
fn start(access: &meshcore_testkit::kubernetes::Access, lane: &Lane) -> Operator {
    Operator::start(access, &lane.namespace, &["--leader-election", "false"])
}

fn write() -> RequestInfo {
    RequestInfo {
        verb: "patch",
        ..RequestInfo::default()
    }
}
