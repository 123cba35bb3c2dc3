//! What the pods may do, and what the operator may.

mod rights;
mod sandbox;

use serde_json::{Value, json};

use crate::scene::{NAMESPACE, Scene};
pub(crate) use rights::{nothing_was_forbidden, the_operator_uses_each_right_that_it_holds};
use sandbox::Sandbox;

pub(crate) async fn pods_have_no_token_no_capability_and_nothing_to_write_to(scene: Scene) {
    scene.deploy(&json!({})).await;
    let token = scene
        .value("pod/mesh-0", "{.spec.volumes[*].projected}")
        .await;
    assert_eq!(token, "", "a token is mounted");
    for container in ["ingestor", "server"] {
        let sandbox = Sandbox::of(scene.process(container).await);
        sandbox.assert_restricted();
        sandbox.assert_has_no_token();
        assert_eq!(sandbox.writable_mounts(), ["/data", "/tmp"], "{container}");
    }
    let id = operator(
        &scene,
        "{.items[0].status.containerStatuses[0].containerID}",
    )
    .await;
    let operator = Sandbox::of(scene.process_of(&id));
    operator.assert_restricted();
    assert_eq!(operator.writable_mounts(), [""; 0]);
}

pub(crate) async fn namespaces_refuse_pods_that_ask_for_more(scene: Scene) {
    scene.deploy(&json!({})).await;
    let pod = scene.kubectl(&["get", "pod/mesh-0", "-o=json"]).await;
    let mut pod: Value = serde_json::from_str(&pod.unwrap()).unwrap();
    pod["metadata"] = json!({"name": "more"});
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = json!({"add": ["SYS_ADMIN"]});
    pod["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
    let refused = scene.apply(&pod.to_string()).await.unwrap_err().to_string();
    for part in [
        "violates PodSecurity \"restricted:latest\"",
        "unrestricted capabilities",
        "runAsNonRoot != true",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    // The operator lives in such a namespace too.
    let label = r"-o=jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}";
    let admin = scene.cluster.admin();
    let enforced = admin.kubectl(&["get", "namespace", NAMESPACE, label]).await;
    assert_eq!(enforced.unwrap(), "restricted");
    let phase = operator(&scene, "{.items[0].status.phase}").await;
    assert_eq!(phase, "Running");
}

/// A value of the list of the operator's pods.
async fn operator(scene: &Scene, path: &str) -> String {
    let path = format!("-o=jsonpath={path}");
    let selector = "-l=app.kubernetes.io/name=meshcore-operator";
    let arguments = ["get", "pods", "-n", NAMESPACE, selector, &path];
    scene.cluster.admin().kubectl(&arguments).await.unwrap()
}
