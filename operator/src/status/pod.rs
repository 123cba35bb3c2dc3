//! How the pod is, as far as its StatefulSet and the kubelet tell.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;

use super::reason::Reason;
use super::state::{Level, State};
use crate::names;

/// The label of a pod with the name of the StatefulSet's revision that it was made from.
pub(crate) const REVISION: &str = "controller-revision-hash";
/// From so many restarts on, a container that ends again and again is not taken for one that is about to come up.
const MANY_RESTARTS: i32 = 3;

/// How the pod is that should run, or should not.
pub(crate) fn state(set: Option<&StatefulSet>, pods: &[Pod], is_stopped: bool) -> State {
    if is_stopped {
        return stopped(set, pods);
    }
    let Some(pod) = current(pods) else {
        return progressing(Reason::Starting, without_pod(set));
    };
    let name = name(pod);
    if pod.metadata.deletion_timestamp.is_some() {
        return progressing(
            Reason::RollingOut,
            format!("Pod {name} is ending; another takes its place then"),
        );
    }
    if let Some(state) = failure(pod) {
        return state;
    }
    if !is_current(set, pod) {
        return progressing(
            Reason::RollingOut,
            format!("Pod {name} has an older template and is replaced"),
        );
    }
    if is_ready(pod) {
        return State::new(
            Level::Done,
            Reason::Available,
            format!("Pod {name} is ready"),
        );
    }
    progressing(Reason::Starting, waiting_for(pod))
}

/// The pod that counts: one that is not ending, if there is one.
pub(crate) fn current(pods: &[Pod]) -> Option<&Pod> {
    pods.iter().min_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        let created = created.map_or(Timestamp::MIN, |time| time.0);
        (
            pod.metadata.deletion_timestamp.is_some(),
            std::cmp::Reverse(created),
        )
    })
}

/// Whether the kubelet calls the pod ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

/// Whether the pod can't become ready by itself: a container ends again and again or can't be made.
pub(crate) fn is_broken(pod: &Pod) -> bool {
    !is_ready(pod) && containers(pod).any(|(_, status)| trouble(status).is_some())
}

/// Whether the pod is of the revision that the StatefulSet has last, as far as that is known.
pub(crate) fn is_current(set: Option<&StatefulSet>, pod: &Pod) -> bool {
    let status = set.and_then(|set| set.status.as_ref());
    let seen = status.and_then(|status| status.observed_generation);
    let revision = status.and_then(|status| status.update_revision.as_ref());
    let is_seen = seen.is_some() && seen >= set.and_then(|set| set.metadata.generation);
    is_seen && revision.is_some() && revision == revision_of(pod)
}

/// Whether the pod is of a revision before the one that the StatefulSet has last.
pub(crate) fn is_of_older_revision(set: &StatefulSet, pod: &Pod) -> bool {
    let status = set.status.as_ref();
    let revision = status.and_then(|status| status.update_revision.as_ref());
    let is_seen = status.and_then(|status| status.observed_generation) >= set.metadata.generation;
    is_seen && revision.is_some() && revision_of(pod).is_some() && revision != revision_of(pod)
}

/// The StatefulSet's revision that a pod was made from.
pub(crate) fn revision_of(pod: &Pod) -> Option<&String> {
    pod.metadata.labels.as_ref()?.get(REVISION)
}

fn stopped(set: Option<&StatefulSet>, pods: &[Pod]) -> State {
    let replicas = set.and_then(|set| set.spec.as_ref()?.replicas);
    match current(pods) {
        None if replicas.unwrap_or_default() == 0 => State::new(
            Level::Done,
            Reason::Stopped,
            "Nothing runs, as spec.stopped asks; the data stay",
        ),
        None => progressing(
            Reason::Stopping,
            "The StatefulSet is being scaled down".to_owned(),
        ),
        Some(pod) => {
            let grace = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.termination_grace_period_seconds);
            let message = format!(
                "Pod {} is ending, within {} s",
                name(pod),
                grace.unwrap_or_default()
            );
            progressing(Reason::Stopping, message)
        }
    }
}

fn progressing(reason: Reason, message: String) -> State {
    State::new(Level::Progressing, reason, message)
}

/// What keeps the pod from becoming ready, if it is more than time.
fn failure(pod: &Pod) -> Option<State> {
    if let Some(("False", message)) = condition(pod, "PodScheduled") {
        let message = format!("Pod {} has no machine to run on: {message}", name(pod));
        return Some(progressing(Reason::Unschedulable, message));
    }
    containers(pod).find_map(|(kind, status)| {
        let (reason, is_lasting, what) = trouble(status)?;
        let message = format!("{kind} {} of pod {} {what}", status.name, name(pod));
        let level = if is_lasting {
            Level::Stalled
        } else {
            Level::Progressing
        };
        Some(State::new(level, reason, message))
    })
}

/// What is wrong with a container: the reason, whether it lasts, and what to tell.
fn trouble(status: &ContainerStatus) -> Option<(Reason, bool, String)> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let why = waiting.message.as_deref().unwrap_or_default();
    let what = waiting.reason.as_deref()?;
    match what {
        "CrashLoopBackOff" => {
            let lasts = status.restart_count >= MANY_RESTARTS;
            Some((Reason::CrashLoop, lasts, crashes(status)))
        }
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            let text = format!(
                "can't get its image {}: {what}: {why}; check spec.image and its pullSecrets",
                status.image
            );
            Some((Reason::ImagePull, what != "ErrImagePull", text))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some((
            Reason::ContainerConfig,
            true,
            format!("can't be started: {what}: {why}"),
        )),
        _ => None,
    }
}

fn crashes(status: &ContainerStatus) -> String {
    let ended = status
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref());
    let times = status.restart_count;
    let Some(ended) = ended else {
        return format!("ended {times} times");
    };
    let meaning = match (ended.reason.as_deref(), ended.exit_code) {
        (Some("OOMKilled"), _) => "it had no memory left; raise its memory limit",
        (_, 2) => "flags or configuration",
        (_, 3) => "the store was refused: a newer schema, the file system, or a lock",
        (_, 74) => "an I/O error of the volume",
        (_, 124) => "it did not stop in time",
        _ => "see its log",
    };
    let code = ended.exit_code;
    match last_words(ended.message.as_deref().unwrap_or_default()) {
        Some(words) => format!("ended {times} times, last with exit code {code}: {words}"),
        None => format!(
            "ended {times} times, last with exit code {code} ({meaning}): kubectl logs --previous -c {}",
            status.name
        ),
    }
}

/// What a program said that could not start; one that could leaves a report, which is JSON.
fn last_words(message: &str) -> Option<String> {
    const MANY: usize = 500;
    let words = message.trim();
    let is_report = words.starts_with('{');
    (!is_report && !words.is_empty()).then(|| words.chars().take(MANY).collect())
}

/// The ingestor of the pod, if it has started: its address, and whether it is ready.
pub(crate) fn ingestor(pod: &Pod) -> Option<(&str, bool)> {
    let mut containers = containers(pod).map(|(_, status)| status);
    let status = containers.find(|status| status.name == names::INGESTOR)?;
    let ip = pod.status.as_ref()?.pod_ip.as_deref()?;
    let is_running = status.state.as_ref()?.running.is_some();
    (is_running && status.started == Some(true)).then_some((ip, status.ready))
}

/// A StatefulSet says only in its events what keeps it from making its pod, such as a quota, and those are not watched.
fn without_pod(set: Option<&StatefulSet>) -> String {
    let Some(name) = set.and_then(|set| set.metadata.name.as_deref()) else {
        return "There is no StatefulSet yet".to_owned();
    };
    format!(
        "StatefulSet {name} has not made its pod yet; if it stays so, a quota or a policy may refuse it: kubectl \
         describe statefulset {name}"
    )
}

/// What a pod without trouble waits for.
fn waiting_for(pod: &Pod) -> String {
    let unready = containers(pod).find(|(_, status)| !status.ready);
    match unready {
        Some((kind, status)) if status.started == Some(true) => {
            format!(
                "{kind} {} of pod {} runs and is not ready",
                status.name,
                name(pod)
            )
        }
        Some((kind, status)) => format!(
            "{kind} {} of pod {} is starting{}",
            status.name,
            name(pod),
            who_knows_more(pod, status)
        ),
        None => format!("Pod {} is starting", name(pod)),
    }
}

/// A program that runs may wait for something that only itself can name, such as a database that somebody else writes.
fn who_knows_more(pod: &Pod, status: &ContainerStatus) -> String {
    let state = status.state.as_ref();
    match state.and_then(|state| state.running.as_ref()) {
        Some(_) => format!(
            "; its log says what it waits for: kubectl logs {} -c {}",
            name(pod),
            status.name
        ),
        None => String::new(),
    }
}

/// The containers in the order in which they start, and what each is.
fn containers(pod: &Pod) -> impl Iterator<Item = (&'static str, &ContainerStatus)> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    let sidecars = init.into_iter().flatten().map(|status| ("Sidecar", status));
    sidecars.chain(
        main.into_iter()
            .flatten()
            .map(|status| ("Container", status)),
    )
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<(&'a str, &'a str)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|condition| condition.type_ == type_)?;
    Some((
        &condition.status,
        condition.message.as_deref().unwrap_or_default(),
    ))
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
