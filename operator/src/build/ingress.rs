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
