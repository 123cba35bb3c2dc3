//! What the ends of programs amount to.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use meshcore_lifecycle::Report;
use meshcore_resource::{LastShutdown, Observed, ShutdownPhase};

use super::cause;
use super::pod::{End, Life, PodView, Program};

/// The end of a pod that was seen whole; `None` while a program runs, or if none ever did.
pub(super) fn of_pod(pod: &PodView) -> Option<LastShutdown> {
    if !pod.is_over {
        return None;
    }
    let mut ends = Vec::new();
    for view in &pod.programs {
        match &view.life {
            Life::Ended(end) => ends.push((view.program, end.as_ref())),
            Life::NeverRan => {}
            Life::Running | Life::Lost => return None,
        }
    }
    if ends.is_empty() {
        return None;
    }
    let summary = of_ends(&ends, pod.pre_stop);
    let cause = summary.cause.map(|cause| match &pod.disruption {
        Some(disruption) => cause::bounded(&format!("{cause} ({disruption})")),
        None => cause,
    });
    Some(LastShutdown {
        pod_uid: Some(pod.uid.clone()),
        observed: Some(Observed::Watch),
        budget_seconds: pod.budget_seconds(),
        cause,
        ..summary
    })
}

/// The end of one program in a pod that goes on, the latest one.
pub(super) fn of_restart(pod: &PodView) -> Option<LastShutdown> {
    let ends = pod.programs.iter().filter_map(|view| {
        let end = match &view.life {
            Life::Ended(end) if !pod.is_over => end,
            _ => view.former.as_ref()?,
        };
        Some((view.program, end))
    });
    let (program, end) = ends.max_by_key(|(_, end)| end.at())?;
    let summary = of_ends(&[(program, end)], Duration::ZERO);
    Some(LastShutdown {
        pod_uid: Some(pod.uid.clone()),
        observed: Some(Observed::Watch),
        budget_seconds: end
            .report
            .as_ref()
            .map(|report| whole(report.budget_seconds)),
        cause: summary.cause.map(|cause| {
            // In a pod that goes on, it matters who it was; what is unclean says so anyway.
            if end.is_clean() {
                format!("{}: {cause}", program.name())
            } else {
                cause
            }
        }),
        ..summary
    })
}

/// What is known of ends, whoever told it.
pub(super) fn of_ends(ends: &[(Program, &End)], pre_stop: Duration) -> LastShutdown {
    let unclean: Vec<_> = ends.iter().filter(|(_, end)| !end.is_clean()).collect();
    let texts = unclean
        .iter()
        .map(|(program, end)| cause::of_unclean(program.name(), end));
    let cause = match texts.collect::<Vec<_>>() {
        texts if texts.is_empty() => ends.first().map(|(_, end)| cause::of_clean(end)),
        texts => Some(cause::bounded(&texts.join("; "))),
    };
    let at = ends.iter().filter_map(|(_, end)| end.at()).max();
    LastShutdown {
        at: at.map(|at| Time(whole_second(at))),
        clean: Some(unclean.is_empty()),
        cause,
        took_seconds: took(ends, pre_stop),
        phases: phases(ends),
        ..LastShutdown::default()
    }
}

/// The newer one of what is known here and of what the status says already. Of two about the same instant only one that
/// was seen replaces what the status says: what is told again by a report is no news.
pub(super) fn newer<'a>(
    known: Option<&'a LastShutdown>,
    status: Option<&'a LastShutdown>,
) -> Option<&'a LastShutdown> {
    let (Some(ours), Some(theirs)) = (known, status) else {
        return known.or(status);
    };
    let was_seen = |ended: &LastShutdown| ended.observed == Some(Observed::Watch);
    let is_older = match (&ours.at, &theirs.at) {
        (Some(at), Some(other)) if at.0 == other.0 => !was_seen(ours),
        (Some(at), Some(other)) => at.0 < other.0,
        // An end that nobody saw has no time. It came after all that the status says, but about the same pod the
        // status knows as much, or more.
        (None, _) => ours.pod_uid == theirs.pod_uid,
        (Some(_), None) => false,
    };
    Some(if is_older { theirs } else { ours })
}

/// From the first signal to the last end, by the clock of the node alone, and the hook before it. Rounded up, as a
/// budget is spent.
fn took(ends: &[(Program, &End)], pre_stop: Duration) -> Option<i64> {
    let reports = || ends.iter().filter_map(|(_, end)| end.report.as_ref());
    let began = reports().map(|report| report.started_at).min()?;
    let ended = ends.iter().filter_map(|(_, end)| end.at()).max()?;
    let took = ended.duration_since(began) + SignedDuration::try_from(pre_stop).ok()?;
    let took = Duration::try_from(took).unwrap_or_default();
    Some(whole(took.as_millis().div_ceil(1000)))
}

/// The steps in their order. A name that both programs have gets the program's before it.
fn phases(ends: &[(Program, &End)]) -> Vec<ShutdownPhase> {
    let all: Vec<_> = ends
        .iter()
        .filter_map(|(program, end)| Some((program, end.report.as_ref()?)))
        .flat_map(|(program, report)| report.phases.iter().map(move |phase| (program, phase)))
        .collect();
    let is_shared = |name: &str| all.iter().filter(|(_, phase)| phase.name == name).count() > 1;
    all.iter()
        .map(|(program, phase)| ShutdownPhase {
            name: if is_shared(&phase.name) {
                format!("{}/{}", program.name(), phase.name)
            } else {
                phase.name.clone()
            },
            milliseconds: whole(phase.milliseconds),
        })
        .collect()
}

/// The end that reports of the pod's programs tell, where nobody saw it.
pub(super) fn of_reports(reports: &[(Program, Box<Report>)]) -> LastShutdown {
    let ends: Vec<_> = reports
        .iter()
        .map(|(program, report)| (*program, End::of_report(report.clone())))
        .collect();
    let ends: Vec<_> = ends.iter().map(|(program, end)| (*program, end)).collect();
    LastShutdown {
        observed: Some(Observed::Report),
        ..of_ends(&ends, Duration::ZERO)
    }
}

/// Kubernetes' times have whole seconds: what is read back must be what was written.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
