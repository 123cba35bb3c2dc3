//! Configurations that nobody uses any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::Value;
use tokio::time::Instant;

use super::children::is_being_deleted;
use super::stateful_set::configurations;
use super::{Ownership, Work, ownership};
use crate::api::ApiError;
use crate::backoff::Backoff;
use crate::cache::Child;
use crate::controller::Look;
use crate::kind::Kind;

/// How long to believe that old configurations are in use. Revisions go some time after a rollout, which no watch of
/// ours sees; if they stay, it is because a rollback could use them.
const LOOKS: Backoff = Backoff {
    first: Duration::from_secs(30),
    longest: Duration::from_hours(1),
};
/// So many looks happen by themselves; later ones with a resync.
const PROMPT_LOOKS: u32 = 3;

impl Work<'_> {
    /// Deletes the configurations that neither the StatefulSet nor one of its pods or revisions names, once a rollout is
    /// over.
    pub(super) async fn collect_configurations(&mut self, current: &str) -> Result<(), ApiError> {
        let Some(set) = self
            .applied
            .stateful_set
            .clone()
            .filter(|set| is_rolled_out(set))
        else {
            return Ok(());
        };
        let unused = self.unused_configurations(current, &set.value());
        if unused.is_empty() || !self.is_time_to_look(&set, &unused) {
            return Ok(());
        }
        let looked = self.delete_unrevised(&unused).await;
        if !matches!(looked, Ok(Some(()))) {
            // The reconcile that tries again what failed looks again.
            self.memory.look = None;
        }
        looked.map(drop)
    }

    /// Deletes those that no revision names; `None` where a request was refused.
    async fn delete_unrevised(&mut self, unused: &[Arc<Child>]) -> Result<Option<()>, ApiError> {
        let Some(revised) = self.revised_configurations().await? else {
            return Ok(None);
        };
        for child in unused
            .iter()
            .filter(|child| !revised.contains(&*child.name))
        {
            let deleted = self.delete(child).await;
            if self.or_noted(deleted.map(Some))?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Configurations of ours that neither the StatefulSet nor a pod names.
    fn unused_configurations(&self, current: &str, set: &Value) -> Vec<Arc<Child>> {
        let pods = self.children.iter().filter(|child| child.kind == Kind::Pod);
        let pods: Vec<Value> = pods.map(|pod| pod.value()).collect();
        let templates = pods.iter().map(|pod| &pod["spec"]);
        let templates = templates.chain([&set["spec"]["template"]["spec"]]);
        let mut used: BTreeSet<&str> = templates.flat_map(configurations).collect();
        used.insert(current);
        let ours = |child: &Child| {
            let value = child.value();
            ownership(&value, &self.key.name, self.uid()) == Ownership::Ours
                && !is_being_deleted(&value)
        };
        let maps = self
            .children
            .iter()
            .filter(|child| child.kind == Kind::ConfigMap);
        let unused = maps.filter(|child| !used.contains(&*child.name) && ours(child));
        unused.cloned().collect()
    }

    /// Configurations that revisions of the StatefulSet name; `None` where they can't be asked for.
    async fn revised_configurations(&mut self) -> Result<Option<BTreeSet<String>>, ApiError> {
        let revisions = self.objects().revisions(&self.key.name).await;
        let Some(revisions) = self.or_noted(revisions.map(Some))? else {
            return Ok(None);
        };
        let names = |revision: &Value| -> Vec<String> {
            let pod = &revision["data"]["spec"]["template"]["spec"];
            configurations(pod).map(str::to_owned).collect()
        };
        Ok(Some(revisions.iter().flat_map(names).collect()))
    }

    /// Whether something has changed since the last look, or that one was long ago.
    fn is_time_to_look(&mut self, set: &Child, unused: &[Arc<Child>]) -> bool {
        let mut about = revision(set).unwrap_or_default();
        for child in unused {
            about.push(' ');
            about.push_str(&child.name);
        }
        let now = Instant::now();
        let last = self.memory.look.take().filter(|last| last.about == about);
        let count = match last {
            Some(last) if last.at + LOOKS.delay(last.count, 0.0) > now => {
                if last.count <= PROMPT_LOOKS {
                    self.applied
                        .again(last.at + LOOKS.delay(last.count, 0.0) - now);
                }
                self.memory.look = Some(last);
                return false;
            }
            Some(last) => last.count + 1,
            None => 1,
        };
        self.memory.look = Some(Look {
            about,
            count,
            at: now,
        });
        if count <= PROMPT_LOOKS {
            self.applied.again(LOOKS.delay(count, 0.0));
        }
        true
    }
}

/// Whether the last template has reached the pod, as far as the StatefulSet knows.
fn is_rolled_out(set: &Child) -> bool {
    let Ok(set) = set.parse::<StatefulSet>() else {
        return false;
    };
    let Some(status) = &set.status else {
        return false;
    };
    status.observed_generation >= set.metadata.generation
        && status.update_revision.is_some()
        && status.update_revision == status.current_revision
}

fn revision(set: &Child) -> Option<String> {
    let set: StatefulSet = set.parse().ok()?;
    set.status?.update_revision
}
