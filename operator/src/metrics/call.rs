//! What a request asks for, as far as metrics tell requests apart.

use http::{HeaderMap, Method, Uri, header};

/// The kinds that the operator has to do with, by the name that they have in a path.
const KINDS: [(&str, &str); 17] = [
    ("configmaps", "ConfigMap"),
    ("controllerrevisions", "ControllerRevision"),
    ("events", "Event"),
    ("httproutes", "HTTPRoute"),
    ("ingresses", "Ingress"),
    ("leases", "Lease"),
    ("meshcoredeployments", "MeshCoreDeployment"),
    ("namespaces", "Namespace"),
    ("networkpolicies", "NetworkPolicy"),
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("poddisruptionbudgets", "PodDisruptionBudget"),
    ("pods", "Pod"),
    ("secrets", "Secret"),
    ("serviceaccounts", "ServiceAccount"),
    ("services", "Service"),
    ("statefulsets", "StatefulSet"),
    ("storageclasses", "StorageClass"),
];

/// A request to the API server, in words of bounded sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiCall {
    /// `get`, `list`, `watch`, `create`, `update`, `apply`, `patch`, `delete` or `other`.
    pub verb: &'static str,
    /// The kind, with `/status` or `/scale` behind it where only that part is meant; `Discovery` for what is no object.
    pub kind: &'static str,
}

impl ApiCall {
    /// Reads it off a request, whose path must not have the prefix of a proxy.
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let Some(target) = Target::of(uri.path()) else {
            return Self {
                verb: if *method == Method::GET {
                    "get"
                } else {
                    "other"
                },
                kind: "Discovery",
            };
        };
        Self {
            verb: verb(method, uri, headers, &target),
            kind: target.kind(),
        }
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

/// What a path leads to: the kind's name, the object and a part of it.
struct Target<'a> {
    plural: &'a str,
    has_name: bool,
    part: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let mut path = path.trim_matches('/').split('/');
        match path.next()? {
            "api" => path.next()?,
            "apis" => path.nth(1)?,
            _ => return None,
        };
        let rest: Vec<_> = path.take(5).collect();
        let (plural, rest) = match rest.as_slice() {
            ["namespaces", _, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
                (*plural, rest)
            }
            [plural, rest @ ..] => (*plural, rest),
            [] => return None,
        };
        Some(Self {
            plural,
            has_name: !rest.is_empty(),
            part: rest.get(1).copied(),
        })
    }

    fn kind(&self) -> &'static str {
        match (self.plural, self.part) {
            ("meshcoredeployments", Some("status")) => return "MeshCoreDeployment/status",
            ("statefulsets", Some("scale")) => return "StatefulSet/scale",
            _ => {}
        }
        KINDS
            .iter()
            .find(|(plural, _)| *plural == self.plural)
            .map_or("other", |(_, kind)| kind)
    }
}

fn verb(method: &Method, uri: &Uri, headers: &HeaderMap, target: &Target<'_>) -> &'static str {
    match *method {
        Method::GET if is_watch(uri) => "watch",
        Method::GET if target.has_name => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH if is_apply(headers) => "apply",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

fn is_watch(uri: &Uri) -> bool {
    let mut query = uri.query().unwrap_or_default().split('&');
    query.any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

fn is_apply(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str()
            .is_ok_and(|kind| kind.starts_with("application/apply-patch"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, uri: &str) -> (&'static str, &'static str) {
        let call = ApiCall::of(method, &uri.parse().unwrap(), &HeaderMap::new());
        (call.verb, call.kind)
    }

    #[test]
    fn the_verb_and_the_kind_are_read_off_the_path() {
        let mesh = "/apis/meshcore.dev/v1alpha1";
        for (method, uri, verb, kind) in [
            (
                Method::GET,
                format!("{mesh}/meshcoredeployments?limit=1"),
                "list",
                "MeshCoreDeployment",
            ),
            (
                Method::GET,
                format!("{mesh}/meshcoredeployments?&watch=true&allowWatchBookmarks=true"),
                "watch",
                "MeshCoreDeployment",
            ),
            (
                Method::GET,
                format!("{mesh}/namespaces/a/meshcoredeployments/b"),
                "get",
                "MeshCoreDeployment",
            ),
            (
                Method::PATCH,
                format!("{mesh}/namespaces/a/meshcoredeployments/b/status?force=true"),
                "patch",
                "MeshCoreDeployment/status",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods".to_owned(),
                "list",
                "Pod",
            ),
            (
                Method::GET,
                "/api/v1/pods?watch=1".to_owned(),
                "watch",
                "Pod",
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/a/pods/b".to_owned(),
                "delete",
                "Pod",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a".to_owned(),
                "get",
                "Namespace",
            ),
            (
                Method::GET,
                "/api/v1/namespaces".to_owned(),
                "list",
                "Namespace",
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b".to_owned(),
                "update",
                "Lease",
            ),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/a/events".to_owned(),
                "create",
                "Event",
            ),
            (
                Method::GET,
                "/apis/unheard.of/v1/namespaces/a/things/b".to_owned(),
                "get",
                "other",
            ),
            (Method::GET, "/openapi/v3".to_owned(), "get", "Discovery"),
            (
                Method::GET,
                "/apis/gateway.networking.k8s.io".to_owned(),
                "get",
                "Discovery",
            ),
            (
                Method::GET,
                "/apis/gateway.networking.k8s.io/v1".to_owned(),
                "get",
                "Discovery",
            ),
            (Method::GET, "/version".to_owned(), "get", "Discovery"),
            (Method::GET, "/".to_owned(), "get", "Discovery"),
        ] {
            assert_eq!(call(&method, &uri), (verb, kind), "{method} {uri}");
        }
    }

    #[test]
    fn a_server_side_apply_is_told_from_other_patches() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            "application/apply-patch+yaml".parse().unwrap(),
        );
        let uri = "/apis/apps/v1/namespaces/a/statefulsets/b".parse().unwrap();
        let call = ApiCall::of(&Method::PATCH, &uri, &headers);
        assert_eq!((call.verb, call.kind), ("apply", "StatefulSet"));
        assert!(call.writes());
    }
}
