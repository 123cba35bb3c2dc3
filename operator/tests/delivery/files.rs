//! The files of the repository, and the documents in them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// A path of the repository.
pub(crate) fn path(below: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(below)
}

/// The text of a file of the repository.
pub(crate) fn text(below: &str) -> String {
    std::fs::read_to_string(path(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
}

/// The YAML files of a folder of the repository, sorted.
pub(crate) fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let is_yaml = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    };
    let mut files: Vec<_> = files.filter(is_yaml).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has YAML files");
    files
}

/// The objects of a text of several documents.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(yaml);
    let documents = documents.map(|document| Value::deserialize(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}
