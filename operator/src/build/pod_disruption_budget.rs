//! The `PodDisruptionBudget`, where the resource asks for one. With one replica it guards nothing; it is for clusters
//! whose rules want one, and made so that it never blocks a drain.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshcore_resource::MeshCoreDeployment;

use super::{labels, metadata};

pub(super) fn build(resource: &MeshCoreDeployment) -> Option<PodDisruptionBudget> {
    let is_wanted = resource.spec.pod_disruption_budget.enabled;
    is_wanted.then(|| PodDisruptionBudget {
        metadata: metadata::owned(resource, metadata::name(resource)),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(labels::label_selector(resource)),
            max_unavailable: Some(IntOrString::Int(1)),
            // A broken pod must not keep a machine from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            min_available: None,
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{json_of, metadata, resource, selector};
    use super::*;

    #[test]
    fn a_budget_is_made_where_it_is_wanted_and_never_blocks_a_drain() {
        assert_eq!(
            json_of(&build(&resource(
                json!({"podDisruptionBudget": {"enabled": true}})
            ))),
            json!({
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": metadata("bay"),
                "spec": {
                    "selector": {"matchLabels": selector()},
                    "maxUnavailable": 1,
                    "unhealthyPodEvictionPolicy": "AlwaysAllow",
                },
            })
        );
        assert_eq!(build(&resource(json!({}))), None);
    }
}
