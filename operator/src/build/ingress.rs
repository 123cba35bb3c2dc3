//! The Ingress. WebSockets need nothing in it: controllers pass an upgrade on by themselves. How long an idle connection
//! may stay is each controller's own annotation, which the resource can give.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use meshcore_resource::{Ingress as Wish, MeshCoreDeployment};

use super::metadata::{self, name};
use super::service::service_port;

pub(super) fn build(resource: &MeshCoreDeployment) -> Option<Ingress> {
    let wish = resource.spec.ingress.as_ref()?;
    let mut metadata = metadata::owned(resource, name(resource));
    if !wish.annotations.is_empty() {
        metadata.annotations = Some(wish.annotations.clone());
    }
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: wish.class_name.clone(),
            rules: Some(vec![rule(resource, wish)]),
            tls: tls(wish),
            default_backend: None,
        }),
        status: None,
    })
}

fn rule(resource: &MeshCoreDeployment, wish: &Wish) -> IngressRule {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: name(resource).to_owned(),
            port: Some(ServiceBackendPort {
                number: Some(service_port(resource)),
                name: None,
            }),
        }),
        resource: None,
    };
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend,
    };
    IngressRule {
        host: Some(wish.host.clone()),
        http: Some(HTTPIngressRuleValue { paths: vec![path] }),
    }
}

fn tls(wish: &Wish) -> Option<Vec<IngressTLS>> {
    let secret_name = wish.tls_secret_name.clone()?;
    Some(vec![IngressTLS {
        hosts: Some(vec![wish.host.clone()]),
        secret_name: Some(secret_name),
    }])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, metadata, resource};
    use super::*;

    fn backend(port: i32) -> Value {
        json!({"paths": [{
            "path": "/",
            "pathType": "Prefix",
            "backend": {"service": {"name": "bay", "port": {"number": port}}},
        }]})
    }

    #[test]
    fn an_ingress_leads_everything_of_its_host_to_the_service() {
        let spec = json!({"ingress": {"host": "mesh.example.org"}});
        assert_eq!(
            json_of(&build(&resource(spec))),
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": metadata("bay"),
                "spec": {"rules": [{"host": "mesh.example.org", "http": backend(80)}]},
            })
        );
        assert_eq!(build(&resource(json!({}))), None);
    }

    #[test]
    fn class_certificate_and_annotations_are_those_of_the_resource() {
        let spec = json!({
            "service": {"port": 81},
            "ingress": {
                "className": "nginx",
                "host": "mesh.example.org",
                "tlsSecretName": "mesh-tls",
                "annotations": {"a": "b"},
            },
        });
        let ingress = json_of(&build(&resource(spec)));
        assert_eq!(ingress["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!(
            ingress["spec"],
            json!({
                "ingressClassName": "nginx",
                "tls": [{"hosts": ["mesh.example.org"], "secretName": "mesh-tls"}],
                "rules": [{"host": "mesh.example.org", "http": backend(81)}],
            })
        );
    }
}
