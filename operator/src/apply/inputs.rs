//! Which fields of the resource made a pod template, so that a rollout can be explained and announced by them.

use std::collections::{BTreeMap, BTreeSet};

use meshcore_resource::{MeshCoreDeployment, MeshCoreDeploymentSpec, Storage};
use serde_json::{Map, Value, json};

use super::desired::hash;
use crate::settings::Settings;

/// Fields that don't reach the pod template.
const ELSEWHERE: [&str; 9] = [
    "storage",
    "stopped",
    "paused",
    "rollout",
    "service",
    "ingress",
    "httpRoute",
    "networkPolicy",
    "podDisruptionBudget",
];

/// A short hash of each field that may shape the pod template, by its path.
pub(super) type Inputs = BTreeMap<String, String>;

/// The fields of the resource, and of the operator's settings where the resource leaves a thing to them.
pub(super) fn inputs(resource: &MeshCoreDeployment, settings: &Settings) -> Inputs {
    let mut inputs = Inputs::new();
    let mut spec = serde_json::to_value(&resource.spec).expect("a spec is JSON");
    without_defaults(&mut spec);
    for (name, value) in spec.as_object().into_iter().flatten() {
        if !ELSEWHERE.contains(&name.as_str()) {
            add(&mut inputs, &format!("spec.{name}"), value);
        }
    }
    let image = &resource.spec.image;
    for (name, ours, theirs) in [
        ("imageRegistry", &settings.image_registry, &image.registry),
        ("imageTag", &settings.image_tag, &image.tag),
    ] {
        if theirs.is_empty() {
            inputs.insert(format!("operator.{name}"), short(&ours.as_str().into()));
        }
    }
    inputs
}

/// The fields that differ, in order. A setting of the operator that a field of the resource takes over from, or gives
/// way to, is not told beside it.
pub(super) fn changed(before: &Inputs, after: &Inputs) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |name: &str| before.get(name) != after.get(name);
    let is_told = |name: &str| match name {
        "operator.imageRegistry" => !differs("spec.image.registry"),
        "operator.imageTag" => !differs("spec.image.tag"),
        _ => true,
    };
    let told = names
        .into_iter()
        .filter(|name| differs(name) && is_told(name));
    told.cloned().collect()
}

/// Takes what is as it would be without a word out of groups of fields, which are written whole or not at all.
fn without_defaults(spec: &mut Value) {
    let default = MeshCoreDeploymentSpec::new(Vec::new(), Storage::default());
    let defaults = json!({
        "image": default.image,
        "channels": default.channels,
        "retention": default.retention,
        "ingestor": default.ingestor,
        "server": default.server,
        "shutdown": default.shutdown,
        "pod": default.pod,
    });
    for (group, fields) in spec.as_object_mut().into_iter().flatten() {
        if let Value::Object(fields) = fields {
            fields.retain(|name, value| defaults[group].get(name) != Some(value));
        }
    }
}

/// One level below a field of the spec, and items of lists by their names: `spec.image.tag`,
/// `spec.mqttSources[local]`.
fn add(inputs: &mut Inputs, path: &str, value: &Value) {
    match value {
        Value::Object(fields) => add_fields(inputs, path, fields),
        Value::Array(items) if items.iter().all(|item| item["name"].is_string()) => {
            for item in items {
                let name = item["name"].as_str().unwrap_or_default();
                inputs.insert(format!("{path}[{name}]"), short(item));
            }
        }
        value => drop(inputs.insert(path.to_owned(), short(value))),
    }
}

fn add_fields(inputs: &mut Inputs, path: &str, fields: &Map<String, Value>) {
    for (name, value) in fields {
        inputs.insert(format!("{path}.{name}"), short(value));
    }
}

/// Enough to tell that something changed.
fn short(value: &Value) -> String {
    hash(value)[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            image_registry: "registry.example.org".to_owned(),
            image_tag: "1.0.0".to_owned(),
        }
    }

    fn resource(more: &Value) -> MeshCoreDeployment {
        let mut spec = json!({
            "mqttSources": [{"name": "local", "broker": "mqtt://a"}, {"name": "far", "broker": "mqtt://b"}],
            "storage": {"size": "1Gi"},
        });
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
            "metadata": {"name": "mesh"}, "spec": spec,
        }))
        .unwrap()
    }

    fn difference(before: &Value, after: &Value) -> Vec<String> {
        let inputs = |more| inputs(&resource(more), &settings());
        changed(&inputs(before), &inputs(after))
    }

    #[test]
    fn a_change_is_named_by_its_field() {
        let tag = json!({"image": {"tag": "2"}});
        let names = difference(&json!({"image": {"tag": "1"}}), &tag);
        assert_eq!(names, ["spec.image.tag"]);
        assert_eq!(difference(&json!({}), &tag), ["spec.image.tag"]);
        let hold = json!({"rollout": {"hold": true}, "service": {"port": 81}});
        assert_eq!(difference(&json!({}), &hold), [""; 0]);
    }

    #[test]
    fn a_source_is_named_by_its_name() {
        let sources = json!({"mqttSources": [{"name": "far", "broker": "mqtt://c"}]});
        let names = difference(&json!({}), &sources);
        assert_eq!(names, ["spec.mqttSources[far]", "spec.mqttSources[local]"]);
    }

    #[test]
    fn a_tag_that_was_the_operators_is_named_as_such() {
        let newer = Settings {
            image_tag: "1.1.0".to_owned(),
            ..settings()
        };
        let before = inputs(&resource(&json!({})), &settings());
        let after = inputs(&resource(&json!({})), &newer);
        assert_eq!(changed(&before, &after), ["operator.imageTag"]);
        let pinned = resource(&json!({"image": {"tag": "1"}}));
        let same = changed(&inputs(&pinned, &settings()), &inputs(&pinned, &newer));
        assert_eq!(same, [""; 0]);
    }
}
