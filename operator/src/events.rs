//! Events for people: what changed, told once. The recorder counts up what is repeated.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use meshcore_resource::{API_VERSION, KIND, MeshCoreDeploymentStatus};

use crate::apply::{Change, What};
use crate::cache::Key;
use crate::context::Context;
use crate::kind::Kind;

/// An event accepts so many bytes.
const MAX_NOTE: usize = 1000;

/// Something to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether somebody should look.
    pub is_warning: bool,
    /// In one word.
    pub reason: &'static str,
    /// What happened.
    pub note: String,
}

/// What a changed status tells: that it stalls, with each new reason, and that it is done.
pub fn of_status(
    before: Option<&MeshCoreDeploymentStatus>,
    after: &MeshCoreDeploymentStatus,
) -> Option<News> {
    let stalled = condition(after, "Stalled").filter(|condition| condition.status == "True");
    let shown =
        stalled.or_else(|| condition(after, "Ready").filter(|ready| ready.status == "True"))?;
    let last = before.and_then(|before| condition(before, &shown.type_));
    let is_known =
        last.is_some_and(|last| (&last.status, &last.reason) == (&shown.status, &shown.reason));
    if is_known {
        return None;
    }
    let reason = crate::status::Reason::ALL
        .iter()
        .find(|reason| reason.as_str() == shown.reason)?;
    Some(News {
        is_warning: stalled.is_some(),
        reason: reason.as_str(),
        note: shown.message.clone(),
    })
}

/// What was done to objects, as far as people want to know: what others had changed, and what restarts the pod.
pub fn of_changes(changes: &[Change], rollout_reason: Option<&str>) -> Vec<News> {
    changes
        .iter()
        .filter_map(|change| of_change(change, rollout_reason))
        .collect()
}

fn of_change(change: &Change, rollout_reason: Option<&str>) -> Option<News> {
    let object = format!("{} {}", change.kind.name(), change.name);
    let news = |reason, note| News {
        is_warning: false,
        reason,
        note,
    };
    match (&change.what, change.kind) {
        (What::Healed(fields), _) => {
            let note = format!(
                "{object} was changed by somebody; put back: {}",
                fields.join(", ")
            );
            Some(news("DriftHealed", note))
        }
        (What::Updated, Kind::StatefulSet) => {
            let why = rollout_reason.unwrap_or("the resource");
            Some(news(
                "Updated",
                format!("{object} got a new form; last rollout because of {why}"),
            ))
        }
        (What::Deleted, Kind::Pod) => {
            let note =
                format!("{object} of an older template could not become ready and was deleted");
            Some(news("StuckPodDeleted", note))
        }
        _ => None,
    }
}

/// Publishes events about a resource. One that can't be published is logged: it must not keep anything from being done.
pub async fn publish(context: &Context, key: &Key, uid: &str, news: Vec<News>) {
    for News {
        is_warning,
        reason,
        note,
    } in news
    {
        let (type_, word) = if is_warning {
            (EventType::Warning, "Warning")
        } else {
            (EventType::Normal, "Normal")
        };
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note[..note.floor_char_boundary(MAX_NOTE)].to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        match context.recorder.publish(&event, &reference(key, uid)).await {
            Ok(()) => context.metrics.event_published(word, reason),
            Err(error) => tracing::warn!(resource = %key, reason, %error, "Can't publish an event"),
        }
    }
}

fn reference(key: &Key, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(KIND.to_owned()),
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

fn condition<'a>(status: &'a MeshCoreDeploymentStatus, type_: &str) -> Option<&'a Condition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}
