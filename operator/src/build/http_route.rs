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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{json_of, metadata, resource};
    use super::*;

    fn api(version: &str, has_timeouts: bool) -> HttpRouteApi {
        HttpRouteApi {
            version: version.to_owned(),
            has_timeouts,
        }
    }

    fn wanted() -> MeshCoreDeployment {
        resource(json!({"httpRoute": {
            "parentRefs": [{"name": "gateway", "namespace": "infra", "sectionName": "https"}],
            "hostnames": ["mesh.example.org"],
        }}))
    }

    #[test]
    fn the_live_feed_has_no_time_out_and_the_rest_the_gateways() {
        let to = |kind: &str, path: &str| {
            json!({
                "matches": [{"path": {"type": kind, "value": path}}],
                "backendRefs": [{"name": "bay", "port": 80}],
            })
        };
        let mut live = to("Exact", "/ws");
        live["timeouts"] = json!({"request": "0s", "backendRequest": "0s"});
        assert_eq!(
            json_of(&build(&wanted(), Some(&api("v1", true)))),
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": metadata("bay"),
                "spec": {
                    "parentRefs": [{"name": "gateway", "namespace": "infra", "sectionName": "https"}],
                    "hostnames": ["mesh.example.org"],
                    "rules": [live, to("PathPrefix", "/")],
                },
            })
        );
    }

    #[test]
    fn an_older_gateway_api_gets_no_field_that_it_does_not_know() {
        let route = json_of(&build(&wanted(), Some(&api("v1beta1", false))));
        assert_eq!(route["apiVersion"], "gateway.networking.k8s.io/v1beta1");
        assert_eq!(route["spec"]["rules"].as_array().unwrap().len(), 1);
        assert!(!route.to_string().contains("timeouts"), "{route}");
    }

    #[test]
    fn there_is_no_route_where_none_is_wanted_or_served() {
        assert_eq!(build(&wanted(), None), None);
        assert_eq!(build(&resource(json!({})), Some(&api("v1", true))), None);
    }
}
