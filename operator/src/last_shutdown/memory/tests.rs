//! Pods as an API server shows them go in; what the status would say comes out.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;

mod ends;
mod questions;

const KEY: &str = "bay-area";

/// A pod of the resource with these statuses of its two programs.
fn pod(uid: &str, server: &Value, ingestor: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "bay-area-0",
            "namespace": "mesh",
            "uid": uid,
            "labels": {
                "app.kubernetes.io/instance": "bay-area",
                "app.kubernetes.io/managed-by": "meshcore-operator",
                "app.kubernetes.io/name": "meshcore",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "bay-area", "uid": "s", "controller": true,
            }],
        },
        "spec": {
            "terminationGracePeriodSeconds": 60,
            "containers": [{"name": "server", "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}],
            "initContainers": [{"name": "ingestor", "restartPolicy": "Always"}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "containerStatuses": [status("server", server)],
            "initContainerStatuses": [status("ingestor", ingestor)],
        },
    })
}

fn status(name: &str, state: &Value) -> Value {
    let mut status = json!({
        "name": name, "image": name, "imageID": "", "ready": false, "restartCount": 0,
    });
    let fields = state.as_object().unwrap().clone();
    status.as_object_mut().unwrap().extend(fields);
    status
}

/// The pod, being deleted.
fn deleted(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:01:00Z");
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(60);
    pod
}

fn running() -> Value {
    json!({"state": {"running": {"startedAt": "2026-11-21T09:00:00Z"}}})
}

fn waiting() -> Value {
    json!({"state": {"waiting": {"reason": "PodInitializing"}}})
}

fn terminated(exit_code: i32, reason: &str, finished: &str, message: Option<&Value>) -> Value {
    json!({
        "exitCode": exit_code,
        "reason": reason,
        "startedAt": "2026-11-21T09:00:00Z",
        "finishedAt": finished,
        "message": message.map(Value::to_string),
    })
}

fn ended(exit_code: i32, reason: &str, finished: &str, message: Option<&Value>) -> Value {
    json!({"state": {"terminated": terminated(exit_code, reason, finished, message)}})
}

/// The report of a clean stop: the server's comes first, the ingestor's at the end.
fn report(program: &str) -> Value {
    let (started, at, phases) = match program {
        "server" => (
            "2026-11-21T10:00:05.1Z",
            "2026-11-21T10:00:06.2Z",
            json!([
                {"name": "drain_http", "milliseconds": 900, "outcome": "ok"},
                {"name": "close_database", "milliseconds": 3, "outcome": "ok"},
            ]),
        ),
        _ => (
            "2026-11-21T10:00:06.3Z",
            "2026-11-21T10:00:06.9Z",
            json!([
                {"name": "checkpoint", "milliseconds": 40, "outcome": "ok"},
                {"name": "close_database", "milliseconds": 5, "outcome": "ok"},
            ]),
        ),
    };
    json!({
        "program": program, "cause": "SIGTERM", "clean": true, "exitCode": 0, "startedAt": started, "at": at,
        "budgetSeconds": 25, "tookMilliseconds": 600, "phases": phases,
    })
}

/// A pod that was deleted, and both of whose programs stopped as they should.
fn stopped(uid: &str) -> Value {
    let end = "2026-11-21T10:00:07Z";
    deleted(pod(
        uid,
        &ended(0, "Completed", end, Some(&report("server"))),
        &ended(0, "Completed", end, Some(&report("ingestor"))),
    ))
}

fn view(pod: &Value) -> PodView {
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
    PodView::of(&pod).unwrap()
}

fn key() -> ResourceKey {
    ResourceKey {
        namespace: "mesh".to_owned(),
        name: KEY.to_owned(),
    }
}

impl Memory {
    /// What the status is to say when it says nothing yet, as JSON.
    fn says(&self) -> Value {
        serde_json::to_value(self.current(&key(), None)).unwrap()
    }
}
