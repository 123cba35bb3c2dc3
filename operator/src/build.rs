//! What a resource is made into: all objects at once, from the resource and a few facts, without a client.
//!
//! **A pod template depends on the resource alone.** Whatever in it changed with the operator's version would restart
//! every analyzer of a cluster when the operator is upgraded. Only the tag of the images does, where the resource names
//! none; labels with a version stand on the StatefulSet itself. `tests/templates` holds what each of many resources
//! becomes, and its test fails when that changes.

mod claim;
mod config_map;
mod container;
mod environment;
#[cfg(test)]
mod fixtures;
mod hash;
mod http_route;
mod image;
mod ingress;
mod labels;
mod metadata;
mod network_policy;
mod places;
mod pod;
mod pod_disruption_budget;
mod probes;
mod resources;
mod security;
mod service;
mod service_account;
mod stateful_set;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use meshcore_resource::MeshCoreDeployment;

use crate::bundle::Bundle;
use crate::settings::Settings;

pub use labels::selector;

/// What `build` needs to know of the cluster, beside the resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The resource's own claim, if it is there.
    pub claim: Option<LiveClaim>,
    /// The Gateway API's `HTTPRoute`, if the cluster serves it.
    pub http_route: Option<HttpRouteApi>,
}

/// The live claim, as far as its size goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveClaim {
    /// `spec.resources.requests.storage`.
    pub requested: Option<Quantity>,
    /// `status.capacity.storage`; none until the claim is bound.
    pub capacity: Option<Quantity>,
}

/// How the cluster serves `HTTPRoute`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRouteApi {
    /// The version, such as `v1`.
    pub version: String,
    /// Whether a rule may have `timeouts`, which the standard channel has since Gateway API 1.2. An API server refuses
    /// to apply a field that it does not know.
    pub has_timeouts: bool,
}

/// Makes everything that `resource` asks for. Equal arguments give equal bundles.
pub fn build(resource: &MeshCoreDeployment, settings: &Settings, facts: &Facts) -> Bundle {
    let config_map = config_map::build(resource);
    let config_name = config_map.metadata.name.clone().unwrap_or_default();
    Bundle {
        config_map,
        service_account: service_account::build(resource),
        claim: claim::build(resource, facts.claim.as_ref()),
        service: service::build(resource),
        headless_service: service::headless(resource),
        stateful_set: stateful_set::build(resource, settings, &config_name),
        ingress: ingress::build(resource),
        http_route: http_route::build(resource, facts.http_route.as_ref()),
        network_policy: network_policy::build(resource),
        pod_disruption_budget: pod_disruption_budget::build(resource),
    }
}
