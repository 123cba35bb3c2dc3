//! What these tests share.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use meshcore_testkit::kubernetes::{ControlPlane, wait_for};
use serde_json::json;

pub(crate) fn map(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

pub(crate) async fn create(maps: &Api<ConfigMap>, map: &serde_json::Value) -> ConfigMap {
    let map = serde_json::from_value(map.clone()).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap()
}

pub(crate) async fn allow(plane: &ControlPlane, namespace: &str, user: &str, resource: &str) {
    let yaml = format!(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {resource}, namespace: {namespace}}}
rules: [{{apiGroups: [""], resources: [{resource}], verbs: ["*"]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {resource}, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {resource}}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: "{user}"}}]
"#
    );
    plane.admin().apply_yaml(&yaml).await.unwrap();
    // The authorizer learns of it by a watch.
    let question = [
        "auth", "can-i", "list", resource, "-n", namespace, "--as", user,
    ];
    wait_for("the right is known", async || {
        plane.admin().kubectl(&question).await.ok()
    })
    .await
    .unwrap();
}

pub(crate) fn refusal<T: std::fmt::Debug>(answer: kube::Result<T>) -> u16 {
    match answer.unwrap_err() {
        kube::Error::Api(status) => status.code,
        error => panic!("{error}"),
    }
}
