//! What a request is about, read off its path as the API server does.

use http::{Method, Request, header};

/// A request that came to the proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Which one it is since the start of the proxy, beginning with 1.
    pub number: u64,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; in small letters the method
    /// where it is about no resource.
    pub verb: &'static str,
    /// The API group, empty for the core.
    pub group: String,
    /// The resource in the plural, empty where there is none.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty where there is none.
    pub namespace: String,
    /// The object's name; empty for lists, watches and creation.
    pub name: String,
    /// The path and the query.
    pub uri: String,
    /// What the program calls itself.
    pub user_agent: String,
}

impl RequestInfo {
    pub(super) fn read<T>(number: u64, request: &Request<T>) -> Self {
        let uri = request.uri();
        let user_agent = request.headers().get(header::USER_AGENT);
        let mut info = Self {
            number,
            uri: uri.to_string(),
            user_agent: user_agent
                .and_then(|agent| agent.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            ..Self::default()
        };
        info.read_path(uri.path());
        let watches = uri.query().is_some_and(|query| {
            let mut pairs = query.split('&');
            pairs.any(|pair| matches!(pair, "watch=true" | "watch=1"))
        });
        info.verb = info.verb_of(request.method(), watches);
        info
    }

    /// Whether it asked for a change.
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb,
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }

    /// Whether its answer is a stream of events.
    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }

    fn read_path(&mut self, path: &str) {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let rest = match parts.as_slice() {
            ["api", _, _, ..] => parts.split_off(2),
            ["apis", group, _, _, ..] => {
                (*group).clone_into(&mut self.group);
                parts.split_off(3)
            }
            _ => return,
        };
        let rest = match rest.as_slice() {
            // Subresources of a namespace, not resources in it.
            ["namespaces", _, "status" | "finalize"] => rest.as_slice(),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                (*namespace).clone_into(&mut self.namespace);
                rest
            }
            rest => rest,
        };
        let mut rest = rest.iter();
        for field in [&mut self.resource, &mut self.name, &mut self.subresource] {
            (*rest.next().unwrap_or(&"")).clone_into(field);
        }
    }

    fn verb_of(&self, method: &Method, watches: bool) -> &'static str {
        let about_one = !self.name.is_empty();
        match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if about_one => "delete",
            Method::DELETE => "deletecollection",
            _ if watches => "watch",
            _ if about_one || self.resource.is_empty() => "get",
            _ => "list",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, uri: &str) -> String {
        let request = Request::builder().method(method).uri(uri);
        let info = RequestInfo::read(1, &request.body(()).unwrap());
        let RequestInfo {
            verb,
            group,
            resource,
            subresource,
            namespace,
            name,
            ..
        } = info;
        format!("{verb} {group}|{resource}|{subresource}|{namespace}|{name}")
    }

    #[test]
    fn paths_say_what_requests_are_about() {
        for (method, uri, expected) in [
            ("GET", "/version", "get ||||"),
            ("GET", "/apis/apps/v1", "get ||||"),
            ("GET", "/api/v1/pods?limit=5", "list |pods|||"),
            ("GET", "/api/v1/namespaces/a", "get |namespaces|||a"),
            (
                "PUT",
                "/api/v1/namespaces/a/finalize",
                "update |namespaces|finalize||a",
            ),
            (
                "GET",
                "/api/v1/namespaces/a/pods?watch=true",
                "watch |pods||a|",
            ),
            (
                "DELETE",
                "/api/v1/namespaces/a/pods",
                "deletecollection |pods||a|",
            ),
            ("DELETE", "/api/v1/namespaces/a/pods/b", "delete |pods||a|b"),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/a/statefulsets/b/status?force=true",
                "patch apps|statefulsets|status|a|b",
            ),
            (
                "POST",
                "/apis/apps/v1/namespaces/a/statefulsets",
                "create apps|statefulsets||a|",
            ),
        ] {
            assert_eq!(read(method, uri), expected, "{method} {uri}");
        }
    }
}
