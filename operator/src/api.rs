//! Requests to the API server: each names what it was about when it fails.

mod error;

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, Request};
use kube::{Api, Resource};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::build::selector;
use crate::cache::{Child, Key, Origin};
use crate::context::Context;
use crate::kind::Kind;
use crate::live::Live;
use crate::names;
pub use error::{ApiError, Trouble};

/// What a request does, as roles and metrics call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads many.
    List,
    /// Follows many.
    Watch,
    /// Makes an object.
    Create,
    /// Makes or changes an object.
    Patch,
    /// Deletes an object.
    Delete,
}

impl Verb {
    /// The verb as roles have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// A Secret, of which only the keys are read.
#[derive(Deserialize)]
struct Keys {
    #[serde(default, deserialize_with = "keys")]
    data: BTreeSet<String>,
}

fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    struct KeysVisitor;

    impl<'de> Visitor<'de> for KeysVisitor {
        type Value = BTreeSet<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("keys and values")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut keys = BTreeSet::new();
            while let Some((key, IgnoredAny)) = map.next_entry()? {
                keys.insert(key);
            }
            Ok(keys)
        }
    }

    deserializer.deserialize_map(KeysVisitor)
}

/// The objects of one namespace.
#[derive(Clone, Copy)]
pub struct Objects<'a> {
    context: &'a Context,
    namespace: &'a str,
}

impl<'a> Objects<'a> {
    /// The objects of a namespace.
    pub fn new(context: &'a Context, namespace: &'a str) -> Self {
        Self { context, namespace }
    }

    /// The object as it is now, if it is there.
    ///
    /// # Errors
    /// Whatever the API server answers but 404.
    pub async fn get(&self, kind: Kind, name: &str) -> Result<Option<Live>, ApiError> {
        let found = self.api(kind).get_opt(name).await;
        found.map_err(|source| self.error(Verb::Get, kind, name, source))
    }

    /// The namespace.
    pub fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// The keys of a Secret, if it is there. Its values are passed over as they are read, and are in no log: the
    /// client's own typed requests would log an answer that they can't read.
    ///
    /// # Errors
    /// Whatever the API server answers but 404.
    pub async fn secret_keys(&self, name: &str) -> Result<Option<BTreeSet<String>>, ApiError> {
        let error = |source| ApiError {
            verb: Verb::Get,
            kind: "Secret",
            plural: "secrets",
            key: Key::new(self.namespace, name),
            source: Box::new(source),
        };
        let path = Secret::url_path(&(), Some(self.namespace));
        let request = Request::new(path).get(name, &GetParams::default());
        let request = request.map_err(|source| error(kube::Error::BuildRequest(source)))?;
        match self.context.clients.write.request_text(request).await {
            Ok(text) => match serde_json::from_str::<Keys>(&text) {
                Ok(keys) => Ok(Some(keys.data)),
                Err(source) => Err(error(kube::Error::SerdeError(source))),
            },
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(source) => Err(error(source)),
        }
    }

    /// The revisions of a resource's StatefulSet.
    ///
    /// # Errors
    /// Whatever the API server answers.
    pub async fn revisions(&self, resource: &str) -> Result<Vec<Value>, ApiError> {
        let kind = ApiResource::erase::<ControllerRevision>(&());
        let client = self.context.clients.write.clone();
        let api: Api<Live> = Api::namespaced_with(client, self.namespace, &kind);
        let params = ListParams::default().labels(&selector_of(resource));
        let answer = api.list(&params).await.map_err(|source| ApiError {
            verb: Verb::List,
            kind: "ControllerRevision",
            plural: "controllerrevisions",
            key: Key::new(self.namespace, resource),
            source: Box::new(source),
        })?;
        Ok(answer.items.iter().map(Live::to_value).collect())
    }

    /// Applies what we desire of an object, and keeps the answer.
    ///
    /// # Errors
    /// Whatever the API server answers.
    pub async fn apply(&self, kind: Kind, name: &str, desired: &Value) -> Result<Child, ApiError> {
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let answer = self
            .api(kind)
            .patch(name, &params, &Patch::Apply(desired))
            .await;
        let live = answer.map_err(|source| self.error(Verb::Patch, kind, name, source))?;
        self.context.cache.put(kind, &live, Origin::Update);
        Ok(Child::of(kind, &live))
    }

    /// Merges a patch into an object and keeps the answer. With `metadata.uid` it is for that object only.
    ///
    /// # Errors
    /// Whatever the API server answers.
    pub async fn merge(&self, kind: Kind, name: &str, patch: &Value) -> Result<(), ApiError> {
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let answer = self
            .api(kind)
            .patch(name, &params, &Patch::Merge(patch))
            .await;
        let live = answer.map_err(|source| self.error(Verb::Patch, kind, name, source))?;
        self.context.cache.put(kind, &live, Origin::Update);
        Ok(())
    }

    /// Deletes the object with this UID; one that is gone, or is another by now, is as good as deleted. Its own grace
    /// period holds.
    ///
    /// # Errors
    /// Whatever the API server answers but 404 and 409.
    pub async fn delete(&self, kind: Kind, name: &str, uid: &str) -> Result<(), ApiError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let answer = self.api(kind).delete(name, &params).await;
        match answer {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(())
            }
            Err(source) => Err(self.error(Verb::Delete, kind, name, source)),
        }
    }

    fn api(&self, kind: Kind) -> Api<Live> {
        let resource = kind.api_resource(&self.context.http_route_version());
        Api::namespaced_with(
            self.context.clients.write.clone(),
            self.namespace,
            &resource,
        )
    }

    fn error(&self, verb: Verb, kind: Kind, name: &str, source: kube::Error) -> ApiError {
        ApiError {
            verb,
            kind: kind.name(),
            plural: kind.plural(),
            key: Key::new(self.namespace, name),
            source: Box::new(source),
        }
    }
}

/// The labels of a resource's pods and revisions, as requests have them.
fn selector_of(resource: &str) -> String {
    let labels = selector(resource).into_iter();
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    labels.join(",")
}
