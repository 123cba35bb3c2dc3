//! An object as the API server has it, of any kind, in as little memory as it takes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object as the API server has it. Its fields beside the metadata are kept as text: who needs them reads them, and
/// one that can't be read spoils no watch.
///
/// `metadata.managedFields` is passed over: it is often larger than all the rest.
#[derive(Clone, Debug, Default)]
pub struct Live {
    metadata: ObjectMeta,
    fields: BTreeMap<Cow<'static, str>, Box<RawValue>>,
}

impl Live {
    /// The object without the named fields, such as a status that nobody needs.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.fields
            .retain(|name, _| !names.contains(&name.as_ref()));
        self
    }

    /// The object, without `apiVersion` and `kind`.
    ///
    /// # Panics
    /// Never: it is JSON.
    pub fn to_value(&self) -> Value {
        serde_json::from_slice(&self.to_json()).expect("it was written as JSON")
    }

    /// The object as JSON text, without `apiVersion` and `kind`.
    ///
    /// # Panics
    /// Never: it is JSON.
    pub fn to_json(&self) -> Box<[u8]> {
        let text = serde_json::to_vec(self).expect("metadata and JSON texts are JSON");
        text.into_boxed_slice()
    }
}

impl Resource for Live {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Serialize for Live {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len() + 1))?;
        map.serialize_entry("metadata", &self.metadata)?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Live {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LiveVisitor)
    }
}

struct LiveVisitor;

impl<'de> Visitor<'de> for LiveVisitor {
    type Value = Live;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Live, A::Error> {
        let mut live = Live::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "metadata" => live.metadata = map.next_value::<Metadata>()?.into(),
                "apiVersion" | "kind" => drop(map.next_value::<IgnoredAny>()?),
                _ => drop(live.fields.insert(known(name), map.next_value()?)),
            }
        }
        match live.metadata.name {
            Some(_) => Ok(live),
            None => Err(A::Error::missing_field("metadata.name")),
        }
    }
}

/// The names that most objects have, without a copy of each.
fn known(name: String) -> Cow<'static, str> {
    match name.as_str() {
        "spec" => "spec".into(),
        "status" => "status".into(),
        "data" => "data".into(),
        _ => name.into(),
    }
}

/// What of the metadata is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
}

impl From<Metadata> for ObjectMeta {
    fn from(metadata: Metadata) -> Self {
        Self {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            labels: metadata.labels,
            annotations: metadata.annotations,
            owner_references: metadata.owner_references,
            finalizers: metadata.finalizers,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            deletion_grace_period_seconds: metadata.deletion_grace_period_seconds,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectList, WatchEvent};

    use super::*;

    const OBJECT: &str = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u",
        "resourceVersion":"7","managedFields":[{"manager":"m","fieldsV1":{"f:data":{}}}]},"data":{"k":"v"},"immutable":true}"#;

    #[test]
    fn an_object_is_kept_without_its_managed_fields() {
        let live: Live = serde_json::from_str(OBJECT).unwrap();
        let kept: serde_json::Value = serde_json::from_slice(&live.to_json()).unwrap();
        let expected = serde_json::json!({
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7"},
            "data": {"k": "v"}, "immutable": true,
        });
        assert_eq!(kept, expected);
    }

    #[test]
    fn it_is_read_out_of_watch_events_and_lists() {
        let event = format!(r#"{{"type":"ADDED","object":{OBJECT}}}"#);
        let event = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::<Live>::Added(live) if live.fields.len() == 2));
        let list = format!(
            r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{OBJECT}]}}"#
        );
        let list: ObjectList<Live> = serde_json::from_str(&list).unwrap();
        assert_eq!(list.items[0].metadata.uid.as_deref(), Some("u"));
    }

    #[test]
    fn fields_that_nobody_needs_are_left_out() {
        let live: Live = serde_json::from_str(OBJECT).unwrap();
        assert_eq!(live.without(&["data"]).fields.len(), 1);
    }

    #[test]
    fn what_has_no_name_is_no_object() {
        assert!(serde_json::from_str::<Live>(r#"{"metadata":{}}"#).is_err());
    }
}
