//! A leader that was away for longer than its Lease lasts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use meshcore_testkit::kubernetes::{ControlPlane, Fate, FaultProxy, Moment, Plan, RequestInfo};
use meshcore_testkit::wait_until;

use crate::operator::{Operator, SOON};
use crate::support::install_crd;
use crate::support::lane::Lane;
use crate::support::resources::{apply, until_ready, whole};

pub(crate) async fn a_leader_that_was_frozen_in_a_reconcile_writes_nothing_when_it_goes_on(
    plane: &'static ControlPlane,
) {
    install_crd(plane).await;
    let lane = Lane::new(plane).await;
    let proxy = FaultProxy::start(&lane.access, |_: &_| Fate::Pass)
        .await
        .unwrap();
    let access = proxy.access(&lane.access).unwrap();
    let first = Operator::start(&access, &lane.namespace, &[]);
    first.wait_to_lead(SOON);
    let first = Arc::new(Mutex::new(first));
    let other = plane.service_account(lane.name(), "other").await.unwrap();
    let mut second = Operator::start(&other, &lane.namespace, &[]);
    second.wait_ready();

    let frozen = Arc::default();
    proxy.set_plan(Freezer {
        leader: Arc::clone(&first),
        frozen: Arc::clone(&frozen),
    });
    apply(plane, lane.name(), &[("mesh", whole())]).await;
    let is_frozen = || frozen.lock().unwrap().then_some(());
    wait_until("the leader is frozen", SOON, is_frozen).unwrap();
    let mark = plane.audit().mark().await.unwrap();
    second.wait_to_lead(Duration::from_secs(30));
    until_ready(plane, lane.name(), &["mesh"]).await;

    end_of_thawed(&first);
    let requests = plane.audit().since(mark).await.unwrap();
    let of_first = requests.clone().by_user(lane.access.user());
    println!("a leader that goes on asks for {:?}", of_first.counts());
    assert_eq!(of_first.clone().writes().len(), 0, "{of_first}");
    let of_second = requests.by_user(other.user()).writes();
    assert!(
        of_second.len() > 10,
        "the other one did the work: {of_second}"
    );
    assert!(second.leads());
}

/// Lets the frozen one go on, which ends it: it leads no longer.
fn end_of_thawed(leader: &Mutex<Operator>) {
    let program = &mut leader.lock().unwrap().program;
    assert!(program.ended().unwrap().is_none(), "{}", program.log());
    program.thaw().unwrap();
    let status = program.wait(SOON).unwrap();
    assert_eq!(status.code(), Some(1), "{}", program.log());
}

/// Freezes the leader when the API server has done the first of many writes.
struct Freezer {
    leader: Arc<Mutex<Operator>>,
    frozen: Arc<Mutex<bool>>,
}

impl Plan for Freezer {
    fn fate(&self, _: &RequestInfo) -> Fate {
        Fate::Pass
    }

    fn observe(&self, request: &RequestInfo, moment: Moment) {
        let mut frozen = self.frozen.lock().unwrap();
        let is_first = !*frozen && request.is_write() && request.resource == "services";
        if is_first && moment == Moment::Executed {
            self.leader.lock().unwrap().program.freeze().unwrap();
            *frozen = true;
        }
    }
}
