//! The manifests in one file.

use std::process::Command;

use meshcore_testkit::generated_file;
use meshcore_testkit::kubernetes::kubectl;

#[test]
fn the_one_file_has_what_the_base_has() {
    let Some(kubectl) = kubectl().unwrap() else {
        return;
    };
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/base");
    let output = Command::new(kubectl)
        .args(["kustomize", base])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let objects = String::from_utf8(output.stdout).unwrap();
    let header = "# The operator for the whole cluster: kubectl apply --server-side -f install.yaml\n\
                  # Made from manifests/base: make generate\n";
    generated_file("manifests/install.yaml", &(header.to_owned() + &objects));
}
