//! A pod that is stuck on an older template: it can't become ready, and its StatefulSet may wait for just that.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::Work;
use crate::api::ApiError;
use crate::controller::Repair;
use crate::kind::Kind;
use crate::status::pod;

impl Work<'_> {
    /// Deletes the pod if it is stuck, after the StatefulSet had its time to do so, and then once per back-off. The next
    /// one has the newer template.
    pub(super) async fn repair(&mut self) -> Result<(), ApiError> {
        let Some(uid) = self.stuck_pod() else {
            self.memory.repair = None;
            return Ok(());
        };
        let now = Instant::now();
        let repair = *self
            .memory
            .repair
            .get_or_insert(Repair { count: 0, at: now });
        let wait = self.backoff.delay(repair.count + 1, 0.0);
        let left = wait.saturating_sub(repair.at.elapsed());
        if left > Duration::ZERO {
            self.applied.again(left);
            return Ok(());
        }
        let stuck = self
            .children
            .iter()
            .find(|child| child.kind == Kind::Pod && *child.uid == *uid);
        if let Some(stuck) = stuck.cloned() {
            let deleted = self.delete(&stuck).await;
            self.or_noted(deleted.map(Some))?;
            let count = repair.count + 1;
            self.memory.repair = Some(Repair { count, at: now });
            self.applied.again(self.backoff.delay(count + 1, 0.0));
        }
        Ok(())
    }

    /// The UID of the pod, if it can't become ready and is not of the StatefulSet's last revision.
    fn stuck_pod(&self) -> Option<String> {
        let set: StatefulSet = self.applied.stateful_set.as_ref()?.parse().ok()?;
        let pods = self.children.iter().filter(|child| child.kind == Kind::Pod);
        let pods: Vec<Pod> = pods.filter_map(|pod| pod.parse().ok()).collect();
        let pod = pod::current(&pods)?;
        let is_left =
            pod::is_of_older_revision(&set, pod) && pod.metadata.deletion_timestamp.is_none();
        let stuck = (is_left && pod::is_broken(pod)).then_some(pod)?;
        stuck.metadata.uid.clone()
    }
}
