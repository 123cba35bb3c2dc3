//! Starting, being ready, stopping.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use meshcore_operator::lease::holder;
use meshcore_resource::crd_yaml;
use meshcore_testkit::kubernetes::{
    Component, ControlPlane, Fate, FaultProxy, Namespace, RequestInfo, Version,
};
use meshcore_testkit::wait_until;

use crate::operator::{BINARY, Operator, SOON, account};

/// How long a stop may take when nothing holds it up: less than the 18 s for which reconciles are waited for. A
/// request about the Lease that is on its way is not cut.
const PROMPT: Duration = Duration::from_secs(15);
/// How long after a kill the next one leads: the Lease lasts for 15 s.
const AFTER_KILL: Duration = Duration::from_secs(40);
/// The same after a stop. Who waited for the end of the Lease would have 13 s of it left.
const AFTER_STOP: Duration = Duration::from_secs(10);

fn run(arguments: &[&str], kubeconfig: &Path, home: &Path) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        .env("LOG_FORMAT", "text")
        .output()
        .unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn it_becomes_ready_and_stops_when_it_is_asked_to() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(plane, &namespace).await;
    let start = Instant::now();
    let mut operator = Operator::start(&access, &namespace, &[]);
    operator.wait_ready();
    let ready = start.elapsed();
    operator.wait_to_lead(SOON);
    assert_eq!(operator.get("/health/live").unwrap().0, 200);
    operator.wait_for(
        "/metrics",
        200,
        "meshcore_operator_watch_age_seconds{kind=\"Pod\"}",
        SOON,
    );
    let leases: Api<Lease> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    let lease = leases.get("meshcore-operator").await.unwrap();
    assert!(holder(&lease).is_some());
    println!(
        "ready after {ready:?}, {} MiB resident at idle",
        resident(&operator)
    );

    let health = || {
        Command::new(BINARY)
            .arg("health")
            .env("MESHCORE_OPERATOR_ADDRESS", operator.address())
            .output()
            .unwrap()
    };
    let answer = health();
    assert_eq!(answer.status.code(), Some(0), "{}", complaint(&answer));
    assert!(String::from_utf8_lossy(&answer.stdout).contains("ready"));

    let start = Instant::now();
    let status = operator.stop(PROMPT);
    assert_eq!(status.code(), Some(0), "{}", operator.program.log());
    println!("stopped after {:?}", start.elapsed());
    let lease = leases.get("meshcore-operator").await.unwrap();
    assert_eq!(holder(&lease), None, "the Lease is given back");
    let answer = Command::new(BINARY)
        .args(["health", "--live", "--address", operator.address()])
        .output()
        .unwrap();
    assert_eq!(answer.status.code(), Some(1));
    assert!(
        complaint(&answer).contains(operator.address()),
        "{answer:?}"
    );
}

/// Mebibytes.
fn resident(operator: &Operator) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", operator.program.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes / 1024
}

#[test]
fn wrong_flags_end_it_with_2_and_a_sentence() {
    let home = tempfile::tempdir().unwrap();
    let none = home.path().join("none");
    for (arguments, words) in [
        (
            &["run", "--concurrency", "lots"][..],
            "--concurrency (MESHCORE_OPERATOR_CONCURRENCY) is \"lots\"",
        ),
        (
            &["run", "--address", "here"],
            "which is not an IP address and a port",
        ),
        (&["run", "--colour"], "unexpected argument '--colour'"),
        (&["walk"], "unrecognized subcommand 'walk'"),
        (&[], "Usage: meshcore-operator"),
    ] {
        let output = run(arguments, &none, home.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let complaint = complaint(&output);
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

#[test]
fn without_a_way_to_an_api_server_it_ends_with_2_and_says_what_to_set() {
    let home = tempfile::tempdir().unwrap();
    let output = run(&["run"], &home.path().join("none"), home.path());
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(
        complaint
            .contains("there is no way to an API server: set KUBECONFIG, or make ~/.kube/config"),
        "{complaint}"
    );
}

#[test]
fn a_port_that_is_taken_ends_it_with_2_and_is_named() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let kubeconfig = home.path().join("config");
    std::fs::write(&kubeconfig, NOWHERE).unwrap();
    let output = run(&["run", "--address", &address], &kubeconfig, home.path());
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(
        complaint.contains(&format!("can't listen on {address}")),
        "{complaint}"
    );
}

/// A kubeconfig that leads to a port on which nobody listens: the discard service's.
const NOWHERE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
    contexts: [{name: a, context: {cluster: a, user: a}}]\n\
    clusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}]\n\
    users: [{name: a, user: {token: none}}]\n";

#[test]
fn an_api_server_that_is_away_is_waited_for_and_a_stop_is_not_held_up_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    std::fs::write(&kubeconfig, NOWHERE).unwrap();
    let mut operator = Operator::start_with(&kubeconfig, &[]);
    operator.wait_for(
        "/health/ready",
        503,
        "the API server at https://127.0.0.1:9/ does not answer",
        SOON,
    );
    assert_eq!(
        operator.get("/health/live").unwrap().0,
        200,
        "a restart would not help"
    );
    let status = operator.stop(PROMPT);
    assert_eq!(status.code(), Some(0), "{}", operator.program.log());
}

#[test]
fn crd_prints_the_definition() {
    let home = tempfile::tempdir().unwrap();
    let output = run(&["crd"], &home.path().join("none"), home.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), crd_yaml());
}

#[tokio::test]
async fn a_definition_that_is_not_installed_is_waited_for() {
    let Some(plane) = ControlPlane::start(Version::chosen()).unwrap() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let access = account(&plane, &namespace).await;
    let mut operator = Operator::start(&access, &namespace, &[]);
    operator.wait_for(
        "/health/ready",
        503,
        "the definition of MeshCoreDeployment is not installed: apply what `meshcore-operator crd` prints",
        SOON,
    );
    assert_eq!(operator.get("/health/live").unwrap().0, 200);
    plane.install_crds(&crd_yaml()).await.unwrap();
    operator.wait_ready();
    operator.wait_to_lead(SOON);
    assert_eq!(operator.stop(PROMPT).code(), Some(0));
}

#[tokio::test]
async fn missing_rights_are_said_with_the_cure() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let nobody = plane
        .service_account(namespace.name(), "nobody")
        .await
        .unwrap();
    let operator = Operator::start(&nobody, &namespace, &[]);
    operator.wait_for("/health/ready", 503, "cannot list resource", SOON);
    let (_, body) = operator.get("/health/ready").unwrap();
    assert!(body.contains("bind the operator's role to it"), "{body}");
    assert!(body.contains(nobody.user()), "{body}");
    assert_eq!(operator.get("/health/live").unwrap().0, 200);
}

#[tokio::test]
async fn of_two_processes_one_leads_and_the_other_follows_a_kill() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(plane, &namespace).await;
    let mut first = Operator::start(&access, &namespace, &[]);
    first.wait_ready();
    first.wait_to_lead(SOON);
    let mut second = Operator::start(&access, &namespace, &[]);
    second.wait_ready();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        first.leads() && !second.leads(),
        "ready to take over, and no more"
    );

    first.program.kill().unwrap();
    let start = Instant::now();
    second.wait_to_lead(AFTER_KILL);
    println!("a killed operator was followed after {:?}", start.elapsed());

    let mut third = Operator::start(&access, &namespace, &[]);
    third.wait_ready();
    let start = Instant::now();
    assert_eq!(second.stop(PROMPT).code(), Some(0));
    third.wait_to_lead(AFTER_STOP);
    println!(
        "an operator that stopped was followed after {:?}",
        start.elapsed()
    );
    assert_eq!(third.stop(PROMPT).code(), Some(0));
}

#[tokio::test]
async fn a_leader_whose_api_server_hangs_ends_with_1() {
    let Some(plane) = ControlPlane::start(Version::chosen()).unwrap() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(&plane, &namespace).await;
    let mut operator = Operator::start(&access, &namespace, &[]);
    operator.wait_ready();
    operator.wait_to_lead(SOON);
    plane.pause(Component::ApiServer).unwrap();
    let status = operator.program.wait(Duration::from_secs(40)).unwrap();
    plane.resume(Component::ApiServer).unwrap();
    let log = operator.program.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("the Lease could not be renewed for 10 s"),
        "{log}"
    );
}

/// Lets something happen to an object of each kind every second, beside a test that blocks its own thread: a watch
/// that lives has heard something.
fn stir(plane: &ControlPlane, namespace: &Namespace) -> AbortOnDrop {
    let (admin, namespace) = (plane.admin().clone(), namespace.name().to_owned());
    AbortOnDrop(tokio::spawn(async move {
        let kinds = "meshcoredeployments,configmaps,persistentvolumeclaims,services,serviceaccounts,statefulsets,\
                     ingresses,networkpolicies,poddisruptionbudgets,pods";
        for beat in 0.. {
            let beat = format!("beat={beat}");
            let annotate = [
                "annotate",
                kinds,
                "-n",
                &namespace,
                "--all",
                "--overwrite",
                &beat,
            ];
            // Some are not there yet, or the API server is away.
            drop(admin.kubectl(&annotate).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A resource that has a child of each kind.
const ONE_OF_ALL: &str = "apiVersion: meshcore.dev/v1alpha1\nkind: MeshCoreDeployment\n\
    metadata: {name: bay-area, namespace: NAMESPACE}\n\
    spec:\n  mqttSources: [{name: local, broker: 'mqtt://mosquitto:1883'}]\n  storage: {size: 1Gi}\n  \
    ingress: {host: mesh.example.org}\n  networkPolicy: {enabled: true}\n  podDisruptionBudget: {enabled: true}\n";

#[tokio::test(flavor = "multi_thread")]
async fn without_election_an_api_server_that_is_away_is_waited_for() {
    let Some(plane) = ControlPlane::start(Version::chosen()).unwrap() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(&plane, &namespace).await;
    plane
        .admin()
        .apply_yaml(&ONE_OF_ALL.replace("NAMESPACE", namespace.name()))
        .await
        .unwrap();
    let flags = [
        "--leader-election",
        "false",
        "--watch-silence-seconds",
        "10",
    ];
    let mut operator = Operator::start(&access, &namespace, &flags);
    operator.wait_ready();
    let _stirring = stir(&plane, &namespace);
    assert!(operator.leads());
    plane.stop(Component::ApiServer).unwrap();
    operator.wait_for("/health/ready", 503, "does not answer", SOON);
    // Its watches hear nothing either, for longer than they may.
    operator.wait_for("/health/ready", 503, "has been silent", SOON);
    assert_eq!(
        operator.get("/health/live").unwrap().0,
        200,
        "a restart would not help"
    );
    plane.run(Component::ApiServer).await.unwrap();
    operator.wait_for("/health/ready", 200, "ready", Duration::from_mins(1));
    assert_eq!(operator.get("/health/live").unwrap().0, 200);
    assert_eq!(operator.stop(PROMPT).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_watch_beside_working_requests_fails_liveness() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(plane, &namespace).await;
    plane
        .admin()
        .apply_yaml(&ONE_OF_ALL.replace("NAMESPACE", namespace.name()))
        .await
        .unwrap();
    // Every watch of pods is dead from the beginning, and those of the others are not.
    let hangs = |request: &RequestInfo| {
        if request.is_watch() && request.resource == "pods" {
            Fate::Hang
        } else {
            Fate::Pass
        }
    };
    let proxy = FaultProxy::start(&access, hangs).await.unwrap();
    let flags = ["--watch-silence-seconds", "10"];
    let operator = Operator::start(&proxy.access(&access).unwrap(), &namespace, &flags);
    let _stirring = stir(plane, &namespace);
    operator.wait_for(
        "/health/ready",
        503,
        "\"the watch of Pod has been silent for more than 10 s\"",
        Duration::from_secs(40),
    );
    operator.wait_for(
        "/health/live",
        503,
        "the API server answers, but the watch of Pod has been silent for more than 10 s",
        Duration::from_secs(30),
    );
    assert!(operator.leads(), "all else goes on");
}

const RESOURCE: &str = "apiVersion: meshcore.dev/v1alpha1\nkind: MeshCoreDeployment\n\
    metadata: {name: bay-area, namespace: NAMESPACE}\n\
    spec: {mqttSources: [{name: local, broker: 'mqtt://mosquitto:1883'}], storage: {size: 1Gi}}\n";

#[tokio::test]
async fn a_stop_waits_for_the_reconcile_that_runs_and_gives_the_lease_back_after_it() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(plane, &namespace).await;
    let is_slow = |request: &RequestInfo| {
        if request.is_write() && request.resource == "statefulsets" {
            Fate::Delay(Duration::from_secs(2))
        } else {
            Fate::Pass
        }
    };
    let proxy = FaultProxy::start(&access, is_slow).await.unwrap();
    let mut operator = Operator::start(&proxy.access(&access).unwrap(), &namespace, &[]);
    operator.wait_ready();
    operator.wait_to_lead(SOON);
    plane
        .admin()
        .apply_yaml(&RESOURCE.replace("NAMESPACE", namespace.name()))
        .await
        .unwrap();
    wait_until("the StatefulSet is on its way", SOON, || {
        let seen = proxy.seen();
        seen.iter()
            .any(|seen| seen.request.is_write() && seen.request.resource == "statefulsets")
            .then_some(())
    })
    .unwrap();
    let status = operator.stop(SOON);
    assert_eq!(status.code(), Some(0), "{}", operator.program.log());
    let sets: Api<StatefulSet> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    assert!(
        sets.get_opt("bay-area").await.unwrap().is_some(),
        "it was made to the end"
    );
    let seen = proxy.seen();
    let last = seen
        .iter()
        .rev()
        .find(|seen| seen.request.is_write())
        .unwrap();
    assert_eq!(
        last.request.resource, "leases",
        "the Lease goes back last: {last:?}"
    );
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(plane, &namespace).await;
    let hangs = |request: &RequestInfo| {
        if request.is_write() && request.resource == "statefulsets" {
            Fate::Hang
        } else {
            Fate::Pass
        }
    };
    let proxy = FaultProxy::start(&access, hangs).await.unwrap();
    let mut operator = Operator::start(&proxy.access(&access).unwrap(), &namespace, &[]);
    operator.wait_ready();
    operator.wait_to_lead(SOON);
    plane
        .admin()
        .apply_yaml(&RESOURCE.replace("NAMESPACE", namespace.name()))
        .await
        .unwrap();
    wait_until("a write hangs", SOON, || (proxy.faults() > 0).then_some(())).unwrap();
    operator.program.terminate().unwrap();
    operator.wait_for("/health/ready", 503, "shutting_down", PROMPT);
    // The exit code of who did not wait for what hangs.
    assert_eq!(operator.stop(PROMPT).code(), Some(143));
}
