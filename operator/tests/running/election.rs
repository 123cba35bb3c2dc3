//! Elections about a Lease of a real API server.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use meshcore_operator::lease::{Elector, Leadership, LeaseLost, Loss, Timing, holder};
use meshcore_testkit::kubernetes::{Component, ControlPlane, Version};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const NAME: &str = "election";

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

#[tokio::test]
async fn one_leads_and_the_next_one_takes_over_when_it_stops() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let leases = lease(plane.client().await.unwrap(), namespace.name());
    let first = Candidate::start(plane, namespace.name(), "first").await;
    first.leads_within(Duration::from_secs(5)).await;
    let second = Candidate::start(plane, namespace.name(), "second").await;
    // Longer than a Lease lasts: the first one renews it.
    for _ in 0..18 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(first.leadership.holds());
        assert!(!second.leadership.holds());
    }
    assert_eq!(holder(&leases.get(NAME).await.unwrap()), Some("first"));

    first.stop.cancel();
    let took = second.leads_within(Duration::from_secs(4)).await;
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
    let first = Candidate::start(plane, namespace.name(), "first").await;
    first.leads_within(Duration::from_secs(5)).await;
    let second = Candidate::start(plane, namespace.name(), "second").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    first.vanish().await;
    let took = second.leads_within(Duration::from_secs(20)).await;
    assert!(
        took >= Duration::from_secs(11),
        "taken after {took:?}, when it could still be held"
    );
    println!("a leader that was killed was followed after {took:?}");
}

#[tokio::test]
async fn a_leader_whose_api_server_does_not_answer_leads_no_longer() {
    let Some(plane) = ControlPlane::start(Version::chosen()).unwrap() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let leader = Candidate::start(&plane, namespace.name(), "leader").await;
    leader.leads_within(Duration::from_secs(5)).await;
    plane.pause(Component::ApiServer).unwrap();
    let start = Instant::now();
    let lost = timeout(Duration::from_secs(12), leader.task)
        .await
        .unwrap()
        .unwrap();
    let took = start.elapsed();
    assert!(!leader.leadership.holds());
    assert!(
        matches!(lost, Err(LeaseLost(Loss::NotRenewed { .. }))),
        "{lost:?}"
    );
    // The last renewal is up to a retry period old by then.
    assert!(
        took > Duration::from_secs(7) && took < Duration::from_secs(11),
        "{took:?}"
    );
    println!("a leader without an API server ended after {took:?}");
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
    leader.leads_within(Duration::from_secs(5)).await;
    let take = serde_json::json!({"spec": {"holderIdentity": "thief"}});
    let merge = kube::api::Patch::Merge(take);
    leases
        .patch(NAME, &kube::api::PatchParams::default(), &merge)
        .await
        .unwrap();
    let lost = timeout(Duration::from_secs(5), leader.task)
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
    let task = tokio::spawn(elector.run(stop.clone()));
    let mark = plane.audit().mark().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!leadership.holds());
    let asked = plane
        .audit()
        .since(mark)
        .await
        .unwrap()
        .by_user(nobody.user());
    assert!((2..=4).contains(&asked.len()), "{asked}");
    stop.cancel();
    task.await.unwrap().unwrap();
}
