//! `kubectl apply -k`, and the one file.

use meshcore_testkit::kubernetes::{ControlPlane, Version};
use serde_json::Value;

use crate::files;
use crate::operator::Operator;

#[tokio::test]
async fn kubectl_installs_the_operator_for_the_cluster() {
    // CRDs and roles of the cluster are in it, which other tests install too.
    let Some(plane) = ControlPlane::start(Version::chosen()).unwrap() else {
        return;
    };
    let admin = plane.admin();
    let base = files::path("manifests/base");
    let base = base.to_str().unwrap();
    // The way of a newcomer, by kubectl's own merge: the definition fits into the annotation that it leaves.
    admin.kubectl(&["apply", "-k", base]).await.unwrap();
    plane.wait_for_crds().await.unwrap();
    let again = admin.kubectl(&["apply", "-k", base]).await.unwrap();
    assert!(
        again.lines().all(|line| line.ends_with(" unchanged")),
        "{again}"
    );

    // The one file is the same.
    let install = files::path("manifests/install.yaml");
    let diff = ["diff", "-f", install.to_str().unwrap()];
    assert_eq!(admin.kubectl(&diff).await.unwrap(), "");

    let mut operator = Operator::start(&plane, "meshcore-system", "meshcore-operator").await;
    operator.makes_an_analyzer_ready("default").await;
    operator.stops();
    assert_eq!(operator.refusals().await, Vec::<String>::new());
}

#[tokio::test]
async fn kubectl_installs_the_operator_for_one_namespace() {
    let Some(plane) = ControlPlane::start(Version::chosen()).unwrap() else {
        return;
    };
    let admin = plane.admin();
    admin
        .kubectl(&["create", "namespace", "meshcore"])
        .await
        .unwrap();
    let crds = files::path("crds");
    plane
        .install_crds(&files::text("crds/meshcoredeployments.meshcore.dev.yaml"))
        .await
        .unwrap();
    admin
        .kubectl(&["apply", "--server-side", "-k", crds.to_str().unwrap()])
        .await
        .unwrap();
    let namespaced = files::path("manifests/namespaced");
    admin
        .kubectl(&["apply", "--server-side", "-k", namespaced.to_str().unwrap()])
        .await
        .unwrap();

    let roles = admin
        .kubectl(&["get", "clusterroles,clusterrolebindings", "-o=name"])
        .await
        .unwrap();
    assert!(
        !roles.contains("meshcore"),
        "nothing holds for the cluster: {roles}"
    );

    let mut operator =
        Operator::start_for(&plane, "meshcore", "meshcore-operator", Some("meshcore")).await;
    operator.makes_an_analyzer_ready("meshcore").await;
    operator.stops();
    assert_eq!(operator.refusals().await, Vec::<String>::new());
}

#[tokio::test]
async fn chart_and_manifests_install_the_same_operator() {
    let Some(helm) = meshcore_testkit::kubernetes::helm(4).unwrap() else {
        return;
    };
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let chart = files::path("charts/meshcore-operator");
    let output = std::process::Command::new(helm)
        .args([
            "template",
            "meshcore-operator",
            chart.to_str().unwrap(),
            "--namespace=meshcore-system",
            "--no-hooks",
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let chart = String::from_utf8(output.stdout).unwrap();
    let base = files::path("manifests/base");
    let base = plane
        .admin()
        .kubectl(&["kustomize", base.to_str().unwrap()])
        .await
        .unwrap();
    let of_chart = comparable(&chart);
    let of_base = comparable(&base);
    assert_eq!(of_chart, of_base);
}

/// The objects of an installation without what each way has of its own: labels, the definition and the namespace.
fn comparable(yaml: &str) -> Vec<Value> {
    let mut objects = files::documents(yaml);
    objects.retain(|object| {
        object["kind"] != "CustomResourceDefinition" && object["kind"] != "Namespace"
    });
    for object in &mut objects {
        if let Some(labels) = object["metadata"]
            .get_mut("labels")
            .and_then(Value::as_object_mut)
        {
            labels.retain(|key, _| key.contains("aggregate-to"));
            if labels.is_empty() {
                object["metadata"].as_object_mut().unwrap().remove("labels");
            }
        }
    }
    objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    objects
}
