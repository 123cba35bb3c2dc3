//! One reconcile: `dereference → validate → build → apply → update_status`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use meshcore_resource::{
    EffectiveStatus, FieldError, MeshCoreDeployment, MeshCoreDeploymentStatus,
};
use serde::Deserialize;
use serde_json::Value;

use super::Memory;
use crate::api::ApiError;
use crate::apply::{Applied, Work};
use crate::backoff::Backoff;
use crate::build::build;
use crate::cache::{CachedResource, Key};
use crate::context::Context;
use crate::dereference::{Found, dereference};
use crate::events::{self, News};
use crate::names;
use crate::pressure::{self, Pressure};
use crate::problem::Problem;
use crate::status::{self, Reason, Report, State, Written};
use crate::validate::{Plan, validate};

/// When a resource is to be looked at again, if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is not there.
    Gone,
    /// When something changes about it.
    Change,
    /// At the usual time.
    Resync,
    /// It waits for somebody; for how long it was so already decides.
    Later,
    /// After this long.
    After(Duration),
}

/// So many failures in a row are not told in the status.
const FEW_FAILURES: u32 = 2;
/// How long to wait for what somebody is likely to make soon.
const SOON: Duration = Duration::from_secs(30);

/// Brings one resource closer to what it asks for.
pub(super) async fn reconcile(
    context: &Context,
    key: &Key,
    memory: &mut Memory,
    backoff: Backoff,
) -> Result<Next, ApiError> {
    let Some(cached) = context.cache.resource(key) else {
        context.last_shutdowns.forget(&key.namespace, &key.name);
        return Ok(Next::Gone);
    };
    if *memory.uid != *cached.uid {
        *memory = Memory {
            uid: cached.uid.to_string(),
            ..Memory::default()
        };
    }
    let reconcile = Reconcile {
        context,
        key,
        cached,
    };
    reconcile.run(memory, backoff).await
}

/// The reconcile of one resource.
struct Reconcile<'a> {
    context: &'a Context,
    key: &'a Key,
    cached: Arc<CachedResource>,
}

impl Reconcile<'_> {
    async fn run(&self, memory: &mut Memory, backoff: Backoff) -> Result<Next, ApiError> {
        let resource = match meshcore_resource::read(&self.cached.json) {
            Ok(resource) => resource,
            Err(error) => return self.leave(&unreadable(&error)).await,
        };
        if resource.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Change);
        }
        if let Some(how) = paused(&resource) {
            return self.leave(&status::paused(how)).await;
        }
        let found = dereference(self.context, self.key, &resource, memory).await?;
        match validate(&resource, &found) {
            Ok(plan) => Box::pin(self.work(&resource, found, plan, memory, backoff)).await,
            Err(problem) => self.leave(&status::refused(problem)).await,
        }
    }

    /// Does what may be done with a good resource, and tells about it.
    async fn work(
        &self,
        resource: &MeshCoreDeployment,
        found: Found,
        plan: Plan,
        memory: &mut Memory,
        backoff: Backoff,
    ) -> Result<Next, ApiError> {
        let bundle = build(resource, &self.context.settings, &found.facts());
        let effective = status::effective(resource, &bundle);
        let is_fresh = memory.failures < FEW_FAILURES;
        let work = Work::new(self.context, self.key, resource, &found, memory, backoff);
        let mut applied = Box::pin(work.apply(bundle, &plan)).await?;
        let news = events::of_changes(&applied.changes, applied.rollout.reason.as_deref());
        if let Some(failure) = applied.failure.take_if(|_| is_fresh) {
            // It may be over the next time, and a status that flaps tells nobody anything.
            self.publish(news).await;
            return Err(failure);
        }
        self.remember_claim(resource, &plan).await?;
        let mut report = self.report(resource, &found, &plan, &applied, effective);
        report.pressure = pressure::look(&report.pods).await;
        let in_doubt = pressure::is_in_doubt(&report.pods);
        let status = status::of_report(resource, report, &now());
        self.tell(resource.status.as_ref(), &status, news).await?;
        Ok(match after(applied)? {
            Next::Resync if in_doubt => Next::After(pressure::AGAIN),
            next => next,
        })
    }

    fn report<'a>(
        &self,
        resource: &MeshCoreDeployment,
        found: &Found,
        plan: &Plan,
        applied: &'a Applied,
        effective: EffectiveStatus,
    ) -> Report<'a> {
        let claim = applied.claim.as_ref().or(found.claim.there());
        let last = resource
            .status
            .as_ref()
            .and_then(|status| status.last_shutdown.as_ref());
        let Key { namespace, name } = self.key;
        Report {
            effective,
            is_initialized: plan.claim.initialized.is_some(),
            claim: claim.and_then(|claim| claim.parse().ok()),
            stateful_set: applied
                .stateful_set
                .as_ref()
                .and_then(|set| set.parse().ok()),
            pods: found.pods(),
            pressure: Pressure::Unknown,
            last_shutdown: self.context.last_shutdowns.current(namespace, name, last),
            applied,
        }
    }

    /// Leaves everything as it is, but for the status.
    async fn leave(&self, state: &State) -> Result<Next, ApiError> {
        let outline = Outline::of(&self.cached);
        let before: Option<MeshCoreDeploymentStatus> = serde_json::from_value(outline.status).ok();
        let generation = outline.metadata.generation;
        let known = before.clone().unwrap_or_default();
        let status = status::without_work(known, state, generation, &now());
        self.tell(before.as_ref(), &status, Vec::new()).await?;
        Ok(Next::Resync)
    }

    /// Writes a status if it says anything new, and tells people what they should know.
    async fn tell(
        &self,
        before: Option<&MeshCoreDeploymentStatus>,
        status: &MeshCoreDeploymentStatus,
        mut news: Vec<News>,
    ) -> Result<(), ApiError> {
        let uid = &self.cached.uid;
        if status::write(self.context, self.key, uid, before, status).await? == Written::Anew {
            news.extend(events::of_status(before, status));
        }
        self.publish(news).await;
        Ok(())
    }

    async fn publish(&self, news: Vec<News>) {
        events::publish(self.context, self.key, &self.cached.uid, news).await;
    }

    /// Notes the claim that a database is on beside the status, which a backup of the resource does not have.
    async fn remember_claim(
        &self,
        resource: &MeshCoreDeployment,
        plan: &Plan,
    ) -> Result<(), ApiError> {
        let annotations = resource.metadata.annotations.as_ref();
        let noted = annotations.and_then(|all| all.get(names::INITIALIZED_CLAIM));
        match &plan.claim.initialized {
            Some(claim) if noted != Some(claim) => {
                let uid = &self.cached.uid;
                status::annotate(self.context, self.key, uid, names::INITIALIZED_CLAIM, claim).await
            }
            _ => Ok(()),
        }
    }
}

/// What comes after what was done.
fn after(applied: Applied) -> Result<Next, ApiError> {
    if let Some(failure) = applied.failure {
        return Err(failure);
    }
    let is_awaited =
        |problem: &Problem| matches!(problem.reason, Reason::SecretMissing | Reason::ClaimMissing);
    Ok(match applied.problems.as_slice() {
        [] if applied.waiting.is_empty() => applied.again.map_or(Next::Resync, Next::After),
        problems if problems.iter().all(is_awaited) => Next::After(SOON),
        _ => Next::Later,
    })
}

fn unreadable(error: &FieldError) -> State {
    let message =
        format!("{error}; correct the resource, and bring the CustomResourceDefinition up to date");
    status::refused(Problem::new(Reason::Unreadable, message))
}

fn paused(resource: &MeshCoreDeployment) -> Option<&'static str> {
    let annotations = resource.metadata.annotations.as_ref();
    let annotation = annotations.and_then(|all| all.get(names::PAUSED));
    if resource.spec.paused {
        Some("spec.paused")
    } else {
        annotation
            .is_some_and(|value| value == "true")
            .then_some("its annotation")
    }
}

fn now() -> Time {
    // Kubernetes keeps whole seconds; with more, a status would differ from what was written.
    Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default())
}

/// What can be read of any resource.
#[derive(Default, Deserialize)]
struct Outline {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    status: Value,
}

impl Outline {
    fn of(cached: &CachedResource) -> Self {
        serde_json::from_slice(&cached.json).unwrap_or_default()
    }
}
