//! What a pod says about how its programs ended.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use meshcore_lifecycle::Report;

use super::memory::ResourceKey;
use crate::names;

/// What the kubelet says when it does not know how a container ended.
const UNKNOWN: &str = "ContainerStatusUnknown";

/// A program of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// The main container, which stops first.
    Server,
    /// The sidecar, which stops last.
    Ingestor,
}

impl Program {
    /// Both, in the order in which they stop.
    pub const ALL: [Self; 2] = [Self::Server, Self::Ingestor];

    /// The name of its container, which is also the one in its report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => names::SERVER,
            Self::Ingestor => names::INGESTOR,
        }
    }

    /// The port on which it serves the report of its last life.
    pub fn port(self) -> u16 {
        let port = match self {
            Self::Server => names::SERVER_PORT,
            Self::Ingestor => names::INGESTOR_PORT,
        };
        u16::try_from(port).unwrap_or_default()
    }
}

/// What matters of a pod of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct PodView {
    /// The resource that it belongs to.
    pub resource: ResourceKey,
    /// Its UID.
    pub uid: String,
    /// Its address.
    pub ip: Option<String>,
    /// Whether it is being deleted, or has ended otherwise: no container starts again.
    pub is_over: bool,
    /// The time to stop that its spec has.
    grace_seconds: Option<i64>,
    /// The time to stop that its deletion gave. The last step of each deletion gives none, so that step does not count.
    granted_seconds: Option<i64>,
    /// How long the server was still serving after the stop began.
    pub(super) pre_stop: Duration,
    /// Why somebody ended it, such as `EvictionByEvictionAPI`.
    pub(super) disruption: Option<String>,
    /// The server and the ingestor.
    pub(super) programs: [ProgramView; 2],
}

/// What matters of a container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProgramView {
    pub(super) program: Program,
    pub(super) life: Life,
    /// How the life before this one ended, in this pod.
    pub(super) former: Option<End>,
    pub(super) restarts: i32,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Life {
    NeverRan,
    Running,
    Ended(Box<End>),
    /// It ran, and nobody knows how it ended.
    Lost,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) exit_code: i32,
    /// The kubelet's word: `Completed`, `Error`, `OOMKilled`, …
    pub(super) reason: String,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) report: Option<Box<Report>>,
}

impl PodView {
    /// Reads a pod; `None` if it is none of ours.
    pub fn of(pod: &Pod) -> Option<Self> {
        let labels = pod.metadata.labels.as_ref()?;
        let owner = pod.metadata.owner_references.iter().flatten();
        let owner = owner
            .filter(|owner| owner.controller == Some(true))
            .find(|owner| owner.kind == "StatefulSet")?;
        // Labels are anybody's to set; that the StatefulSet of that name made it is not.
        let name = labels
            .get(names::INSTANCE)
            .filter(|name| **name == owner.name)?;
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let spec = pod.spec.as_ref();
        Some(Self {
            resource: ResourceKey {
                namespace: pod.metadata.namespace.clone()?,
                name: name.clone(),
            },
            uid: pod.metadata.uid.clone()?,
            ip: status.and_then(|status| status.pod_ip.clone()),
            is_over: pod.metadata.deletion_timestamp.is_some()
                || matches!(phase, Some("Succeeded" | "Failed")),
            grace_seconds: spec.and_then(|spec| spec.termination_grace_period_seconds),
            granted_seconds: pod
                .metadata
                .deletion_grace_period_seconds
                .filter(|seconds| *seconds > 0),
            pre_stop: pre_stop(pod),
            disruption: disruption(pod),
            programs: Program::ALL.map(|program| ProgramView::of(pod, program)),
        })
    }

    /// The time that it had to stop.
    pub(super) fn budget_seconds(&self) -> Option<i64> {
        self.granted_seconds.or(self.grace_seconds)
    }

    /// Takes over what only an earlier look at the same pod shows.
    pub(super) fn remember(&mut self, before: &Self) {
        self.granted_seconds = self.granted_seconds.or(before.granted_seconds);
    }

    /// What is known of one of the programs.
    pub(super) fn program(&self, program: Program) -> &ProgramView {
        let [server, ingestor] = &self.programs;
        match program {
            Program::Server => server,
            Program::Ingestor => ingestor,
        }
    }
}

impl ProgramView {
    fn of(pod: &Pod, program: Program) -> Self {
        let status = status_of(pod, program.name());
        Self {
            program,
            life: status.map_or(Life::NeverRan, |status| Life::of(status, program)),
            former: status
                .and_then(|status| status.last_state.as_ref()?.terminated.as_ref())
                .and_then(|terminated| End::of(terminated, program)),
            restarts: status.map_or(0, |status| status.restart_count),
        }
    }
}

impl Life {
    fn of(status: &ContainerStatus, program: Program) -> Self {
        let state = status.state.clone().unwrap_or_default();
        let former = status.last_state.clone().unwrap_or_default().terminated;
        if state.running.is_some() {
            return Self::Running;
        }
        // Between two lives: how it is, is how the last one ended.
        match state.terminated.or(former) {
            Some(terminated) => {
                End::of(&terminated, program).map_or(Self::Lost, |end| Self::Ended(Box::new(end)))
            }
            None => Self::NeverRan,
        }
    }
}

impl End {
    fn of(terminated: &ContainerStateTerminated, program: Program) -> Option<Self> {
        let reason = terminated.reason.clone().unwrap_or_default();
        if reason == UNKNOWN {
            return None;
        }
        let report = terminated.message.as_deref().and_then(read_report);
        Some(Self {
            exit_code: terminated.exit_code,
            reason,
            finished_at: terminated.finished_at.as_ref().map(|time| time.0),
            report: report.filter(|report| report.program == program.name()),
        })
    }

    /// The end that a report alone tells.
    pub(super) fn of_report(report: Box<Report>) -> Self {
        Self {
            exit_code: report.exit_code.into(),
            reason: String::new(),
            finished_at: None,
            report: Some(report),
        }
    }

    /// When it ended: by the program's own word, which is finer, else by the kubelet's.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.report
            .as_ref()
            .map(|report| report.at)
            .or(self.finished_at)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.exit_code == 0 && self.report.as_ref().is_none_or(|report| report.clean)
    }
}

/// The report in a message. A message may be anything, also the last line of a log.
fn read_report(message: &str) -> Option<Box<Report>> {
    serde_json::from_str(message.trim()).ok()
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let init_containers = status.init_container_statuses.iter().flatten();
    containers
        .chain(init_containers)
        .find(|status| status.name == container)
}

/// The sleep of the server's preStop hook, if the pod is being deleted: only then it runs.
fn pre_stop(pod: &Pod) -> Duration {
    let seconds = || {
        pod.metadata.deletion_timestamp.as_ref()?;
        let containers = &pod.spec.as_ref()?.containers;
        let server = containers
            .iter()
            .find(|container| container.name == names::SERVER)?;
        let hook = server.lifecycle.as_ref()?.pre_stop.as_ref()?;
        u64::try_from(hook.sleep.as_ref()?.seconds).ok()
    };
    Duration::from_secs(seconds().unwrap_or(0))
}

fn disruption(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")?;
    condition.reason.clone()
}
