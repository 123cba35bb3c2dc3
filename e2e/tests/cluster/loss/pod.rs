//! The analyzer's pod, as the kubelet reports it.

use std::time::Duration;

use serde_json::Value;

use crate::scene::{SOON, Scene};

/// A look at the pod.
pub(super) struct Pod(Value);

impl Pod {
    /// The pod as it is; `None` if there is none.
    pub(super) async fn of(scene: &Scene) -> Option<Self> {
        let get = ["get", "pod/mesh-0", "-o=json", "--ignore-not-found"];
        let json = scene.kubectl(&get).await.unwrap();
        serde_json::from_str(&json).ok().map(Self)
    }

    /// Waits until the pod is so.
    pub(super) async fn that(scene: &Scene, what: &str, is: impl Fn(&Self) -> bool) -> Self {
        let until = tokio::time::Instant::now() + SOON;
        loop {
            let pod = Self::of(scene).await;
            match pod {
                Some(pod) if is(&pod) => return pod,
                _ => {}
            }
            assert!(
                tokio::time::Instant::now() < until,
                "the pod never {what}: {:#}",
                pod.map_or(Value::Null, |pod| pod.0["status"].clone())
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until another pod has taken the place of this one and is ready.
    pub(super) async fn successor(&self, scene: &Scene) -> Self {
        let is_next = |pod: &Self| pod.uid() != self.uid() && pod.is_ready();
        Self::that(scene, "was replaced", is_next).await
    }

    /// Whether it is the same pod, with the same containers.
    pub(super) fn is_untouched(&self, now: &Self) -> bool {
        let ids = |pod: &Self| ["ingestor", "server"].map(|name| pod.container_id(name).to_owned());
        self.uid() == now.uid() && ids(self) == ids(now)
    }

    pub(super) fn uid(&self) -> &str {
        text(&self.0["metadata"]["uid"])
    }

    pub(super) fn address(&self) -> &str {
        text(&self.0["status"]["podIP"])
    }

    pub(super) fn is_ready(&self) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    }

    /// The status of a container.
    pub(super) fn container(&self, name: &str) -> &Value {
        let kinds = ["initContainerStatuses", "containerStatuses"];
        named(kinds.map(|kind| &self.0["status"][kind]), name)
    }

    /// The image that was asked for.
    pub(super) fn image(&self, name: &str) -> &str {
        let kinds = ["initContainers", "containers"];
        text(&named(kinds.map(|kind| &self.0["spec"][kind]), name)["image"])
    }

    /// The id of a container, as containerd knows it.
    pub(super) fn container_id(&self, name: &str) -> &str {
        text(&self.container(name)["containerID"]).trim_start_matches("containerd://")
    }
}

/// The only container of the broker.
pub(super) async fn broker_container(scene: &Scene) -> String {
    let path = "{.items[0].status.containerStatuses[0].containerID}";
    let output = format!("-o=jsonpath={path}");
    let get = ["get", "pods", "-l=app=broker", &output];
    let id = scene.kubectl(&get).await.unwrap();
    id.trim_start_matches("containerd://").to_owned()
}

fn named<'a>(lists: [&'a Value; 2], name: &str) -> &'a Value {
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    all.into_iter()
        .find(|one| one["name"] == name)
        .unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
