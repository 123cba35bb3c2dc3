#![expect(
    clippy::needless_pass_by_value,
    reason = "a test reads better without & before each json!"
)]

use serde_json::{Value, json};

use super::*;

fn set(generation: i64, observed: i64, revision: &str) -> StatefulSet {
    serde_json::from_value(json!({
        "metadata": {"generation": generation},
        "spec": {"replicas": 1, "selector": {}, "template": {}},
        "status": {"replicas": 1, "observedGeneration": observed, "updateRevision": revision},
    }))
    .unwrap()
}

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "mesh-0", "labels": {REVISION: "r2"}},
        "spec": {"containers": [], "terminationGracePeriodSeconds": 60},
        "status": status,
    }))
    .unwrap()
}

fn ready() -> Pod {
    pod(json!({"conditions": [{"type": "Ready", "status": "True"}]}))
}

fn waiting(reason: &str, restarts: i32, exit_code: i32) -> Pod {
    pod(json!({"containerStatuses": [{
        "name": "server", "image": "example/server:1", "imageID": "", "ready": false, "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": "because"}},
        "lastState": {"terminated": {"exitCode": exit_code}},
    }]}))
}

fn of(set: &StatefulSet, pods: &[Pod]) -> (Level, Reason, String) {
    let State {
        level,
        reason,
        message,
    } = state(Some(set), pods, false);
    (level, reason, message)
}

#[test]
fn a_ready_pod_of_the_last_revision_is_available() {
    let (level, reason, _) = of(&set(2, 2, "r2"), &[ready()]);
    assert_eq!((level, reason), (Level::Done, Reason::Available));
}

#[test]
fn a_ready_pod_is_not_enough_while_a_change_is_on_its_way() {
    for set in [set(2, 2, "r3"), set(3, 2, "r2")] {
        let (level, reason, _) = of(&set, &[ready()]);
        assert_eq!((level, reason), (Level::Progressing, Reason::RollingOut));
    }
    let state = state(None, &[ready()], false);
    assert_eq!(state.reason, Reason::RollingOut);
}

#[test]
fn a_container_that_crashes_is_named_with_its_exit_code() {
    let (level, reason, message) = of(&set(2, 2, "r2"), &[waiting("CrashLoopBackOff", 5, 3)]);
    assert_eq!((level, reason), (Level::Stalled, Reason::CrashLoop));
    for part in [
        "Container server",
        "mesh-0",
        "5 times",
        "exit code 3",
        "store was refused",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let (level, ..) = of(&set(2, 2, "r2"), &[waiting("CrashLoopBackOff", 1, 1)]);
    assert_eq!(level, Level::Progressing);
}

#[test]
fn the_last_words_of_a_container_are_told_and_its_report_is_not() {
    let of_message = |message: &str| {
        let mut pod = waiting("CrashLoopBackOff", 5, 3);
        let status = pod.status.as_mut().unwrap();
        let container = &mut status.container_statuses.as_mut().unwrap()[0];
        let last = container.last_state.as_mut().unwrap();
        last.terminated.as_mut().unwrap().message = Some(message.to_owned());
        of(&set(2, 2, "r2"), &[pod]).2
    };
    let message = of_message("the schema is 99, newer than 7\n");
    assert!(
        message.ends_with("exit code 3: the schema is 99, newer than 7"),
        "{message}"
    );
    let message = of_message("{\"program\":\"server\"}");
    assert!(message.contains("kubectl logs --previous"), "{message}");
}

#[test]
fn an_image_that_can_t_be_had_is_named() {
    let (level, reason, message) = of(&set(2, 2, "r2"), &[waiting("ImagePullBackOff", 0, 0)]);
    assert_eq!((level, reason), (Level::Stalled, Reason::ImagePull));
    assert!(
        message.contains("example/server:1") && message.contains("because"),
        "{message}"
    );
}

#[test]
fn a_pod_without_a_machine_says_why() {
    let pod = pod(json!({"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
    ]}));
    let (level, reason, message) = of(&set(2, 2, "r2"), &[pod]);
    assert_eq!((level, reason), (Level::Progressing, Reason::Unschedulable));
    assert!(message.contains("0/3 nodes"), "{message}");
}

#[test]
fn a_sidecar_that_starts_is_what_is_waited_for_and_knows_for_what() {
    let pod = pod(json!({
        "initContainerStatuses": [{"name": "ingestor", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "started": false, "state": {"running": {}}}],
        "containerStatuses": [{"name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "PodInitializing"}}}],
    }));
    let (level, reason, message) = of(&set(2, 2, "r2"), &[pod]);
    assert_eq!((level, reason), (Level::Progressing, Reason::Starting));
    assert!(
        message.contains("Sidecar ingestor of pod mesh-0 is starting")
            && message.contains("kubectl logs mesh-0 -c ingestor"),
        "{message}"
    );
}

#[test]
fn stopped_is_done_when_the_pod_is_gone() {
    let mut scaled = set(2, 2, "r2");
    let ends = state(Some(&scaled), &[ready()], true);
    assert_eq!(
        (ends.level, ends.reason),
        (Level::Progressing, Reason::Stopping)
    );
    assert!(ends.message.contains("60 s"), "{}", ends.message);
    assert_eq!(state(Some(&scaled), &[], true).level, Level::Progressing);
    scaled.spec.as_mut().unwrap().replicas = Some(0);
    let done = state(Some(&scaled), &[], true);
    assert_eq!((done.level, done.reason), (Level::Done, Reason::Stopped));
}

#[test]
fn of_two_pods_the_one_that_stays_counts() {
    let mut ending = ready();
    ending.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-11-21T00:00:00Z")).unwrap();
    let (_, reason, _) = of(&set(2, 2, "r2"), &[ending.clone()]);
    assert_eq!(reason, Reason::RollingOut);
    let (_, reason, _) = of(&set(2, 2, "r2"), &[ending, ready()]);
    assert_eq!(reason, Reason::Available);
}

#[test]
fn a_pod_is_broken_only_when_it_can_t_become_ready_by_itself() {
    assert!(is_broken(&waiting("CrashLoopBackOff", 1, 1)));
    assert!(is_broken(&waiting("ErrImagePull", 0, 0)));
    assert!(!is_broken(&waiting("ContainerCreating", 0, 0)));
    assert!(!is_broken(&ready()));
}
