//! What may be done, decided from what was found. Pure.

mod claim;

use meshcore_resource::MeshCoreDeployment;

use crate::dereference::Found;
use crate::problem::Problem;
use crate::status::{Reason, pod};
pub use claim::{ClaimPlan, claim_name};

/// What may be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What somebody has to do something about. It does not keep the rest from being done.
    pub problems: Vec<Problem>,
    /// What may be done with the claim.
    pub claim: ClaimPlan,
}

/// Checks the rules that the API server checks too, in case its definition of the resource is an older one, and what
/// was found.
///
/// # Errors
/// A resource that breaks a rule: nothing can be made of it.
pub fn validate(resource: &MeshCoreDeployment, found: &Found) -> Result<Plan, Problem> {
    let violations: Vec<String> = resource
        .validate()
        .iter()
        .map(ToString::to_string)
        .collect();
    if !violations.is_empty() {
        return Err(Problem::new(Reason::Invalid, violations.join("; ")));
    }
    let is_running = pod::current(&found.pods()).is_some_and(pod::is_ready);
    let claim = claim::plan(resource, &found.claim, is_running);
    let problems = claim.problem.iter().chain(&found.problems);
    let mut problems: Vec<Problem> = problems.cloned().collect();
    if resource.spec.http_route.is_some() && found.http_route.is_none() {
        let message = "spec.httpRoute asks for an HTTPRoute, which this cluster does not serve; install the Gateway \
                       API's definitions, or use spec.ingress";
        problems.push(Problem::new(Reason::GatewayApiMissing, message));
    }
    Ok(Plan { problems, claim })
}
