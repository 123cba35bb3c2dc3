//! The states that tests wait for.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use meshcore_resource::MeshCoreDeployment;

use super::{Child, LIMIT, Stage, condition, message, observed};

impl Stage {
    /// Waits until an object is as it should be.
    pub(crate) async fn until<K: Child>(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(&K) -> bool,
    ) -> K {
        let api = self.api::<K>();
        let mut last = None;
        let waiting = async {
            loop {
                last = api.get_opt(name).await.unwrap();
                if let Some(object) = last.take_if(|object| is_so(object)) {
                    return object;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(LIMIT, waiting).await;
        found.unwrap_or_else(|_| panic!("{name} is not {what}: {last:#?}"))
    }
    /// Waits until the resource's condition has this status and reason.
    pub(crate) async fn until_condition(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> MeshCoreDeployment {
        let what = format!("{type_}={status} {reason}");
        self.until(name, &what, |resource: &MeshCoreDeployment| {
            let is_seen = observed(resource) == resource.metadata.generation;
            is_seen && condition(resource, type_) == (status.to_owned(), reason.to_owned())
        })
        .await
    }
    /// Says of each pod that comes that it is ready, until the resource is available.
    pub(crate) async fn until_available(&self, name: &str) -> MeshCoreDeployment {
        let _kubelet = self.plane.ready_pods(self.ns()).await.unwrap();
        self.until_condition(name, "Ready", "True", "Available")
            .await
    }
    /// [`Self::until_available`], and until the controllers have nothing more to tell of its StatefulSet: their news
    /// would be a reason to look, and maybe to write.
    pub(crate) async fn until_settled(&self, name: &str) {
        self.until_available(name).await;
        self.until(name, "settled", |set: &StatefulSet| {
            let Some(status) = &set.status else {
                return false;
            };
            let counts = [
                status.ready_replicas,
                status.available_replicas,
                status.current_replicas,
                status.updated_replicas,
            ];
            status.observed_generation == set.metadata.generation
                && status.current_revision == status.update_revision
                && counts == [Some(1); 4]
        })
        .await;
    }
    /// Waits until the message of a condition has this in it.
    pub(crate) async fn until_message(&self, name: &str, type_: &str, part: &str) {
        let what = format!("{type_} with {part:?}");
        self.until(name, &what, |resource: &MeshCoreDeployment| {
            message(resource, type_).contains(part)
        })
        .await;
    }
    /// Waits until an object is gone.
    pub(crate) async fn until_gone<K: Child>(&self, name: &str) {
        let api = self.api::<K>();
        let waiting = async {
            while api.get_opt(name).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let gone = tokio::time::timeout(LIMIT, waiting).await;
        gone.unwrap_or_else(|_| panic!("{name} stays"));
    }

    /// Waits until there is an event about a resource; it comes after the status that it tells of.
    pub(crate) async fn until_event(&self, name: &str, reason: &str) {
        let waiting = async {
            while !self
                .event_reasons(name)
                .await
                .iter()
                .any(|one| one == reason)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let told = tokio::time::timeout(LIMIT, waiting).await;
        told.unwrap_or_else(|_| panic!("no event {reason} about {name}"));
    }
}
