//! What the tests of `build` share: the resources of `templates/`, and what they become.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use meshcore_operator::build::{Facts, HttpRouteApi};
use meshcore_operator::{Bundle, Settings};
use meshcore_resource::{MeshCoreDeployment, parse};
use serde_json::{Value, json};

/// All objects of a bundle, in the order in which they are declared, as an API server gets them.
pub(crate) fn objects(bundle: &Bundle) -> Vec<Value> {
    let Bundle {
        config_map,
        service_account,
        claim,
        service,
        headless_service,
        stateful_set,
        ingress,
        http_route,
        network_policy,
        pod_disruption_budget,
    } = bundle;
    let objects = json!([
        config_map,
        service_account,
        claim,
        service,
        headless_service,
        stateful_set,
        ingress,
        http_route,
        network_policy,
        pod_disruption_budget,
    ]);
    let Value::Array(objects) = objects else {
        unreachable!("it is written as one")
    };
    objects
        .into_iter()
        .filter(|object| !object.is_null())
        .collect()
}

pub(crate) fn settings() -> Settings {
    Settings {
        image_registry: "registry.example.org/meshcore".to_owned(),
        image_tag: "0.1.0".to_owned(),
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        claim: None,
        http_route: Some(HttpRouteApi {
            version: "v1".to_owned(),
            has_timeouts: true,
        }),
    }
}

/// The files with the resources, by name.
pub(crate) fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    let entries = fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files
        .filter(|file| !name(file).ends_with(".bundle"))
        .collect();
    cases.sort();
    cases
}

pub(crate) fn name(file: &Path) -> &str {
    file.file_stem().unwrap().to_str().unwrap()
}

pub(crate) fn resource(file: &Path) -> MeshCoreDeployment {
    let parsed = parse(&fs::read_to_string(file).unwrap());
    let resource = parsed
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        .resource;
    let violations = resource.validate();
    assert!(violations.is_empty(), "{}: {violations:?}", file.display());
    resource
}
