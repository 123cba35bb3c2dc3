//! `helm install`, `upgrade` and `uninstall`, with both majors that people have.

use std::path::PathBuf;
use std::process::Stdio;

use meshcore_testkit::kubernetes::{ControlPlane, Version, helm, wait_for};

use crate::files;
use crate::operator::Operator;

#[tokio::test]
async fn helm_3_installs_upgrades_and_uninstalls() {
    lives(3).await;
}

#[tokio::test]
async fn helm_4_installs_upgrades_and_uninstalls() {
    lives(4).await;
}

#[tokio::test]
async fn helm_installs_an_operator_for_namespaces_only() {
    let Some((plane, helm)) = start(4) else {
        return;
    };
    let crds = files::text("crds/meshcoredeployments.meshcore.dev.yaml");
    plane.install_crds(&crds).await.unwrap();
    plane
        .admin()
        .kubectl(&["create", "namespace", "north"])
        .await
        .unwrap();
    let settings = [
        "--set=rbac.profile=namespaced",
        "--set=rbac.aggregate=false",
        "--set=namespaces={north}",
    ];
    helm.run(
        &[
            &[
                "install",
                "op",
                OPERATOR,
                "--set=replicas=0",
                "--create-namespace",
            ],
            &settings[..],
        ]
        .concat(),
    )
    .await
    .unwrap();
    let roles = ["get", "clusterroles,clusterrolebindings", "-o=name"];
    let roles = plane.admin().kubectl(&roles).await.unwrap();
    assert!(
        !roles.contains("meshcore"),
        "nothing holds for the cluster: {roles}"
    );

    let mut operator =
        Operator::start_for(&plane, NAMESPACE, "op-meshcore-operator", Some("north")).await;
    operator.makes_an_analyzer_ready("north").await;
    operator.stops();
    assert_eq!(operator.refusals().await, Vec::<String>::new());
}

#[tokio::test]
async fn helm_says_what_is_wrong_with_values() {
    let Some(helm) = helm(4).unwrap() else {
        return;
    };
    for (settings, says) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("rbac.profile=all", "/rbac/profile"),
        (
            "deployments.bay.storage.sise=1Gi",
            "additional properties 'sise' not allowed",
        ),
        ("deployments.Bay.storage.size=1Gi", "/deployments"),
        (
            "replicas=2,leaderElection=false",
            "replicas above 1 need leaderElection: true",
        ),
        (
            "serviceAccount.create=false",
            "serviceAccount.name must name an existing service account",
        ),
    ] {
        let output = std::process::Command::new(&helm)
            .args(["template", "op", OPERATOR, "--set", settings])
            .current_dir(files::path(""))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(says),
            "{settings}: {error}"
        );
    }
}

const NAMESPACE: &str = "meshcore-system";
const CRDS: &str = "charts/meshcore-operator-crds";
const OPERATOR: &str = "charts/meshcore-operator";

/// An analyzer as a value of the chart.
const ANALYZER: [&str; 3] = [
    "--set=deployments.bay.mqttSources[0].name=local",
    "--set=deployments.bay.mqttSources[0].broker=mqtt://mosquitto:1883",
    "--set=deployments.bay.storage.size=1Gi",
];

async fn lives(major: u8) {
    let Some((plane, helm)) = start(major) else {
        return;
    };
    let admin = plane.admin();
    let wait = ["--wait", "--timeout=60s"];
    let install = ["install", "crds", CRDS, "--create-namespace"];
    helm.run(&[&install[..], &wait].concat()).await.unwrap();
    // A definition is accepted a moment before its kind is found.
    wait_for("the kind is served", async || {
        admin.kubectl(&["get", "mcd", "-A"]).await.ok()
    })
    .await
    .unwrap();
    // The operator of the test is a process outside, since there is no node; the chart's own has no pod.
    let install = [
        &["install", "op", OPERATOR, "--set=replicas=0"],
        &ANALYZER[..],
    ]
    .concat();
    let notes = helm.run(&install).await.unwrap();
    assert!(
        notes.contains("mcd/bay"),
        "the notes name the analyzer: {notes}"
    );

    let mut operator = Operator::start(&plane, NAMESPACE, "op-meshcore-operator").await;
    let pods = plane.ready_pods(NAMESPACE).await.unwrap();
    // Helm 4 waits by kstatus, for an analyzer as for anything else.
    let wait = [
        "upgrade",
        "op",
        OPERATOR,
        "--reuse-values",
        "--wait",
        "--timeout=60s",
    ];
    helm.run(&[&wait[..], &["--set=deployments.bay.image.tag=0.1.1"]].concat())
        .await
        .unwrap();
    if major == 4 {
        let generations = "-o=jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=='Ready')].status}";
        let ready = admin
            .kubectl(&["get", "mcd", "bay", "-n", NAMESPACE, generations])
            .await
            .unwrap();
        assert_eq!(
            ready, "2 2 True",
            "Helm waited until the analyzer was ready"
        );
    }
    drop(pods);
    operator.answers_the_probe_of_helm_test();
    assert_eq!(operator.refusals().await, Vec::<String>::new());

    if major == 4 {
        // What cannot become ready is a failed upgrade, with the reason.
        let stalled = [
            "--set=deployments.bay.storage.size=null",
            "--set=deployments.bay.storage.existingClaim=nowhere",
            "--timeout=5s",
        ];
        let refused = helm
            .run(
                &[
                    &["upgrade", "op", OPERATOR, "--reuse-values", "--wait"],
                    &stalled[..],
                ]
                .concat(),
            )
            .await;
        assert!(refused.is_err(), "a claim that can't change is refused");
    }

    helm.run(&["uninstall", "op", "--wait", "--timeout=60s"])
        .await
        .unwrap();
    operator.stops();
    helm.run(&["uninstall", "crds"]).await.unwrap();
    let crd = ["get", "crd", "meshcoredeployments.meshcore.dev", "-o=name"];
    assert!(
        admin.kubectl(&crd).await.is_ok(),
        "the definition outlives its release"
    );
    let claims = admin
        .kubectl(&["get", "pvc", "-n", NAMESPACE, "-o=name"])
        .await
        .unwrap();
    assert_eq!(
        claims.trim(),
        "persistentvolumeclaim/bay-data",
        "the data outlive the analyzer"
    );
    // And both can be installed again, over what was kept.
    helm.run(&["install", "crds", CRDS, "--take-ownership"])
        .await
        .unwrap();
}

struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    _home: tempfile::TempDir,
    home: PathBuf,
}

impl Helm {
    /// Runs Helm in the operator's namespace, and gives what it prints.
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = tokio::process::Command::new(&self.program)
            .args(arguments)
            .args(["--namespace", NAMESPACE])
            .current_dir(files::path(""))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.success(),
            "helm {}: {said}",
            arguments.join(" ")
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// A control plane of one's own, since definitions and roles are the cluster's.
fn start(major: u8) -> Option<(ControlPlane, Helm)> {
    let program = helm(major).unwrap()?;
    let plane = ControlPlane::start(Version::chosen()).unwrap()?;
    let home = tempfile::tempdir().unwrap();
    let helm = Helm {
        program,
        kubeconfig: plane.admin().kubeconfig().to_owned(),
        home: home.path().to_owned(),
        _home: home,
    };
    Some((plane, helm))
}
