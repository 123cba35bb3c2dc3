//! Each part works, and nothing is left behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use meshcore_testkit::kubernetes::{
    Component, ControlPlane, Version, gateway_api_crds, helm, wait_for,
};
use serde_json::json;

use crate::common::{allow, create, map, refusal};

#[tokio::test]
async fn audit_log_counts_the_requests_of_one_user() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let writer = plane
        .service_account(namespace.name(), "writer")
        .await
        .unwrap();
    allow(plane, namespace.name(), writer.user(), "configmaps").await;
    let mut config = writer.config().await.unwrap();
    config.headers.push((
        http::header::USER_AGENT,
        "careful-writer/7".parse().unwrap(),
    ));
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), namespace.name());

    let mark = plane.audit().mark().await.unwrap();
    for _ in 0..2 {
        maps.patch(
            "one",
            &PatchParams::apply("tests"),
            &Patch::Apply(map("one")),
        )
        .await
        .unwrap();
    }
    maps.get("one").await.unwrap();
    let requests = plane.audit().since(mark).await.unwrap();

    let mine = requests.clone().by_user(writer.user());
    assert_eq!(mine.len(), 3, "{mine}");
    assert_eq!(mine.counts()["patch configmaps"], 2);
    assert_eq!(mine[0].code, 201);
    assert_eq!(mine[1].code, 200);
    assert_eq!(mine[0].namespace, namespace.name());
    assert_eq!(mine[0].name, "one");
    assert_eq!(mine.clone().writes().len(), 2);
    assert_eq!(requests.by_agent("careful-writer/").len(), 3);
    let later = plane.audit().mark().await.unwrap();
    let later = plane.audit().since(later).await.unwrap();
    assert_eq!(later.by_user(writer.user()).len(), 0);
}

#[tokio::test]
async fn users_have_the_rights_they_were_given_and_no_others() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let user = plane.user("somebody", Some("readers")).unwrap();
    let client = user.client().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace.name());
    let pods: Api<Pod> = Api::namespaced(client, namespace.name());

    assert_eq!(refusal(maps.list(&ListParams::default()).await), 403);
    allow(plane, namespace.name(), "somebody", "configmaps").await;
    let listed = maps.list(&ListParams::default()).await.unwrap();
    assert!(
        listed
            .items
            .iter()
            .any(|map| map.name_any() == "kube-root-ca.crt")
    );
    assert_eq!(refusal(pods.list(&ListParams::default()).await), 403);
}

#[tokio::test]
async fn child_disappears_with_its_owner() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    let owner = create(&maps, &map("owner")).await;
    let mut child = map("child");
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid().unwrap(),
    }]);
    create(&maps, &child).await;

    maps.delete("owner", &DeleteParams::default())
        .await
        .unwrap();
    wait_for("the child is gone", async || {
        maps.get_opt("child").await.unwrap().is_none().then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn stateful_set_makes_a_pod_and_a_claim() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let yaml = format!(
        r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: one, namespace: {}}}
spec:
  serviceName: one
  selector: {{matchLabels: {{app: one}}}}
  template:
    metadata: {{labels: {{app: one}}}}
    spec: {{containers: [{{name: one, image: "none:1"}}]}}
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
"#,
        namespace.name()
    );
    plane.admin().apply_yaml(&yaml).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    let pod = wait_for("the pod exists", async || {
        pods.get_opt("one-0").await.unwrap()
    })
    .await
    .unwrap();
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
    let claims = plane
        .admin()
        .kubectl(&["get", "pvc", "-n", namespace.name(), "-o=name"])
        .await
        .unwrap();
    assert_eq!(claims.trim(), "persistentvolumeclaim/data-one-0");
}

#[tokio::test]
async fn new_kinds_are_collected_with_their_owners_at_once() {
    let Some(plane) = start(Version::V1_34) else {
        return;
    };
    plane.install_crds(WIDGETS).await.unwrap();
    let manager = plane.id(Component::ControllerManager).unwrap();
    let namespace = plane.namespace().await.unwrap();
    let widget = format!(
        "apiVersion: tests.meshcore.dev/v1\nkind: Widget\nmetadata: {{name: one, namespace: {}}}\n",
        namespace.name()
    );
    plane.admin().apply_yaml(&widget).await.unwrap();
    let flags = ["-n", namespace.name()];
    let get = [
        &["get", "widget", "one", "-o=jsonpath={.metadata.uid}"],
        &flags[..],
    ]
    .concat();
    let uid = plane.admin().kubectl(&get).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    let mut child = map("child");
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "tests.meshcore.dev/v1", "kind": "Widget", "name": "one", "uid": uid,
    }]);
    create(&maps, &child).await;
    let delete = [&["delete", "widget", "one"], &flags[..]].concat();
    plane.admin().kubectl(&delete).await.unwrap();
    wait_for("the child is gone", async || {
        maps.get_opt("child").await.unwrap().is_none().then_some(())
    })
    .await
    .unwrap();

    plane.install_crds(WIDGETS).await.unwrap();
    assert_eq!(plane.id(Component::ControllerManager).unwrap(), manager);
}

#[tokio::test]
async fn parts_can_be_stopped_and_frozen_and_nothing_is_left_behind() {
    let Some(plane) = start(Version::V1_34) else {
        return;
    };
    let namespace = plane.namespace().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    create(&maps, &map("one")).await;

    plane.pause(Component::ApiServer).unwrap();
    let answer = tokio::time::timeout(Duration::from_millis(300), maps.get("one")).await;
    assert!(answer.is_err(), "a frozen API server answered");
    plane.resume(Component::ApiServer).unwrap();
    maps.get("one").await.unwrap();

    plane.stop(Component::ApiServer).unwrap();
    maps.get("one")
        .await
        .expect_err("a stopped API server answered");
    plane.run(Component::ApiServer).await.unwrap();
    maps.get("one").await.unwrap();
    plane.restart(Component::Etcd).await.unwrap();
    wait_for("etcd's data is back", async || maps.get("one").await.ok())
        .await
        .unwrap();

    drop(namespace);
    let folder = plane.folder().to_owned();
    drop(plane);
    assert!(!folder.exists());
    assert_eq!(processes_of(&folder), Vec::<String>::new());
}

/// What a control plane that is shared, and so never dropped, leaves when the tests are killed.
#[tokio::test]
async fn killed_tests_leave_nothing_behind() {
    if let Some(folder) = std::env::var_os("MESHCORE_TESTKIT_DIE_IN") {
        let Some(plane) = ControlPlane::shared() else {
            return;
        };
        std::fs::write(folder, plane.folder().to_str().unwrap()).unwrap();
        std::future::pending::<()>().await;
    }
    if ControlPlane::shared().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("folder");
    let mut tests = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "control_plane::killed_tests_leave_nothing_behind",
        ])
        .env("MESHCORE_TESTKIT_DIE_IN", &note)
        .spawn()
        .unwrap();
    let runs = async {
        loop {
            let text = std::fs::read_to_string(&note).unwrap_or_default();
            if !text.is_empty() {
                return text;
            }
            let ended = tests.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before: {ended:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Each of the three programs may take two minutes for its start.
    let plane = tokio::time::timeout(Duration::from_mins(7), runs).await;
    let plane = PathBuf::from(plane.expect("it runs"));
    // Three programs and the janitor.
    assert_eq!(processes_of(&plane).len(), 4);
    tests.kill().unwrap();
    tests.wait().unwrap();
    wait_for("all is gone", async || {
        (processes_of(&plane).is_empty() && !plane.exists()).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn newest_version_serves_and_reconciles() {
    let Some(plane) = start(Version::Newest) else {
        return;
    };
    let version = plane
        .client()
        .await
        .unwrap()
        .apiserver_version()
        .await
        .unwrap();
    assert_ne!(version.minor, "34");
    let namespace = plane.namespace().await.unwrap();
    plane.install_crds(&gateway_api()).await.unwrap();
    let routes = ["get", "httproutes", "-n", namespace.name()];
    plane.admin().kubectl(&routes).await.unwrap();
}

#[tokio::test]
async fn gateway_api_is_installed_from_its_module() {
    let Some(plane) = start(Version::V1_34) else {
        return;
    };
    let version = plane
        .client()
        .await
        .unwrap()
        .apiserver_version()
        .await
        .unwrap();
    assert_eq!(version.git_version, "v1.34.4");
    plane.install_crds(&gateway_api()).await.unwrap();
    let kinds = [
        "api-resources",
        "--api-group=gateway.networking.k8s.io",
        "-o=name",
    ];
    let kinds = plane.admin().kubectl(&kinds).await.unwrap();
    assert!(kinds.contains("httproutes."), "{kinds}");
}

#[tokio::test]
async fn both_helms_reach_the_cluster() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    for major in [3, 4] {
        let Some(helm) = helm(major).unwrap() else {
            return;
        };
        let output = Command::new(&helm)
            .args(["version", "--short"])
            .output()
            .unwrap();
        let version = String::from_utf8(output.stdout).unwrap();
        assert!(version.starts_with(&format!("v{major}.")), "{version}");
        let output = Command::new(helm)
            .args(["list", "--all-namespaces"])
            .env("KUBECONFIG", plane.admin().kubeconfig())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

fn start(version: Version) -> Option<ControlPlane> {
    ControlPlane::start(version).unwrap()
}

fn gateway_api() -> String {
    let files = gateway_api_crds().unwrap().unwrap();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    texts.collect::<Vec<_>>().join("\n---\n")
}

/// The command lines that name a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(folder) {
            found.push(line);
        }
    }
    found
}

const WIDGETS: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.tests.meshcore.dev}
spec:
  group: tests.meshcore.dev
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object}}
";
