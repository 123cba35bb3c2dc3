//! When the kubelet takes a container for started, ready, and alive.

use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::names::{INGESTOR_PORT, SERVER_PORT};

/// Answers 200 when the program has started, whatever befalls it later.
const STARTUP: &str = "/health/startup";
/// Answers 200 when the program can do its work.
const READY: &str = "/health/ready";
/// Answers 200 as long as the process can answer, also while it drains.
const LIVE: &str = "/health/live";

/// The three probes of a container.
pub(super) struct Probes {
    pub(super) startup: Probe,
    pub(super) readiness: Probe,
    pub(super) liveness: Probe,
}

/// The server starts when the ingestor has: an hour for it to own the database, adopt or migrate it. In whole seconds
/// of `period × threshold`, and a probe that hangs takes no longer than the period.
pub(super) fn of_ingestor() -> Probes {
    Probes {
        startup: every(2, 1800, get(STARTUP, INGESTOR_PORT)),
        readiness: every(5, 3, get(READY, INGESTOR_PORT)),
        liveness: liveness(INGESTOR_PORT),
    }
}

/// The server listens at once and then waits for the database, which is what readiness says. The start-up probe keeps
/// the liveness probe from killing it on a machine that is slow to read the image.
pub(super) fn of_server() -> Probes {
    Probes {
        startup: every(1, 120, get(LIVE, SERVER_PORT)),
        readiness: every(5, 3, get(READY, SERVER_PORT)),
        liveness: liveness(SERVER_PORT),
    }
}

/// A minute without an answer: a disk that hangs for seconds is no reason to restart.
fn liveness(port: i32) -> Probe {
    every(10, 6, get(LIVE, port))
}

fn every(period_seconds: i32, failure_threshold: i32, action: HTTPGetAction) -> Probe {
    Probe {
        http_get: Some(action),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(period_seconds.min(5)),
        ..Probe::default()
    }
}

fn get(path: &str, port: i32) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(port),
        ..HTTPGetAction::default()
    }
}
