//! What the tests of `build` share.

use meshcore_operator::Bundle;
use serde_json::{Value, json};

/// All objects of a bundle, in the order in which they are declared, as an API server gets them.
pub(crate) fn objects(bundle: &Bundle) -> Vec<Value> {
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
    let objects = json!([
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
    ]);
    let Value::Array(objects) = objects else {
        unreachable!("it is written as one")
    };
    objects
        .into_iter()
        .filter(|object| !object.is_null())
        .collect()
}
