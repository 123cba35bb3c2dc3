//! What a test does to objects, and reads of them.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use meshcore_resource::MeshCoreDeployment;
use meshcore_testkit::kubernetes::set_pod_status;
use serde_json::{Value, json};

use super::{Child, Stage};

impl Stage {
    /// Creates a resource, or changes it to this spec.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> MeshCoreDeployment {
        let object = json!({
            "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
            "metadata": {"name": name, "namespace": self.ns()}, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        let api = self.api::<MeshCoreDeployment>();
        api.patch(name, &params, &Patch::Apply(object))
            .await
            .expect("the resource is accepted")
    }
    /// Merges a patch into an object.
    pub(crate) async fn patch<K: Child>(&self, name: &str, patch: Value) -> K {
        let api = self.api::<K>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .expect("the patch is accepted")
    }
    /// Changes a resource in a way that means nothing but that it is looked at.
    pub(crate) async fn touch(&self, name: &str) {
        let resource: MeshCoreDeployment = self.api().get(name).await.unwrap();
        let days = resource.spec.retention.node_days.unwrap_or(100) + 1;
        let patch = json!({"spec": {"retention": {"nodeDays": days}}});
        self.patch::<MeshCoreDeployment>(name, patch).await;
    }
    /// Sets annotations of a resource; null takes one away.
    pub(crate) async fn annotate(&self, name: &str, annotations: Value) {
        let patch = json!({"metadata": {"annotations": annotations}});
        self.patch::<MeshCoreDeployment>(name, patch).await;
    }
    /// Deletes an object.
    pub(crate) async fn delete<K: Child>(&self, name: &str) {
        self.api::<K>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    /// Says in the kubelet's place how a pod is.
    pub(crate) async fn pod_says(&self, pod: &Pod, status: &Value) {
        let name = pod.metadata.name.as_deref().expect("a pod has a name");
        set_pod_status(&self.api(), name, status)
            .await
            .expect("the status is accepted");
    }
    /// Merges a patch into an object as its kind says, lists by their keys.
    pub(crate) async fn strategic<K: Child>(&self, name: &str, patch: Value) -> K {
        let api = self.api::<K>();
        let patched = api
            .patch(name, &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        patched.expect("the patch is accepted")
    }
    /// The reasons of the events about a resource.
    pub(crate) async fn event_reasons(&self, resource: &str) -> Vec<String> {
        let events: Api<Event> = self.api();
        let events = events.list(&ListParams::default()).await.unwrap();
        let about = events.items.into_iter().filter(|event| {
            let regarding = event.regarding.as_ref();
            regarding.is_some_and(|object| {
                object.name.as_deref() == Some(resource)
                    && object.kind.as_deref() == Some("MeshCoreDeployment")
            })
        });
        about.filter_map(|event| event.reason).collect()
    }
    /// The name of the configuration that the resource's pods mount.
    pub(crate) async fn config_map(&self, resource: &str) -> String {
        let set: StatefulSet = self.api().get(resource).await.unwrap();
        let pod = set.spec.unwrap().template.spec.unwrap();
        let mut volumes = pod.volumes.into_iter().flatten();
        volumes
            .find_map(|volume| volume.config_map)
            .expect("a configuration is mounted")
            .name
    }
}
