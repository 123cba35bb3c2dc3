//! Pods without nodes: their status is reported in the kubelet's place.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::ControlPlane;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(100);

/// Reports pods as ready, until it is dropped.
#[derive(Debug)]
pub struct ReadyPods(tokio::task::JoinHandle<()>);

impl Drop for ReadyPods {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ControlPlane {
    /// Reports each pod of a namespace as running and ready, present and future ones, as a kubelet would: there is no
    /// node here. For the runtime of the caller.
    pub async fn ready_pods(&self, namespace: &str) -> Result<ReadyPods> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, namespace);
        Ok(ReadyPods(tokio::spawn(async move {
            loop {
                // A pod that is gone in the meantime is not a failure, and the next round looks again.
                drop(report_all(&pods).await);
                tokio::time::sleep(PERIOD).await;
            }
        })))
    }
}

async fn report_all(pods: &Api<Pod>) -> Result<()> {
    for pod in pods.list(&ListParams::default()).await? {
        if !is_ready(&pod) && pod.metadata.deletion_timestamp.is_none() {
            set_pod_status(pods, &pod.name_any(), &ready_status(&pod)).await?;
        }
    }
    Ok(())
}

/// Writes a part of a pod's status, as a kubelet does.
///
/// # Errors
/// When the API server refuses it.
pub async fn set_pod_status(pods: &Api<Pod>, name: &str, status: &Value) -> Result<()> {
    let patch = Patch::Strategic(json!({ "status": status }));
    pods.patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// The status of a pod all of whose containers run and are ready.
pub fn ready_status(pod: &Pod) -> Value {
    let now = Timestamp::now().to_string();
    let spec = pod.spec.clone().unwrap_or_default();
    let running = |container: &Container| {
        json!({
            "name": container.name,
            "image": container.image,
            "imageID": "",
            "ready": true,
            "started": true,
            "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        })
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    let init = spec.init_containers.unwrap_or_default();
    json!({
        "phase": "Running",
        "startTime": now,
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": conditions,
        "initContainerStatuses": init.iter().map(running).collect::<Vec<_>>(),
        "containerStatuses": spec.containers.iter().map(running).collect::<Vec<_>>(),
    })
}

/// [`ready_status`], but for one container that ended again and again with an exit code, and waits for this reason, such
/// as `CrashLoopBackOff`.
pub fn waiting_status(pod: &Pod, container: &str, reason: &str, exit_code: i32) -> Value {
    let mut status = ready_status(pod);
    for list in ["initContainerStatuses", "containerStatuses"] {
        let statuses = status[list].as_array_mut().into_iter().flatten();
        for status in statuses.filter(|status| status["name"] == container) {
            status["ready"] = false.into();
            status["started"] = false.into();
            status["restartCount"] = 5.into();
            status["state"] = json!({"waiting": {"reason": reason, "message": "as the test says"}});
            status["lastState"] = json!({"terminated": {"exitCode": exit_code, "reason": "Error"}});
        }
    }
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if matches!(
            condition["type"].as_str(),
            Some("Ready" | "ContainersReady")
        ) {
            condition["status"] = "False".into();
        }
    }
    status
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
