//! Makes the cluster as the bundle says: one request for what differs, none for what does not.

mod children;
mod compare;
mod configurations;
mod desired;
mod inputs;
mod lists;
mod ownership;
mod repair;
mod stateful_set;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use meshcore_resource::MeshCoreDeployment;

use crate::api::{ApiError, Objects};
use crate::backoff::Backoff;
use crate::bundle::Bundle;
use crate::cache::{Child, Key};
use crate::context::Context;
use crate::controller::Memory;
use crate::dereference::Found;
use crate::kind::Kind;
use crate::problem::Problem;
use crate::validate::Plan;
pub(crate) use children::is_being_deleted;
pub use compare::differences;
pub use desired::{Desired, hash};
pub use ownership::{Ownership, ownership};
pub use stateful_set::Rollout;

/// What became of a bundle.
#[derive(Debug, Default)]
pub struct Applied {
    /// What somebody has to do something about.
    pub problems: Vec<Problem>,
    /// A request that failed for the moment.
    pub failure: Option<ApiError>,
    /// Objects that are being deleted, and will be made anew then.
    pub waiting: Vec<String>,
    /// After how long there is more to do, if nothing happens before.
    pub again: Option<Duration>,
    /// What was done.
    pub changes: Vec<Change>,
    /// The pod template.
    pub rollout: Rollout,
    /// The StatefulSet as it is now.
    pub stateful_set: Option<Arc<Child>>,
    /// The claim as it is now, if it is one of ours.
    pub claim: Option<Arc<Child>>,
}

/// Something that was done to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What.
    pub what: What,
}

/// What was done to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was made.
    Created,
    /// It got a new form.
    Updated,
    /// Somebody had changed these fields, and they were put back.
    Healed(Vec<String>),
    /// It is no longer asked for.
    Deleted,
}

/// What a bundle is applied with.
pub struct Work<'a> {
    /// The clients, and what the watches have seen.
    context: &'a Context,
    /// The resource's namespace and name.
    key: &'a Key,
    /// The resource.
    resource: &'a MeshCoreDeployment,
    /// What is remembered of it.
    memory: &'a mut Memory,
    /// How long to wait between repairs.
    backoff: Backoff,
    /// Its objects, as far as they are known.
    children: Vec<Arc<Child>>,
    /// Objects that are not there, as the API server said in this reconcile.
    absent: HashSet<(Kind, String)>,
    /// What becomes of it all.
    applied: Applied,
}

impl Applied {
    /// There is more to do after so long, or earlier.
    fn again(&mut self, wait: Duration) {
        self.again = Some(self.again.map_or(wait, |earlier| earlier.min(wait)));
    }
}

impl<'a> Work<'a> {
    /// Work on what was found.
    pub fn new(
        context: &'a Context,
        key: &'a Key,
        resource: &'a MeshCoreDeployment,
        found: &Found,
        memory: &'a mut Memory,
        backoff: Backoff,
    ) -> Self {
        Self {
            context,
            key,
            resource,
            memory,
            backoff,
            children: found.children.clone(),
            absent: found.absent.clone(),
            applied: Applied::default(),
        }
    }

    /// Applies everything in an order in which each object finds what it needs. What can't be applied is noted, and
    /// does not keep the rest from it, but for the StatefulSet: it needs its configuration and its claim.
    ///
    /// # Errors
    /// An API server that does not answer.
    pub async fn apply(mut self, bundle: Bundle, plan: &Plan) -> Result<Applied, ApiError> {
        let Bundle {
            config_map,
            service_account,
            claim,
            service,
            headless_service,
            stateful_set,
            ingress,
            http_route,
            network_policy,
            pod_disruption_budget,
        } = bundle;
        self.applied.problems.clone_from(&plan.problems);
        let config_map = Desired::new(Kind::ConfigMap, &config_map);
        let claim = claim.map(|claim| Desired::new(Kind::Claim, &claim));
        let stateful_set = Desired::new(Kind::StatefulSet, &stateful_set);
        let others = [
            service_account.map(|account| Desired::new(Kind::ServiceAccount, &account)),
            Some(Desired::new(Kind::Service, &service)),
            Some(Desired::new(Kind::Service, &headless_service)),
            ingress.map(|ingress| Desired::new(Kind::Ingress, &ingress)),
            http_route.map(|route| Desired::new(Kind::HttpRoute, &route)),
            network_policy.map(|policy| Desired::new(Kind::NetworkPolicy, &policy)),
            pod_disruption_budget.map(|budget| Desired::new(Kind::PodDisruptionBudget, &budget)),
        ];
        let others: Vec<Desired> = others.into_iter().flatten().collect();

        for desired in &others {
            self.ensure(desired).await?;
        }
        if let Some(claim) = claim.filter(|_| plan.claim.is_ours_to_apply) {
            self.applied.claim = self.ensure(&children::marked(claim, plan)).await?;
        }
        self.stateful_set(stateful_set, &config_map, plan).await?;
        self.prune(&others).await?;
        self.collect_configurations(&config_map.name).await?;
        self.repair().await?;
        Ok(self.applied)
    }

    fn objects(&self) -> Objects<'_> {
        Objects::new(self.context, &self.key.namespace)
    }

    fn uid(&self) -> &str {
        self.resource.metadata.uid.as_deref().unwrap_or_default()
    }
}
