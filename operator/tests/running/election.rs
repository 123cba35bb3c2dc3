//! Elections about a Lease of a real API server.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};
use meshcore_operator::lease::{Elector, Leadership, LeaseLost, Loss, Timing, holder};
use meshcore_testkit::kubernetes::{Component, ControlPlane, Version, wait_for};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const NAME: &str = "election";
/// How long the first one may take, on a machine that does much else.
const FIRST: Duration = Duration::from_secs(30);
/// How long a Lease lasts, and a leadership without a renewal.
const LEASE: SignedDuration = SignedDuration::from_secs(15);
const RENEWAL: Duration = Duration::from_secs(10);

/// One that takes part in the election, in this process.
struct Candidate {
    leadership: Leadership,
    stop: CancellationToken,
    task: JoinHandle<Result<(), LeaseLost>>,
}

impl Candidate {
    async fn start(plane: &ControlPlane, namespace: &str, identity: &str) -> Self {
        let client = plane.client().await.unwrap();
        let elector = Elector::new(client, namespace, NAME, identity, Timing::default());
        let stop = CancellationToken::new();
        Self {
            leadership: elector.leadership(),
            task: tokio::spawn(elector.run(stop.clone())),
            stop,
        }
    }

    /// How long it takes until this one leads.
    async fn leads_within(&self, limit: Duration) -> Duration {
        let start = Instant::now();
        let leads = timeout(limit, self.leadership.acquired()).await;
        assert!(leads.is_ok(), "it does not lead after {limit:?}");
        start.elapsed()
    }

    /// Ends it as SIGKILL would.
    async fn vanish(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

fn lease(client: Client, namespace: &str) -> Api<Lease> {
    Api::namespaced(client, namespace)
}

/// When the Lease was renewed last, by the clock of whoever did: that of this machine.
async fn renewed(leases: &Api<Lease>) -> Timestamp {
    let spec = leases.get(NAME).await.unwrap().spec.unwrap();
    spec.renew_time.unwrap().0
}

#[tokio::test]
async fn one_leads_and_the_next_one_takes_over_when_it_stops() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let leases = lease(plane.client().await.unwrap(), namespace.name());
    let first = Candidate::start(plane, namespace.name(), "first").await;
    first.leads_within(FIRST).await;
    let second = Candidate::start(plane, namespace.name(), "second").await;
    // Longer than a Lease lasts: the first one renews it.
    for _ in 0..18 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(first.leadership.holds());
        assert!(!second.leadership.holds());
    }
    assert_eq!(holder(&leases.get(NAME).await.unwrap()), Some("first"));

    first.stop.cancel();
    // Who waited for the end of the Lease would have 13 s of it left.
    let took = second.leads_within(Duration::from_secs(10)).await;
    assert!(!first.leadership.holds());
    first.task.await.unwrap().unwrap();
    let after = leases.get(NAME).await.unwrap();
    assert_eq!(holder(&after), Some("second"));
    println!("a leader that stopped was followed after {took:?}");

    second.stop.cancel();
    second.task.await.unwrap().unwrap();
    let released = leases.get(NAME).await.unwrap();
    assert_eq!(holder(&released), None);
    let spec = released.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some(""));
    assert_eq!(spec.lease_transitions, Some(1));
}

#[tokio::test]
async fn the_next_one_waits_until_the_lease_of_a_killed_leader_is_over() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let leases = lease(plane.client().await.unwrap(), namespace.name());
    let first = Candidate::start(plane, namespace.name(), "first").await;
    first.leads_within(FIRST).await;
    let second = Candidate::start(plane, namespace.name(), "second").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    first.vanish().await;
    let renewed = renewed(&leases).await;
    let took = second.leads_within(Duration::from_secs(40)).await;
    let after = Timestamp::now().duration_since(renewed);
    assert!(
        after >= LEASE,
        "taken {after:#} after its renewal, when it could still be held"
    );
    println!("a leader that was killed was followed after {took:?}");
}

#[tokio::test]
async fn a_leader_whose_api_server_does_not_answer_leads_no_longer() {
    let Some(plane) = ControlPlane::start(Version::chosen()).unwrap() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let leases = lease(plane.client().await.unwrap(), namespace.name());
    let leader = Candidate::start(&plane, namespace.name(), "leader").await;
    leader.leads_within(FIRST).await;
    let renewed = renewed(&leases).await;
    plane.pause(Component::ApiServer).unwrap();
    let start = Instant::now();
    let task = async {
        let lost = leader.task.await.unwrap();
        (lost, Timestamp::now().duration_since(renewed))
    };
    // Whatever the task comes to, it does not lead when the last renewal that can have succeeded is too old.
    let is_over = async {
        tokio::time::sleep(RENEWAL).await;
        assert!(!leader.leadership.holds());
    };
    let (ended, ()) = tokio::join!(timeout(Duration::from_secs(40), task), is_over);
    let (lost, after) = ended.unwrap();
    assert!(!leader.leadership.holds());
    assert!(
        matches!(lost, Err(LeaseLost(Loss::NotRenewed { .. }))),
        "{lost:?}"
    );
    assert!(after.unsigned_abs() >= RENEWAL, "given up after {after:#}");
    println!(
        "a leader without an API server ended after {:?}",
        start.elapsed()
    );
    plane.resume(Component::ApiServer).unwrap();
}

#[tokio::test]
async fn a_leader_whose_lease_another_one_took_ends_at_its_next_renewal() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let leases = lease(plane.client().await.unwrap(), namespace.name());
    let leader = Candidate::start(plane, namespace.name(), "leader").await;
    leader.leads_within(FIRST).await;
    let take = serde_json::json!({"spec": {"holderIdentity": "thief"}});
    let merge = kube::api::Patch::Merge(take);
    leases
        .patch(NAME, &kube::api::PatchParams::default(), &merge)
        .await
        .unwrap();
    let lost = timeout(Duration::from_secs(30), leader.task)
        .await
        .unwrap()
        .unwrap();
    let Err(LeaseLost(loss)) = lost else {
        panic!("it goes on")
    };
    assert_eq!(loss.to_string(), "the Lease was taken by thief");
    assert!(!leader.leadership.holds());
    let now = leases.get(NAME).await.unwrap();
    assert_eq!(
        holder(&now),
        Some("thief"),
        "it does not take it back, nor empty it"
    );
}

#[tokio::test]
async fn without_rights_on_leases_nobody_leads_and_it_is_tried_again() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let nobody = plane
        .service_account(namespace.name(), "nobody")
        .await
        .unwrap();
    let client = nobody.client().await.unwrap();
    let elector = Elector::new(client, namespace.name(), NAME, "nobody", Timing::default());
    let leadership = elector.leadership();
    let stop = CancellationToken::new();
    let mark = plane.audit().mark().await.unwrap();
    let start = Instant::now();
    let task = tokio::spawn(elector.run(stop.clone()));
    let asked = wait_for("it asks a third time", async || {
        let asked = plane.audit().since(mark).await.unwrap();
        let asked = asked.by_user(nobody.user());
        (asked.len() >= 3).then_some(asked)
    })
    .await
    .unwrap();
    assert!(!leadership.holds());
    // The first time at once, and then every two seconds.
    let most = 1 + start.elapsed().as_secs() / 2;
    assert!(asked.len() as u64 <= most, "{most}: {asked}");
    stop.cancel();
    task.await.unwrap().unwrap();
}
