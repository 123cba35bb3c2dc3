//! What must hold at every moment, whatever fails: read off what happened, in order.

use std::collections::BTreeMap;

use serde_json::Value;

use super::witness::{Happening, Objects};

/// What was not as it must be at every moment.
pub(crate) fn violations(log: &[Happening]) -> Vec<String> {
    let mut now: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    let mut wrong = Vec::new();
    // Watches of different kinds are not equally fast.
    let mut log: Vec<&Happening> = log.iter().collect();
    log.sort_by_key(|happening| happening.version);
    for Happening {
        id,
        object,
        is_deletion,
        ..
    } in log
    {
        let key = (id.kind, id.name.as_str());
        if *is_deletion {
            now.remove(&key);
            wrong.extend(wrong_deletion(key, &now));
        } else {
            now.insert(key, object);
            wrong.extend(wrong_state(&now));
        }
    }
    wrong.dedup();
    wrong
}

type Now<'a> = BTreeMap<(&'a str, &'a str), &'a Value>;

fn wrong_deletion((kind, name): (&str, &str), now: &Now<'_>) -> Option<String> {
    match kind {
        "PersistentVolumeClaim" => Some(format!("the claim {name} was deleted")),
        // Without its owner everything is collected, in any order.
        "ConfigMap" if now.keys().any(|(kind, _)| *kind == "MeshCoreDeployment") => {
            users(now, name)
                .next()
                .map(|user| format!("ConfigMap {name} was deleted, which {user} uses"))
        }
        _ => None,
    }
}

fn wrong_state(now: &Now<'_>) -> Vec<String> {
    let of = |kind: &'static str| now.iter().filter(move |((other, _), _)| *other == kind);
    let mut wrong = Vec::new();
    for kind in ["Pod", "StatefulSet", "PersistentVolumeClaim"] {
        if of(kind).count() > 1 {
            wrong.push(format!("there was more than one {kind}"));
        }
    }
    for (_, set) in of("StatefulSet") {
        if set["spec"]["replicas"]
            .as_i64()
            .is_none_or(|replicas| replicas > 1)
        {
            wrong.push(format!(
                "the StatefulSet asked for {} replicas",
                set["spec"]["replicas"]
            ));
        }
    }
    wrong
}

/// Configurations that nobody could need any more.
pub(crate) fn unused_configurations(objects: &Objects) -> Vec<&str> {
    let now: Now<'_> = objects
        .iter()
        .map(|(id, object)| ((id.kind, id.name.as_str()), &**object))
        .collect();
    let maps = objects.keys().filter(|id| id.kind == "ConfigMap");
    let unused = maps.filter(|id| users(&now, &id.name).next().is_none());
    unused.map(|id| id.name.as_str()).collect()
}

/// Who mounts a ConfigMap: pods, the StatefulSet, and what it could be rolled back to.
fn users<'a>(now: &'a Now<'a>, config_map: &'a str) -> impl Iterator<Item = String> + 'a {
    now.iter()
        .filter(move |((kind, _), object)| {
            let pod = match *kind {
                "Pod" => &object["spec"],
                "StatefulSet" => &object["spec"]["template"]["spec"],
                "ControllerRevision" => &object["data"]["spec"]["template"]["spec"],
                _ => return false,
            };
            // Once its StatefulSet is gone, a revision is nothing but what the garbage collector has not reached yet.
            let is_left = *kind == "ControllerRevision"
                && !now.keys().any(|(kind, _)| *kind == "StatefulSet");
            let volumes = pod["volumes"].as_array().into_iter().flatten();
            !is_left
                && volumes
                    .into_iter()
                    .any(|volume| volume["configMap"]["name"] == config_map)
        })
        .map(|((kind, name), _)| format!("{kind} {name}"))
}
