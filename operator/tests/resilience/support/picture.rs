//! What the objects of a namespace look like, without what is another each time: two runs that end in the same state
//! give equal pictures.

use std::collections::BTreeMap;

use meshcore_operator::names;
use serde_json::{Map, Value, json};

use super::witness::{Happening, Id, Objects};

/// Objects without what is another each time, by kind and name.
pub(crate) type Picture = BTreeMap<String, Value>;

/// The objects of a namespace, where `log` knows the names of UIDs that are no more.
pub(crate) fn picture(namespace: &str, objects: &Objects, log: &[Happening]) -> Picture {
    let uids = log
        .iter()
        .map(|happening| (&happening.id, &*happening.object));
    let uids = uids.chain(objects.iter().map(|(id, object)| (id, &**object)));
    let mut known: BTreeMap<String, String> = uids
        .map(|(id, object)| {
            (
                text(object, "/metadata/uid"),
                format!("<uid of {} {}>", id.kind, id.name),
            )
        })
        .collect();
    known.insert(namespace.to_owned(), "<namespace>".to_owned());
    let shown = objects
        .iter()
        .filter(|(id, _)| id.kind != "ControllerRevision");
    shown
        .map(|(id, object)| {
            let mut shown = plain(id, object);
            replace(&mut shown, &known);
            (format!("{} {}", id.kind, id.name), shown)
        })
        .collect()
}

/// The lines in which two pictures differ.
pub(crate) fn difference(expected: &Picture, found: &Picture) -> String {
    let mut lines = Vec::new();
    let names = expected.keys().chain(found.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    for name in names {
        match (expected.get(name), found.get(name)) {
            (Some(expected), Some(found)) => compare(name, expected, found, &mut lines),
            (Some(_), None) => lines.push(format!("{name} is missing")),
            (None, _) => lines.push(format!("{name} is too much")),
        }
    }
    lines.join("\n")
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let names: std::collections::BTreeSet<_> =
                expected.keys().chain(found.keys()).collect();
            for name in names {
                let value = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                compare(
                    &format!("{path}.{name}"),
                    &value(expected),
                    &value(found),
                    lines,
                );
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}[{at}]"), expected, found, lines);
            }
        }
        _ if expected == found => {}
        _ => lines.push(format!("{path} is {found}, not {expected}")),
    }
}

fn plain(id: &Id, object: &Value) -> Value {
    let mut object = object.clone();
    plain_metadata(&mut object["metadata"]);
    match id.kind {
        "MeshCoreDeployment" => without_observations(&mut object),
        "Pod" => {
            let phase = object["status"]["phase"].clone();
            object["status"] = json!({ "phase": phase });
        }
        "StatefulSet" => {
            let status = &object["status"];
            object["status"] =
                json!({"replicas": status["replicas"], "readyReplicas": status["readyReplicas"]});
        }
        _ => drop(
            object
                .as_object_mut()
                .and_then(|object| object.remove("status")),
        ),
    }
    if id.kind == "Service" {
        plain_service(&mut object["spec"]);
    }
    without_times(&mut object);
    object
}

/// Names, labels, annotations, owners; and of who wrote what, only our own part.
fn plain_metadata(metadata: &mut Value) {
    let Some(fields) = metadata.as_object_mut() else {
        return;
    };
    for name in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generateName",
        "generation",
    ] {
        fields.remove(name);
    }
    let managers = fields.remove("managedFields").unwrap_or_default();
    let managers = managers.as_array().cloned().unwrap_or_default();
    let ours: BTreeMap<String, Value> = managers
        .iter()
        .filter(|entry| entry["manager"] == names::FIELD_MANAGER)
        .map(|entry| {
            let place = entry["subresource"].as_str().unwrap_or("object");
            (
                format!("{} {place}", text(entry, "/operation")),
                entry["fieldsV1"].clone(),
            )
        })
        .collect();
    fields.insert("ours".to_owned(), json!(ours));
    // It stands for the whole desired form, the owner's UID included, which is compared itself.
    if let Some(hash) = metadata.pointer_mut("/annotations/meshcore.dev~1applied-hash") {
        *hash = "<hash>".into();
    }
}

/// How the last pod ended is told only if somebody looked on, which an operator that is killed just then does not.
fn without_observations(resource: &mut Value) {
    let ours = "/metadata/ours/Apply status/f:status";
    for (place, name) in [("/status", "lastShutdown"), (ours, "f:lastShutdown")] {
        let fields = resource.pointer_mut(place).and_then(Value::as_object_mut);
        drop(fields.and_then(|fields| fields.remove(name)));
    }
}

/// Addresses and ports are given out by the API server.
fn plain_service(spec: &mut Value) {
    for name in ["clusterIP", "clusterIPs"] {
        if spec[name] != "None" && spec[name] != json!(["None"]) {
            spec[name] = "<given>".into();
        }
    }
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        drop(
            port.as_object_mut()
                .and_then(|port| port.remove("nodePort")),
        );
    }
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "lastTransitionTime" && name != "at");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

fn replace(value: &mut Value, known: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            for (from, to) in known {
                if !from.is_empty() && text.contains(from.as_str()) {
                    *text = text.replace(from.as_str(), to);
                }
            }
        }
        // Who owns an owner reference is told by its UID.
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (name, mut value) in old {
                let mut name = Value::String(name);
                replace(&mut name, known);
                replace(&mut value, known);
                fields.insert(name.as_str().unwrap_or_default().to_owned(), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, known)),
        _ => {}
    }
}

fn text(object: &Value, path: &str) -> String {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
