//! The Services: one for those who look at the mesh, a headless one for those who look after it.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshcore_resource::{IpFamilyPolicy, MeshCoreDeployment, ServiceType};

use super::labels;
use super::metadata::{self, name};
use crate::names::{COMPONENT, INGESTOR_PORT, SERVER, SERVER_PORT, headless_service};

/// The server, and nothing of the ingestor: this one may be a load balancer in front of the world.
pub(super) fn build(resource: &MeshCoreDeployment) -> Service {
    let wanted = &resource.spec.service;
    let mut metadata = metadata::owned(resource, name(resource));
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(COMPONENT.to_owned(), SERVER.to_owned());
    if !wanted.annotations.is_empty() {
        metadata.annotations = Some(wanted.annotations.clone());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_name(wanted.type_).to_owned()),
            ports: Some(vec![port("http", service_port(resource), SERVER_PORT)]),
            ..spec(resource)
        }),
        status: None,
    }
}

/// The pod's host name and the ports of both programs.
///
/// It also has a pod that is not ready: its metrics and health are wanted most then, and nobody looks at the page
/// through it.
pub(super) fn headless(resource: &MeshCoreDeployment) -> Service {
    Service {
        metadata: metadata::owned(resource, headless_service(name(resource))),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![
                port("http", SERVER_PORT, SERVER_PORT),
                port("metrics", INGESTOR_PORT, INGESTOR_PORT),
            ]),
            ..spec(resource)
        }),
        status: None,
    }
}

/// The port of the Service in front of the server.
pub(super) fn service_port(resource: &MeshCoreDeployment) -> i32 {
    i32::try_from(resource.spec.service.port).unwrap_or(80)
}

/// What both have.
fn spec(resource: &MeshCoreDeployment) -> ServiceSpec {
    let policy = match resource.spec.service.ip_family_policy {
        IpFamilyPolicy::SingleStack => "SingleStack",
        IpFamilyPolicy::PreferDualStack => "PreferDualStack",
        IpFamilyPolicy::RequireDualStack => "RequireDualStack",
    };
    ServiceSpec {
        selector: Some(labels::selector(name(resource))),
        ip_family_policy: Some(policy.to_owned()),
        ..ServiceSpec::default()
    }
}

fn type_name(type_: ServiceType) -> &'static str {
    match type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

fn port(name: &str, port: i32, target: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        target_port: Some(IntOrString::Int(target)),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{json_of, metadata, resource, selector};
    use super::*;

    /// `component: server` is for monitors: the other Service has the same port.
    #[test]
    fn the_service_shows_the_server_and_nothing_of_the_ingestor() {
        let mut metadata = metadata("bay");
        metadata["labels"]["app.kubernetes.io/component"] = "server".into();
        assert_eq!(
            json_of(&build(&resource(json!({})))),
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {
                    "type": "ClusterIP",
                    "selector": selector(),
                    "ipFamilyPolicy": "SingleStack",
                    "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
                },
            })
        );
    }

    #[test]
    fn the_service_is_reached_as_the_resource_says() {
        let service = json!({
            "type": "LoadBalancer",
            "port": 8000,
            "annotations": {"metallb.io/address-pool": "public"},
            "ipFamilyPolicy": "RequireDualStack",
        });
        let service = json_of(&build(&resource(json!({ "service": service }))));
        assert_eq!(
            service["metadata"]["annotations"],
            json!({"metallb.io/address-pool": "public"})
        );
        assert_eq!(service["spec"]["type"], "LoadBalancer");
        assert_eq!(service["spec"]["ipFamilyPolicy"], "RequireDualStack");
        assert_eq!(service["spec"]["ports"][0]["port"], 8000);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 8080);
    }

    /// Its name stands in the StatefulSet, and the pod is `bay-0.bay-pods` by it.
    #[test]
    fn the_headless_service_has_both_programs_also_when_they_are_not_ready() {
        assert_eq!(
            json_of(&headless(&resource(json!({})))),
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata("bay-pods"),
                "spec": {
                    "type": "ClusterIP",
                    "clusterIP": "None",
                    "selector": selector(),
                    "ipFamilyPolicy": "SingleStack",
                    "publishNotReadyAddresses": true,
                    "ports": [
                        {"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"},
                        {"name": "metrics", "port": 8081, "targetPort": 8081, "protocol": "TCP"},
                    ],
                },
            })
        );
    }
}
