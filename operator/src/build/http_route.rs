//! The route of the Gateway API, where the cluster serves it.

use kube::core::{DynamicObject, TypeMeta};
use meshcore_resource::{HttpRoute, MeshCoreDeployment, ParentRef};
use serde_json::{Value, json};

use super::HttpRouteApi;
use super::metadata::{self, name};
use super::service::service_port;

/// The group of the Gateway API.
const GROUP: &str = "gateway.networking.k8s.io";

pub(super) fn build(
    resource: &MeshCoreDeployment,
    api: Option<&HttpRouteApi>,
) -> Option<DynamicObject> {
    let (wish, api) = (resource.spec.http_route.as_ref()?, api?);
    Some(DynamicObject {
        types: Some(TypeMeta {
            api_version: format!("{GROUP}/{}", api.version),
            kind: "HTTPRoute".to_owned(),
        }),
        metadata: metadata::owned(resource, name(resource)),
        data: json!({ "spec": spec(resource, wish, api) }),
    })
}

fn spec(resource: &MeshCoreDeployment, wish: &HttpRoute, api: &HttpRouteApi) -> Value {
    let parents: Vec<Value> = wish.parent_refs.iter().map(parent).collect();
    let mut spec = json!({ "parentRefs": parents, "rules": rules(resource, api) });
    if !wish.hostnames.is_empty() {
        spec["hostnames"] = wish.hostnames.clone().into();
    }
    spec
}

/// The live feed stays open for ever, so it has no time-out; everything else has the gateway's.
fn rules(resource: &MeshCoreDeployment, api: &HttpRouteApi) -> Vec<Value> {
    let mut rules = Vec::new();
    if api.has_timeouts {
        let mut live = rule(resource, "Exact", "/ws");
        live["timeouts"] = json!({ "request": "0s", "backendRequest": "0s" });
        rules.push(live);
    }
    rules.push(rule(resource, "PathPrefix", "/"));
    rules
}

fn rule(resource: &MeshCoreDeployment, match_type: &str, path: &str) -> Value {
    json!({
        "matches": [{ "path": { "type": match_type, "value": path } }],
        "backendRefs": [{ "name": name(resource), "port": service_port(resource) }],
    })
}

fn parent(parent: &ParentRef) -> Value {
    let ParentRef {
        name,
        namespace,
        section_name,
    } = parent;
    let mut value = json!({ "name": name });
    for (key, text) in [("namespace", namespace), ("sectionName", section_name)] {
        if let Some(text) = text {
            value[key] = text.as_str().into();
        }
    }
    value
}
