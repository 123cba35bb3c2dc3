//! Reads what the resource refers to, and what is there of it already.

mod secrets;

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use meshcore_resource::MeshCoreDeployment;

use crate::api::{ApiError, Objects, Trouble};
use crate::build::{Facts, HttpRouteApi, LiveClaim};
use crate::cache::{Child, Key};
use crate::context::Context;
use crate::controller::Memory;
use crate::kind::Kind;
use crate::problem::Problem;
use crate::validate::claim_name;

/// What is there.
#[derive(Debug, Default)]
pub struct Found {
    /// The objects of the resource that the watches have seen.
    pub children: Vec<Arc<Child>>,
    /// The claim that the database is on, be it ours or one that the resource names.
    pub claim: ClaimSeen,
    /// Objects that are not there, as the API server said.
    pub absent: HashSet<(Kind, String)>,
    /// How the cluster serves `HTTPRoute`.
    pub http_route: Option<HttpRouteApi>,
    /// What is missing of what the resource refers to.
    pub problems: Vec<Problem>,
}

/// What is known of the claim.
#[derive(Clone, Debug, Default)]
pub enum ClaimSeen {
    /// Nothing: it could not be asked for. That is not the same as that it is not there.
    #[default]
    Unknown,
    /// It is not there.
    Absent,
    /// It is there.
    There(Arc<Child>),
}

impl ClaimSeen {
    /// The claim, if it is there.
    pub fn there(&self) -> Option<&Arc<Child>> {
        match self {
            Self::There(claim) => Some(claim),
            Self::Unknown | Self::Absent => None,
        }
    }
}

/// Reads what the resource refers to. What the watches have seen costs nothing; a Secret is looked at when the resource
/// changes, and at times.
///
/// # Errors
/// A request that failed for the moment.
pub async fn dereference(
    context: &Context,
    key: &Key,
    resource: &MeshCoreDeployment,
    memory: &mut Memory,
) -> Result<Found, ApiError> {
    let objects = Objects::new(context, &key.namespace);
    let mut found = Found {
        children: context.cache.children(key),
        http_route: context.http_route.borrow().clone(),
        problems: context.watch_troubles.problems(&key.namespace),
        ..Found::default()
    };
    found
        .problems
        .extend(secrets::check(&objects, resource, memory).await?);
    found
        .look_for_claim(&objects, &claim_name(resource))
        .await?;
    Ok(found)
}

impl Found {
    /// What `build` needs to know.
    pub fn facts(&self) -> Facts {
        let claim = self.claim.there();
        Facts {
            claim: claim
                .and_then(|claim| claim.parse().ok())
                .map(|claim| sizes(&claim)),
            http_route: self.http_route.clone(),
        }
    }

    /// Takes the cached claim, or what the API server says: whether a claim is there is never taken from a watch alone.
    async fn look_for_claim(&mut self, objects: &Objects<'_>, name: &str) -> Result<(), ApiError> {
        let cached = self
            .children
            .iter()
            .find(|child| child.is(Kind::Claim, name));
        if let Some(cached) = cached {
            self.claim = ClaimSeen::There(Arc::clone(cached));
            return Ok(());
        }
        match objects.get(Kind::Claim, name).await {
            Ok(Some(live)) => {
                let claim = Arc::new(Child::of(Kind::Claim, &live));
                self.children.push(Arc::clone(&claim));
                self.claim = ClaimSeen::There(claim);
            }
            Ok(None) => {
                self.absent.insert((Kind::Claim, name.to_owned()));
                self.claim = ClaimSeen::Absent;
            }
            Err(error) => match error.trouble() {
                Trouble::Lasting(problem) => self.problems.push(problem),
                Trouble::Passing => return Err(error),
            },
        }
        Ok(())
    }

    /// The pods.
    pub fn pods(&self) -> Vec<Pod> {
        let pods = self.children.iter().filter(|child| child.kind == Kind::Pod);
        pods.filter_map(|pod| pod.parse().ok()).collect()
    }
}

fn sizes(claim: &PersistentVolumeClaim) -> LiveClaim {
    let requests = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let capacity = claim
        .status
        .as_ref()
        .and_then(|status| status.capacity.as_ref());
    LiveClaim {
        requested: requests.and_then(|requests| requests.get("storage").cloned()),
        capacity: capacity.and_then(|capacity| capacity.get("storage").cloned()),
    }
}
