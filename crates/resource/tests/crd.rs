//! The definition: its size, and what an API server would not keep.

use meshcore_resource::{crd, crd_yaml};

#[test]
fn the_definition_is_small_enough_for_every_client() {
    let size = crd_yaml().len();
    assert!(size < 200_000, "{size} bytes");
}

#[test]
fn whole_numbers_have_no_format_and_no_fraction() {
    let yaml = crd_yaml();
    assert!(!yaml.contains("format: int") && !yaml.contains("format: uint"));
    let fractions = yaml.lines().filter(|line| line.ends_with(".0"));
    assert_eq!(fractions.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn the_file_is_the_definition() {
    let file: serde_json::Value = serde_yaml::from_str(&crd_yaml()).unwrap();
    let read: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
        serde_json::from_value(file).unwrap();
    assert_eq!(read, crd());
}
