//! The rules of `rbac.rs`, as the chart and the manifests have them.

use meshcore_operator::rbac::{EDIT, OWN_NAMESPACE, Rule, VIEW, WATCHED, yaml};
use meshcore_testkit::generated_file;

const GENERATOR: &str = "operator/src/rbac.rs";

#[test]
fn the_chart_has_the_rules_of_the_code() {
    for (file, rules) in [
        ("watched", WATCHED),
        ("own-namespace", OWN_NAMESPACE),
        ("view", VIEW),
        ("edit", EDIT),
    ] {
        let path = format!("charts/meshcore-operator/files/{file}-rules.yaml");
        let text = format!("# Made from {GENERATOR}: make generate\n{}", yaml(rules));
        generated_file(&path, &text);
    }
}

#[test]
fn the_manifests_have_the_rules_of_the_code() {
    let cluster = [
        role("ClusterRole", "meshcore-operator", &[], WATCHED),
        binding("ClusterRole", "meshcore-operator", "meshcore-system"),
        role(
            "ClusterRole",
            "meshcore-operator-view",
            &["view", "edit", "admin"],
            VIEW,
        ),
        role(
            "ClusterRole",
            "meshcore-operator-edit",
            &["edit", "admin"],
            EDIT,
        ),
    ];
    let namespaced = [
        role("Role", "meshcore-operator", &[], WATCHED),
        binding("Role", "meshcore-operator", "meshcore"),
    ];
    let own = [
        role(
            "Role",
            "meshcore-operator-leader-election",
            &[],
            OWN_NAMESPACE,
        ),
        binding("Role", "meshcore-operator-leader-election", "default"),
    ];
    write("manifests/base/rbac.yaml", &cluster);
    write("manifests/namespaced/rbac.yaml", &namespaced);
    write("manifests/operator/leader-election.yaml", &own);
}

fn write(path: &str, documents: &[String]) {
    let header = format!("# Made from {GENERATOR}: make generate\n");
    generated_file(path, &(header + &documents.join("---\n")));
}

/// A role, added to those of the cluster's own roles that are named.
fn role(kind: &str, name: &str, aggregate_to: &[&str], rules: &[Rule]) -> String {
    let labels = |role| format!("    rbac.authorization.k8s.io/aggregate-to-{role}: \"true\"\n");
    let labels: String = aggregate_to.iter().map(labels).collect();
    let labels = match labels.as_str() {
        "" => String::new(),
        labels => format!("  labels:\n{labels}"),
    };
    let rules = yaml(rules).trim_end().replace('\n', "\n  ");
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{labels}rules:\n  {rules}\n"
    )
}

/// A role's binding to the operator's service account. Kustomize knows that the subject's namespace follows the
/// service account's.
fn binding(kind: &str, name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata:\n  name: {name}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name}}}\n\
         subjects:\n  - {{kind: ServiceAccount, name: meshcore-operator, namespace: {namespace}}}\n"
    )
}
