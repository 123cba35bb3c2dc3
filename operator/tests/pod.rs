//! The two programs run as the pod says: in the order of the kubelet, as the user and groups of the security context,
//! with the environment and the mounts of their containers and nothing else, on a root that can't be written to.
//!
//! There is no kubelet in it, but everything that the pod template tells one is done by what Linux has for it.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

mod common;
#[path = "pod/sandbox.rs"]
mod sandbox;

use std::time::Duration;

use common::{cases, facts, name, resource, settings};
use k8s_openapi::api::core::v1::Probe;
use meshcore_operator::Bundle;
use meshcore_operator::build::build;
use meshcore_testkit::{can_mount, wait_until};
use sandbox::{Running, Sandbox};
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(1);

fn bundle(case: &str) -> Bundle {
    let file = cases().into_iter().find(|file| name(file) == case).unwrap();
    build(&resource(&file), &settings(), &facts())
}

fn wait(container: &Running, what: &str, probe: Option<&Probe>) {
    let answers = || container.answers(probe.unwrap()).then_some(());
    let done = wait_until(what, LIMIT, answers);
    done.unwrap_or_else(|error| panic!("{error}\n{}", container.log()));
}

/// What the container wrote to its termination log.
fn report(container: &Running) -> Value {
    let text = container.termination_log();
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", container.log()))
}

/// Starts both, waits for all their probes, and stops them in the kubelet's order.
fn runs_and_stops(case: &str) {
    if !can_mount() {
        return;
    }
    let bundle = bundle(case);
    let sandbox = Sandbox::new(&bundle);
    let pod = sandbox.pod();
    let ingestor = &pod.init_containers.as_ref().unwrap()[0];
    let server = &pod.containers[0];

    let mut first = sandbox.start(ingestor, None);
    wait(
        &first,
        "the ingestor has started",
        ingestor.startup_probe.as_ref(),
    );
    let mut second = sandbox.start(server, Some(&first));
    wait(
        &second,
        "the server has started",
        server.startup_probe.as_ref(),
    );
    for (running, container) in [(&first, ingestor), (&second, server)] {
        wait(
            running,
            "the pod is ready",
            container.readiness_probe.as_ref(),
        );
        wait(running, "the pod lives", container.liveness_probe.as_ref());
    }

    for running in [&mut second, &mut first] {
        assert_eq!(running.capabilities(), "0000000000000000");
        assert_eq!(running.stop(LIMIT), Some(0), "{}", running.log());
        let report = report(running);
        assert_eq!(report["clean"], true, "{report}");
    }
    // The ingestor was the last one, and left nothing to recover.
    let data = sandbox.data();
    assert!(data.join("meshcore.db").exists());
    let wal = std::fs::metadata(data.join("meshcore.db-wal"));
    assert!(wal.map_or(true, |wal| wal.len() == 0));
}

#[test]
fn a_minimal_resource_runs_as_its_pod_says() {
    runs_and_stops("minimal");
}

/// Its Secrets are all missing: that keeps its source from connecting, and nothing else.
#[test]
fn a_resource_whose_secrets_are_missing_runs() {
    runs_and_stops("everything");
}
