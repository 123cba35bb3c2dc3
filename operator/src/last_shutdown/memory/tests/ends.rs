//! Ends that the events of a pod show.

use super::*;

/// What the status says after this pod was seen and deleted.
fn after(pod: &Value) -> Value {
    let mut memory = Memory::default();
    memory.seen(view(pod));
    memory.gone(view(pod));
    memory.says()
}

#[test]
fn a_pod_that_stopped_as_it_should_is_one_summary_of_both_programs() {
    let mut memory = Memory::default();
    assert!(!memory.seen(view(&pod("a", &running(), &running()))).1);
    let half = deleted(pod(
        "a",
        &ended(
            0,
            "Completed",
            "2026-11-21T10:00:06Z",
            Some(&report("server")),
        ),
        &running(),
    ));
    assert!(!memory.seen(view(&half)).1, "the ingestor still runs");
    assert!(memory.seen(view(&stopped("a"))).1);
    let expected = json!({
        "podUID": "a",
        "observed": "Watch",
        // The second in which the ingestor ended.
        "at": "2026-11-21T10:00:06Z",
        "clean": true,
        "cause": "SIGTERM",
        "budgetSeconds": 60,
        // 5 s before the server's signal, and 1.8 s after it.
        "tookSeconds": 7,
        "phases": [
            {"name": "drain_http", "milliseconds": 900},
            {"name": "server/close_database", "milliseconds": 3},
            {"name": "checkpoint", "milliseconds": 40},
            {"name": "ingestor/close_database", "milliseconds": 5},
        ],
    });
    assert_eq!(memory.says(), expected);
    assert!(
        !memory.gone(view(&stopped("a"))),
        "the deletion tells nothing new"
    );
    assert_eq!(memory.says(), expected);
}

#[test]
fn an_end_without_a_report_is_unclean_and_named() {
    let end = "2026-11-21T10:00:30Z";
    for (exit_code, reason, cause) in [
        (137, "OOMKilled", "ingestor: OOMKilled (exit code 137)"),
        (137, "Error", "ingestor: SIGKILL, no report (exit code 137)"),
        (
            124,
            "Error",
            "ingestor: the time to stop was over, no report (exit code 124)",
        ),
        (
            74,
            "Error",
            "ingestor: an I/O error, no report (exit code 74)",
        ),
        (143, "Error", "ingestor: SIGTERM, no report (exit code 143)"),
        (1, "Error", "ingestor: failed, no report (exit code 1)"),
        (128, "StartError", "ingestor: StartError (exit code 128)"),
    ] {
        let said = after(&deleted(pod(
            "a",
            &ended(0, "Completed", end, Some(&report("server"))),
            &ended(exit_code, reason, end, None),
        )));
        assert_eq!(said["clean"], false, "{said}");
        assert_eq!(said["cause"], cause);
        assert_eq!(said["at"], end);
        assert_eq!(said["observed"], "Watch");
        assert_eq!(said["tookSeconds"], 30, "5 s and 24.9 s");
    }
}

#[test]
fn a_report_of_an_unclean_stop_names_the_step_and_what_was_left() {
    let mut unclean = report("ingestor");
    unclean["clean"] = json!(false);
    unclean["exitCode"] = json!(124);
    unclean["phases"][0] = json!(
        {"name": "checkpoint", "milliseconds": 15_000, "outcome": "timed_out"}
    );
    unclean["left"] = json!(["checkpoint", "close_database"]);
    let end = "2026-11-21T10:00:30Z";
    let said = after(&deleted(pod(
        "a",
        &ended(0, "Completed", end, Some(&report("server"))),
        &ended(124, "Error", end, Some(&unclean)),
    )));
    assert_eq!(
        said["cause"],
        "ingestor: SIGTERM, checkpoint: not done in time, left: checkpoint, close_database (exit code 124)"
    );
    assert_eq!(said["clean"], false);
}

#[test]
fn a_task_that_failed_is_named() {
    let mut failed = report("server");
    failed["clean"] = json!(false);
    failed["exitCode"] = json!(1);
    failed["cause"] = json!("TaskFailed");
    failed["causeDetail"] = json!("tail: disk I/O error");
    let end = "2026-11-21T10:00:30Z";
    let pod = pod("a", &ended(1, "Error", end, Some(&failed)), &running());
    let mut memory = Memory::default();
    memory.seen(view(&pod));
    let said = memory.says();
    assert_eq!(
        said["cause"],
        "server: TaskFailed, tail: disk I/O error (exit code 1)"
    );
    assert_eq!(said["phases"][0]["name"], "drain_http");
}

#[test]
fn a_container_that_starts_again_in_its_pod_has_ended_too() {
    let end = "2026-11-21T09:30:00Z";
    let restarted = json!({
        "state": {"running": {"startedAt": "2026-11-21T09:30:10Z"}},
        "lastState": {"terminated": terminated(137, "OOMKilled", end, None)},
        "restartCount": 1,
    });
    let mut memory = Memory::default();
    let (questions, changed) = memory.seen(view(&pod("a", &running(), &restarted)));
    assert!(changed);
    assert_eq!(
        memory.says(),
        json!({
            "podUID": "a", "observed": "Watch", "at": end, "clean": false,
            "cause": "ingestor: OOMKilled (exit code 137)",
        })
    );
    assert!(
        questions
            .iter()
            .all(|question| question.program == Program::Server),
        "what the ingestor would tell is the end that was seen: {questions:?}"
    );
    // Then the pod ends, which is later, and whole.
    memory.seen(view(&stopped("a")));
    assert_eq!(memory.says()["cause"], "SIGTERM");
}

#[test]
fn the_end_of_a_pod_replaces_that_of_its_program_within_the_same_second() {
    let end = "2026-11-21T10:00:06Z";
    let server = ended(0, "Completed", end, Some(&report("server")));
    let mut memory = Memory::default();
    memory.seen(view(&pod("a", &server, &running())));
    assert_eq!(memory.says()["cause"], "server: SIGTERM");
    let mut over = pod(
        "a",
        &server,
        &ended(0, "Completed", end, Some(&report("ingestor"))),
    );
    over["status"]["phase"] = json!("Failed");
    memory.seen(view(&over));
    assert_eq!(memory.says()["cause"], "SIGTERM");
    assert_eq!(memory.says()["tookSeconds"], 2, "no hook ran before it");
}

#[test]
fn an_evicted_pod_says_who_evicted_it() {
    let mut evicted = stopped("a");
    evicted["status"]["conditions"] = json!([{
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "lastTransitionTime": "2026-11-21T10:00:00Z",
    }]);
    assert_eq!(after(&evicted)["cause"], "SIGTERM (EvictionByEvictionAPI)");
}

#[test]
fn a_shorter_grace_period_that_somebody_asked_for_is_the_budget() {
    let mut hurried = stopped("a");
    hurried["metadata"]["deletionGracePeriodSeconds"] = json!(8);
    let mut removed = hurried.clone();
    // The kubelet ends each deletion with one that gives no time.
    removed["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    let mut memory = Memory::default();
    memory.seen(view(&hurried));
    memory.seen(view(&removed));
    memory.gone(view(&removed));
    assert_eq!(memory.says()["budgetSeconds"], 8);
    // Whoever sees only the end knows what the pod was made with.
    assert_eq!(after(&removed)["budgetSeconds"], 60);
}

#[test]
fn a_server_that_never_ran_is_not_waited_for_and_a_pod_that_never_ran_has_no_end() {
    let end = "2026-11-21T10:00:07Z";
    let ingestor = ended(0, "Completed", end, Some(&report("ingestor")));
    let said = after(&deleted(pod("a", &waiting(), &ingestor)));
    assert_eq!(
        (&said["clean"], &said["cause"]),
        (&json!(true), &json!("SIGTERM"))
    );
    assert_eq!(
        after(&deleted(pod("a", &waiting(), &waiting()))),
        Value::Null
    );
}

#[test]
fn an_end_that_was_not_seen_is_not_guessed() {
    // Deleted by force: the last that was seen is a running pod.
    let said = after(&deleted(pod("a", &running(), &running())));
    assert_eq!(said, json!({"podUID": "a", "observed": "None"}));
    // The node was lost, and the kubelet does not know either.
    let lost = ended(137, "ContainerStatusUnknown", "2026-11-21T10:00:07Z", None);
    let said = after(&deleted(pod("b", &lost, &lost)));
    assert_eq!(said, json!({"podUID": "b", "observed": "None"}));
}

#[test]
fn a_pod_that_a_new_list_does_not_have_ended_unseen() {
    let mut memory = Memory::default();
    memory.seen(view(&pod("a", &running(), &running())));
    assert!(memory.only(Some("elsewhere"), &HashSet::new()).is_empty());
    assert!(
        memory
            .only(None, &HashSet::from(["a".to_owned()]))
            .is_empty()
    );
    assert_eq!(memory.only(Some("mesh"), &HashSet::new()), [key()]);
    assert_eq!(memory.says()["observed"], "None");
}

#[test]
fn a_message_that_is_no_report_of_this_program_is_none() {
    let end = "2026-11-21T10:00:07Z";
    for message in [
        json!("last line of a log"),
        json!({"program": 3}),
        report("server"),
    ] {
        let said = after(&deleted(pod(
            "a",
            &waiting(),
            &ended(1, "Error", end, Some(&message)),
        )));
        assert_eq!(said["cause"], "ingestor: failed, no report (exit code 1)");
    }
}

#[test]
fn pods_that_no_stateful_set_of_that_name_made_are_none_of_ours() {
    let good = pod("a", &running(), &running());
    let mut of_a_job = good.clone();
    of_a_job["metadata"]["ownerReferences"][0]["kind"] = json!("Job");
    let mut of_another = good.clone();
    of_another["metadata"]["ownerReferences"][0]["name"] = json!("other");
    let mut of_nobody = good.clone();
    of_nobody["metadata"]["ownerReferences"] = json!([]);
    for pod in [of_a_job, of_another, of_nobody] {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(PodView::of(&pod), None);
    }
}

#[test]
fn a_text_from_outside_has_a_bound() {
    let mut failed = report("server");
    failed["clean"] = json!(false);
    failed["causeDetail"] = json!("x".repeat(3000));
    let end = "2026-11-21T10:00:07Z";
    let said = after(&deleted(pod(
        "a",
        &ended(1, "Error", end, Some(&failed)),
        &waiting(),
    )));
    assert_eq!(said["cause"].as_str().unwrap().chars().count(), 256);
}
