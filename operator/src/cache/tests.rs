#![expect(
    clippy::needless_pass_by_value,
    reason = "a test reads better without & before each json!"
)]

use std::collections::HashSet;

use serde_json::json;

use super::*;

fn object(name: &str, version: u64, more: serde_json::Value) -> Live {
    let mut object = json!({"metadata": {
        "name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
        "labels": {"app.kubernetes.io/instance": "mesh"},
    }});
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.extend(more.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn names(cache: &Cache, home: &str) -> Vec<String> {
    let children = cache.children(&Key::new("ns", home));
    let mut names: Vec<_> = children
        .iter()
        .map(|child| child.name.to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn children_are_found_by_their_resource() {
    let cache = Cache::default();
    let home = cache.put(Kind::Service, &object("mesh", 1, json!({})), Origin::Update);
    assert_eq!(home, Some(Key::new("ns", "mesh")));
    cache.put(
        Kind::StatefulSet,
        &object("mesh", 1, json!({})),
        Origin::Update,
    );
    assert_eq!(names(&cache, "mesh"), ["mesh", "mesh"]);
    assert_eq!(names(&cache, "other"), [""; 0]);
}

#[test]
fn an_older_view_of_an_object_replaces_no_newer_one() {
    let cache = Cache::default();
    cache.put(Kind::Service, &object("mesh", 5, json!({})), Origin::Update);
    for origin in [Origin::Update, Origin::List] {
        let same = cache.put(Kind::Service, &object("mesh", 5, json!({})), origin);
        assert_eq!(same, None);
    }
    let older = object("mesh", 4, json!({}));
    assert_eq!(cache.put(Kind::Service, &older, Origin::Update), None);
    assert_eq!(cache.remove(Kind::Service, &older), None);
    assert_eq!(names(&cache, "mesh"), ["mesh"]);
}

#[test]
fn a_list_is_right_even_with_older_versions() {
    let cache = Cache::default();
    cache.put(Kind::Service, &object("mesh", 5, json!({})), Origin::Update);
    let listed = object("mesh", 4, json!({}));
    assert!(cache.put(Kind::Service, &listed, Origin::List).is_some());
}

#[test]
fn what_a_list_lacks_is_forgotten_in_its_namespace_only() {
    let cache = Cache::default();
    for name in ["a", "b"] {
        cache.put(Kind::Service, &object(name, 1, json!({})), Origin::Update);
    }
    cache.put(Kind::ConfigMap, &object("a", 1, json!({})), Origin::Update);
    let listed = HashSet::from([Key::new("ns", "b")]);
    assert!(
        cache
            .retain(Kind::Service, Some("elsewhere"), &listed)
            .is_empty()
    );
    let homes = cache.retain(Kind::Service, Some("ns"), &listed);
    assert_eq!(homes, [Key::new("ns", "mesh")]);
    assert_eq!(names(&cache, "mesh"), ["a", "b"]);
}

#[test]
fn a_child_whose_label_was_changed_stays_with_its_owner() {
    let cache = Cache::default();
    let owned = json!({
        "labels": {"app.kubernetes.io/instance": "other"},
        "ownerReferences": [{"apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
            "name": "mesh", "uid": "1", "controller": true}],
    });
    cache.put(Kind::Service, &object("mesh", 1, owned), Origin::Update);
    assert_eq!(names(&cache, "mesh"), ["mesh"]);
}

#[test]
fn a_child_that_moves_is_in_one_place() {
    let cache = Cache::default();
    cache.put(
        Kind::Claim,
        &object("mesh-data", 1, json!({})),
        Origin::Update,
    );
    let moved = json!({"labels": {"app.kubernetes.io/instance": "other"}});
    cache.put(Kind::Claim, &object("mesh-data", 2, moved), Origin::Update);
    assert_eq!(names(&cache, "mesh"), [""; 0]);
    assert_eq!(names(&cache, "other"), ["mesh-data"]);
}

#[test]
fn a_status_of_a_resource_is_no_news_and_the_rest_is() {
    let cache = Cache::default();
    let put = |version, more| cache.put_resource(&object("mesh", version, more), Origin::Update);
    assert!(put(1, json!({"generation": 1})).is_some());
    assert!(put(2, json!({"generation": 1})).is_none());
    assert!(put(3, json!({"generation": 2})).is_some());
    assert!(put(4, json!({"generation": 2, "annotations": {"a": "b"}})).is_some());
    let deleting = json!({"generation": 2, "annotations": {"a": "b"}, "deletionTimestamp": "2026-11-21T00:00:00Z"});
    assert!(put(5, deleting).is_some());
    assert!(put(6, json!({"uid": "another", "generation": 1})).is_some());
}
