//! The examples for Argo CD and Flux, against the definitions of Argo CD and Flux.

use meshcore_testkit::kubernetes::{ControlPlane, gitops_crds};

use crate::files;

#[tokio::test]
async fn the_examples_for_argo_cd_and_flux_are_accepted() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let Some(crds) = gitops_crds().unwrap() else {
        return;
    };
    for crd in crds {
        let yaml = std::fs::read_to_string(crd).unwrap();
        plane.install_crds(&yaml).await.unwrap();
    }
    let admin = plane.admin();
    for namespace in ["argocd", "flux-system"] {
        let yaml = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n");
        admin.apply_yaml(&yaml).await.unwrap();
    }
    let strict = ["apply", "--server-side", "--validate=strict", "-f"];
    for file in [
        "manifests/argocd/application.yaml",
        "manifests/flux/operator.yaml",
        "manifests/flux/analyzer.yaml",
    ] {
        let path = files::path(file);
        let arguments = [strict.as_slice(), &[path.to_str().unwrap()]].concat();
        admin.kubectl(&arguments).await.unwrap();
    }
    // Argo CD's own settings stay beside the health check.
    let own = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm, namespace: argocd}\ndata: {url: https://argo.example.org}\n";
    admin.apply_yaml(own).await.unwrap();
    let folder = files::path("manifests/argocd");
    let manager = "--field-manager=meshcore-health";
    let arguments = [
        "apply",
        "--server-side",
        manager,
        "-k",
        folder.to_str().unwrap(),
    ];
    admin.kubectl(&arguments).await.unwrap();
    let get = [
        "get",
        "configmap",
        "argocd-cm",
        "-n=argocd",
        "-o=jsonpath={.data}",
    ];
    let data = admin.kubectl(&get).await.unwrap();
    assert!(data.contains("https://argo.example.org"), "{data}");
    assert!(
        data.contains("resource.customizations.health.meshcore.dev_MeshCoreDeployment"),
        "{data}"
    );
}

#[test]
fn the_examples_name_charts_that_exist() {
    for file in [
        "manifests/argocd/application.yaml",
        "manifests/flux/operator.yaml",
    ] {
        let text = files::text(file);
        for chart in ["charts/meshcore-operator-crds", "charts/meshcore-operator"] {
            assert!(text.contains(&format!("{chart}\n")), "{file} names {chart}");
            assert!(files::path(chart).join("Chart.yaml").exists());
        }
    }
}
