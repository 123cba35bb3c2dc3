//! The analyzer's pod, as the kubelet reports it.

use k8s_openapi::api::core::v1::{self, ContainerStatus};
use kube::Api;

use super::{Scene, until};

/// Its name.
pub(crate) const POD: &str = "mesh-0";

/// A look at the pod.
pub(crate) struct Pod(pub(crate) v1::Pod);

impl Scene {
    /// The pods of this scene.
    pub(crate) async fn pods(&self) -> Api<v1::Pod> {
        let client = self.cluster.client().await.unwrap();
        Api::namespaced(client, self.namespace.name())
    }

    /// The pod as it is.
    pub(crate) async fn pod(&self) -> Pod {
        Pod(self.pods().await.get(POD).await.unwrap())
    }

    /// Waits until the pod is so.
    pub(crate) async fn wait_for_pod(&self, what: &str, is_so: impl Fn(&Pod) -> bool) -> Pod {
        let pods = self.pods().await;
        until(what, async || {
            let pod = pods.get_opt(POD).await.unwrap().map(Pod);
            match pod {
                Some(pod) if is_so(&pod) => Ok(pod),
                _ => Err(pod.and_then(|pod| pod.0.status)),
            }
        })
        .await
    }

    /// Waits until another pod has taken the place of the one with this UID, and is ready.
    pub(crate) async fn wait_for_another_pod(&self, former: &str) -> Pod {
        let is_next = |pod: &Pod| pod.uid() != former && pod.is_ready();
        self.wait_for_pod("another pod", is_next).await
    }
}

impl Pod {
    pub(crate) fn uid(&self) -> &str {
        self.0.metadata.uid.as_deref().unwrap()
    }

    pub(crate) fn address(&self) -> Option<&str> {
        self.0.status.as_ref()?.pod_ip.as_deref()
    }

    pub(crate) fn is_being_deleted(&self) -> bool {
        self.0.metadata.deletion_timestamp.is_some()
    }

    /// Whether the kubelet calls it ready, and nobody has deleted it.
    pub(crate) fn is_ready(&self) -> bool {
        let status = self.0.status.as_ref();
        let conditions = status.and_then(|it| it.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        !self.is_being_deleted()
            && conditions.any(|one| one.type_ == "Ready" && one.status == "True")
    }

    /// Whether it is the same pod, with the same containers.
    pub(crate) fn is_untouched(&self, now: &Self) -> bool {
        let ids = |pod: &Self| {
            ["ingestor", "server"].map(|name| pod.container_id(name).map(str::to_owned))
        };
        self.uid() == now.uid() && ids(self) == ids(now)
    }

    /// The status of a container, which may be a sidecar; `None` before the kubelet has seen it.
    pub(crate) fn container(&self, name: &str) -> Option<&ContainerStatus> {
        let status = self.0.status.as_ref()?;
        let containers = status.container_statuses.iter().flatten();
        let mut all = containers.chain(status.init_container_statuses.iter().flatten());
        all.find(|status| status.name == name)
    }

    /// The id of a container as containerd knows it; `None` where it has not been made.
    pub(crate) fn container_id(&self, name: &str) -> Option<&str> {
        self.container(name)?.container_id.as_deref().map(bare_id)
    }

    /// The image that was asked for.
    pub(crate) fn image(&self, name: &str) -> &str {
        let spec = self.0.spec.as_ref().unwrap();
        let sidecars = spec.init_containers.iter().flatten();
        let mut all = sidecars.chain(&spec.containers);
        let container = all.find(|container| container.name == name).unwrap();
        container.image.as_deref().unwrap()
    }
}

/// The id of a container without the name of its runtime.
pub(crate) fn bare_id(container_id: &str) -> &str {
    container_id.trim_start_matches("containerd://")
}
