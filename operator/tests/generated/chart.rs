//! The chart of the resource definition.

use meshcore_testkit::generated_file;

#[test]
fn the_chart_has_the_resource_definition() {
    // The definition is in `templates` and not in `crds`, which Helm never upgrades; and it outlives its release,
    // since every MeshCoreDeployment would go with it.
    let annotations = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n";
    let definition = meshcore_resource::crd_yaml();
    assert_eq!(definition.matches("\nmetadata:\n").count(), 1);
    assert!(
        !definition.contains("{{"),
        "Helm would read it as a template"
    );
    let definition = definition.replacen("metadata:\n", annotations, 1);
    generated_file(
        "charts/meshcore-operator-crds/templates/meshcoredeployments.yaml",
        &definition,
    );
}
