//! Where nothing changes, nothing is written.

use std::time::Duration;

use meshcore_testkit::kubernetes::{AuditMark, ControlPlane, Requests};
use serde_json::{Value, json};

use crate::operator::{Operator, SOON};
use crate::support::install_crd;
use crate::support::lane::Lane;
use crate::support::resources::{apply, minimal, until_ready, whole};

/// How long it is counted. Longer than a watch lasts, so that each begins anew meanwhile.
const QUIET: Duration = Duration::from_secs(301);
/// Each resource is looked at so often meanwhile: every 30 s, and a fifth later by chance.
const LOOKS: u64 = 8;
const FLAGS: [&str; 2] = ["--resync-seconds", "30"];

pub(crate) async fn five_minutes_of_resync_and_a_restart_cost_no_write_but_the_lease(
    plane: &'static ControlPlane,
) {
    install_crd(plane).await;
    let lane = Lane::new(plane).await;
    let mut operator = Operator::start(&lane.access, &lane.namespace, &FLAGS);
    operator.wait_to_lead(SOON);
    let specs = specs();
    apply(plane, lane.name(), &specs).await;
    until_ready(plane, lane.name(), &["whole", "minimal", "stopped"]).await;
    until_quiet(plane, &lane).await;

    let (mark, before) = (
        plane.audit().mark().await.unwrap(),
        reconciles(&operator).unwrap(),
    );
    tokio::time::sleep(QUIET).await;
    let looks = reconciles(&operator).unwrap() - before;
    let requests = since(plane, &lane, mark).await;
    println!("{looks} reconciles in {QUIET:?}: {:?}", requests.counts());
    assert!(looks >= LOOKS * specs.len() as u64, "{looks} reconciles");
    assert_no_write(requests);

    let mark = plane.audit().mark().await.unwrap();
    operator.stop(SOON);
    let operator = Operator::start(&lane.access, &lane.namespace, &FLAGS);
    operator.wait_to_lead(SOON);
    let all = async {
        while reconciles(&operator).is_none_or(|count| count < specs.len() as u64) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_mins(1), all).await;
    looked.expect("the new operator looks at each resource");
    // What the reconciles have asked for is done; nothing comes after it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let requests = since(plane, &lane, mark).await;
    println!("after a restart: {:?}", requests.counts());
    assert_no_write(requests);
}

/// Resources in the states in which a resource may stay for long.
fn specs() -> [(&'static str, Value); 5] {
    let [mut stopped, mut paused, mut lacking] = [minimal(), minimal(), minimal()];
    stopped["stopped"] = true.into();
    paused["paused"] = true.into();
    lacking["mqttSources"][0]["credentialsSecretRef"] = json!({"name": "missing"});
    [
        ("whole", whole()),
        ("minimal", minimal()),
        ("stopped", stopped),
        ("paused", paused),
        ("lacking", lacking),
    ]
}

fn assert_no_write(requests: Requests) {
    let lists = requests.clone().only(|entry| entry.verb == "watch");
    assert!(!lists.is_empty(), "the operator is seen in the log");
    let writes = requests.writes().only(|entry| entry.resource != "leases");
    assert_eq!(writes.len(), 0, "{writes}");
}

async fn since(plane: &ControlPlane, lane: &Lane, mark: AuditMark) -> Requests {
    let requests = plane.audit().since(mark).await.unwrap();
    requests.by_user(lane.access.user())
}

/// Waits until what the creation has caused is over.
async fn until_quiet(plane: &ControlPlane, lane: &Lane) {
    let quiet = async {
        loop {
            let mark = plane.audit().mark().await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
            let writes = since(plane, lane, mark).await.writes();
            if writes.only(|entry| entry.resource != "leases").is_empty() {
                return;
            }
        }
    };
    let quiet = tokio::time::timeout(Duration::from_mins(1), quiet).await;
    quiet.expect("the operator comes to rest");
}

/// How many reconciles the operator has ended; `None` when it does not answer in time.
fn reconciles(operator: &Operator) -> Option<u64> {
    let (_, metrics) = operator.get("/metrics")?;
    let mut lines = metrics.lines();
    let count =
        lines.find_map(|line| line.strip_prefix("meshcore_operator_reconcile_seconds_count "));
    Some(count.map_or(0, |count| count.parse().unwrap()))
}
