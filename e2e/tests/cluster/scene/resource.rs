//! The resource under test.

use serde_json::{Value, json};

use super::{Scene, broker, wait_for_page};

/// A resource `mesh` for the broker of the scene; fields of `spec` are merged into it.
pub(crate) fn resource(spec: &Value) -> Value {
    let mut resource = json!({
        "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
        "metadata": {"name": "mesh"},
        "spec": {
            "mqttSources": [{"name": "broker", "broker": broker::URL}],
            "storage": {"size": "400Mi", "storageClassName": "standard"},
        },
    });
    merge(&mut resource["spec"], spec);
    resource
}

/// JSON merge patch (RFC 7386).
fn merge(to: &mut Value, from: &Value) {
    let Value::Object(fields) = from else {
        *to = from.clone();
        return;
    };
    for (name, value) in fields {
        merge(&mut to[name.as_str()], value);
    }
}

impl Scene {
    /// Applies the resource and waits until it is Ready.
    pub(crate) async fn deploy(&self, spec: &Value) {
        self.apply(&resource(spec).to_string()).await.unwrap();
        self.wait("mcd/mesh", "condition=Ready").await;
    }

    /// Changes the resource.
    pub(crate) async fn change(&self, spec: &Value) {
        self.patch("mcd/mesh", &json!({"spec": spec})).await;
    }

    /// Merges fields into an object.
    pub(crate) async fn patch(&self, object: &str, fields: &Value) {
        self.try_patch(object, fields).await.unwrap();
    }

    /// [`Self::patch`], where it may be refused.
    pub(crate) async fn try_patch(&self, object: &str, fields: &Value) -> anyhow::Result<String> {
        let fields = fields.to_string();
        self.kubectl(&["patch", object, "--type=merge", "-p", &fields])
            .await
    }

    /// The address of the page, by way of its Service, which follows a ready pod within a second.
    pub(crate) async fn page(&self) -> String {
        let address = self.value("service/mesh", "{.spec.clusterIP}").await;
        let port = self.value("service/mesh", "{.spec.ports[0].port}").await;
        let page = format!("{address}:{port}");
        wait_for_page(&page).await;
        page
    }
}
