//! How pods ended, as a kubelet would report it, and what the status of the resource says about it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Binding, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use meshcore_operator::last_shutdown::Program;
use meshcore_resource::{LastShutdown, MeshCoreDeployment, Observed, crd_yaml};
use meshcore_telemetry::AdminServer;
use meshcore_testkit::kubernetes::{ControlPlane, Namespace, ready_status, set_pod_status};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::operator::{Operator, account};

const NAME: &str = "bay-area";
const POD: &str = "bay-area-0";
const LIMIT: Duration = Duration::from_secs(30);

struct World {
    pods: Api<Pod>,
    resources: Api<MeshCoreDeployment>,
    namespace: Namespace,
}

impl World {
    async fn new(plane: &ControlPlane) -> Self {
        plane.install_crds(&crd_yaml()).await.unwrap();
        let namespace = plane.namespace().await.unwrap();
        let resource = format!(
            "apiVersion: meshcore.dev/v1alpha1\nkind: MeshCoreDeployment\n\
             metadata: {{name: {NAME}, namespace: {}}}\n\
             spec: {{mqttSources: [{{name: local, broker: 'mqtt://mosquitto:1883'}}], storage: {{size: 1Gi}}}}\n",
            namespace.name()
        );
        plane.admin().apply_yaml(&resource).await.unwrap();
        let client = plane.client().await.unwrap();
        Self {
            pods: Api::namespaced(client.clone(), namespace.name()),
            resources: Api::namespaced(client, namespace.name()),
            namespace,
        }
    }

    /// Waits for a pod that is not `former`, and runs it at `ip`, as a scheduler and a kubelet would.
    async fn run_pod(&self, former: Option<&str>, ip: &str) -> String {
        let pod = until("a new pod", || async {
            let pod = self.pods.get_opt(POD).await.unwrap()?;
            let is_new =
                pod.uid().as_deref() != former && pod.metadata.deletion_timestamp.is_none();
            is_new.then_some(pod)
        })
        .await;
        let binding: Binding = serde_json::from_value(json!({
            "metadata": {"name": POD}, "target": {"kind": "Node", "name": "nowhere"},
        }))
        .unwrap();
        let _: Value = self
            .pods
            .create_subresource("binding", POD, &PostParams::default(), &binding)
            .await
            .unwrap();
        let mut status = ready_status(&pod);
        status["podIP"] = json!(ip);
        status["podIPs"] = json!([{"ip": ip}]);
        set_pod_status(&self.pods, POD, &status).await.unwrap();
        pod.uid().unwrap()
    }

    /// Deletes the pod in the ordinary way; its programs stop as these say.
    async fn stop_pod(&self, server: &Value, ingestor: &Value) {
        self.pods
            .delete(POD, &DeleteParams::default())
            .await
            .unwrap();
        let ended = json!({
            "containerStatuses": [ended("server", server)],
            "initContainerStatuses": [ended("ingestor", ingestor)],
        });
        set_pod_status(&self.pods, POD, &ended).await.unwrap();
        self.remove_pod().await;
    }

    /// Removes the pod at once, as a kubelet does at the end, and a forced deletion without one.
    async fn remove_pod(&self) {
        let now = DeleteParams::default().grace_period(0);
        self.pods.delete(POD, &now).await.unwrap();
    }

    async fn last_shutdown(&self) -> Option<LastShutdown> {
        self.resources
            .get(NAME)
            .await
            .unwrap()
            .status?
            .last_shutdown
    }

    /// Waits until the status says it as wanted.
    async fn says(&self, what: &str, is_wanted: impl Fn(&LastShutdown) -> bool) -> LastShutdown {
        until(what, || async {
            self.last_shutdown().await.filter(|last| is_wanted(last))
        })
        .await
    }
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut question: impl FnMut() -> F) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(Instant::now() < limit, "not after {LIMIT:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn ended(name: &str, terminated: &Value) -> Value {
    json!({
        "name": name, "image": name, "imageID": "", "ready": false, "restartCount": 0,
        "state": {"running": null, "terminated": terminated},
    })
}

/// A clean stop at this second of a minute, with its report.
fn clean(program: &str, second: u32) -> Value {
    json!({
        "exitCode": 0, "reason": "Completed", "startedAt": "2026-11-21T09:00:00Z",
        "finishedAt": format!("2026-11-21T10:00:{second:02}Z"),
        "message": report(program, second).to_string(),
    })
}

fn report(program: &str, second: u32) -> Value {
    json!({
        "program": program, "cause": "SIGTERM", "clean": true, "exitCode": 0, "budgetSeconds": 20,
        "startedAt": format!("2026-11-21T10:00:{:02}Z", second - 1),
        "at": format!("2026-11-21T10:00:{second:02}.25Z"), "tookMilliseconds": 1250,
        "phases": [{"name": format!("{program}_step"), "milliseconds": 40, "outcome": "ok"}],
    })
}

/// Programs at a loopback address of their own, which serve these reports of those before them.
fn programs(ip: Ipv4Addr, server: &Value, ingestor: &Value) -> String {
    for (program, report) in [(Program::Server, server), (Program::Ingestor, ingestor)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        if !report.is_null() {
            std::fs::write(&file, report.to_string()).unwrap();
        }
        let address = SocketAddr::new(IpAddr::V4(ip), program.port());
        let router = meshcore_telemetry::LastShutdown::take(&file).router();
        AdminServer::start(address, router).unwrap();
    }
    ip.to_string()
}

/// An address of the loopback network that no other test has: the ports are those of every pod.
fn address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 81, high, low)
}

// The operator is a process of its own, and the programs are served beside a test that waits.
#[tokio::test(flavor = "multi_thread")]
async fn ends_that_are_seen_reported_and_unknown_are_told_apart() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let world = World::new(plane).await;
    let access = account(plane, &world.namespace).await;
    let mut operator = Operator::start(&access, &world.namespace, &[]);
    operator.wait_ready();
    let nobody = "192.0.2.1";

    let first = world.run_pod(None, nobody).await;
    world
        .stop_pod(&clean("server", 5), &clean("ingestor", 7))
        .await;
    let seen = world
        .says("a clean stop", |last| last.clean == Some(true))
        .await;
    assert_eq!(seen.pod_uid.as_deref(), Some(first.as_str()));
    assert_eq!(seen.observed, Some(Observed::Watch));
    assert_eq!(seen.cause.as_deref(), Some("SIGTERM"));
    assert_eq!(seen.budget_seconds, Some(60));
    // 5 s of the preStop hook, and from the 4th second to the 7th.
    assert_eq!(seen.took_seconds, Some(9));
    let phases: Vec<_> = seen
        .phases
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    assert_eq!(phases, ["server_step", "ingestor_step"]);

    let second = world.run_pod(Some(&first), nobody).await;
    let killed = json!({
        "exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-11-21T10:01:00Z",
        "finishedAt": "2026-11-21T10:02:00Z",
    });
    world.stop_pod(&clean("server", 9), &killed).await;
    let unclean = world
        .says("an unclean stop", |last| last.clean == Some(false))
        .await;
    assert_eq!(
        unclean.cause.as_deref(),
        Some("ingestor: OOMKilled (exit code 137)")
    );
    assert_eq!(unclean.pod_uid.as_deref(), Some(second.as_str()));

    let third = world.run_pod(Some(&second), nobody).await;
    world.remove_pod().await;
    let unknown = world
        .says("an unknown end", |last| {
            last.observed == Some(Observed::None)
        })
        .await;
    let expected = LastShutdown {
        pod_uid: Some(third.clone()),
        observed: Some(Observed::None),
        ..LastShutdown::default()
    };
    assert_eq!(unknown, expected);

    let address = programs(address(), &report("server", 31), &report("ingestor", 33));
    let fourth = world.run_pod(Some(&third), &address).await;
    let told = world
        .says("a reported end", |last| {
            last.observed == Some(Observed::Report)
        })
        .await;
    assert_eq!(told.pod_uid.as_deref(), Some(third.as_str()));
    assert_eq!((told.clean, told.took_seconds), (Some(true), Some(4)));

    // A new operator is told the same again, which is no news.
    operator.stop(LIMIT);
    let mark = plane.audit().mark().await.unwrap();
    let mut operator = Operator::start(&access, &world.namespace, &[]);
    operator.wait_ready();
    operator.wait_to_lead(LIMIT);
    sleep(Duration::from_secs(3)).await;
    let writes = plane
        .audit()
        .since(mark)
        .await
        .unwrap()
        .by_user(access.user())
        .writes();
    let writes = writes.only(|entry| entry.resource != "leases");
    assert_eq!(writes.len(), 0, "{writes}");
    assert_eq!(world.last_shutdown().await, Some(told));

    // Nobody sees the next one: the operator is away.
    operator.stop(LIMIT);
    world
        .stop_pod(&clean("server", 40), &clean("ingestor", 41))
        .await;
    let mut next = self::address().octets();
    next[1] = 82;
    let address = programs(next.into(), &report("server", 40), &report("ingestor", 41));
    world.run_pod(Some(&fourth), &address).await;
    let _operator = Operator::start(&access, &world.namespace, &[]);
    let told = world
        .says("the end that nobody saw", |last| last.pod_uid.is_none())
        .await;
    assert_eq!(told.observed, Some(Observed::Report));
    assert_eq!(told.at.unwrap().0.to_string(), "2026-11-21T10:00:41Z");
}
