//! The samples of resources.

use meshcore_testkit::kubernetes::ControlPlane;

use crate::files;

#[tokio::test]
async fn the_api_server_accepts_each_sample_and_changes_nothing_in_it() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane
        .install_crds(&meshcore_resource::crd_yaml())
        .await
        .unwrap();
    let namespace = plane.namespace().await.unwrap();
    for file in files::yaml_files("manifests/samples") {
        let file = file.to_str().unwrap();
        let namespace = format!("--namespace={}", namespace.name());
        let apply = [
            "apply",
            "--server-side",
            "--validate=strict",
            &namespace,
            "-f",
            file,
        ];
        plane.admin().kubectl(&apply).await.unwrap();
        // Defaults that the server fills in must not look like drift to GitOps tools.
        let diff = ["diff", "--server-side", &namespace, "-f", file];
        assert_eq!(plane.admin().kubectl(&diff).await.unwrap(), "", "{file}");
    }
}
