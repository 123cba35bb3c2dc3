//! What an API server makes of the definition, and of resources under it.

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use meshcore_resource::{MeshCoreDeployment, MeshCoreDeploymentStatus, crd, crd_yaml};
use meshcore_testkit::kubernetes::ControlPlane;
use serde_json::{Value, json};

use crate::offline::read;
use crate::table::base;

const NAME: &str = "meshcoredeployments.meshcore.dev";

async fn installed() -> Result<Option<&'static ControlPlane>> {
    let Some(plane) = ControlPlane::shared() else {
        return Ok(None);
    };
    plane.install_crds(&crd_yaml()).await?;
    Ok(Some(plane))
}

/// Every field that a status has.
fn full_status() -> Value {
    json!({
        "observedGeneration": 3,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Available", "message": "It runs.",
            "observedGeneration": 3, "lastTransitionTime": "2026-11-21T00:00:00Z",
        }],
        "effective": {
            "terminationGracePeriodSeconds": 60,
            "breakdown": {
                "preStop": 5, "serverDrain": 20, "ingestorDrain": 10, "checkpoint": 15, "margin": 10,
            },
            "runningPodGraceSeconds": 60,
            "images": {"ingestor": "meshcore-ingestor:v1", "server": "meshcore-server:v1"},
            "version": "v1",
        },
        "storage": {
            "claimName": "bay-area-data", "claimUID": "1-2", "requested": "10Gi", "capacity": "10Gi",
            "initialized": true,
        },
        "template": {
            "hash": "abc", "lastRolloutReason": "spec.image.tag", "pending": ["spec.image.tag"],
        },
        "lastShutdown": {
            "podUID": "3-4", "observed": "Watch", "at": "2026-11-21T00:00:00Z", "clean": true,
            "cause": "SIGTERM", "budgetSeconds": 60, "tookSeconds": 7,
            "phases": [{"name": "checkpoint", "milliseconds": 40}],
        },
    })
}

#[tokio::test]
async fn the_definition_is_kept_as_it_is() -> Result<()> {
    let Some(plane) = installed().await? else {
        return Ok(());
    };
    let definitions: Api<CustomResourceDefinition> = Api::all(plane.client().await?);
    let mut kept = definitions.get(NAME).await?;
    let before = kept.metadata.resource_version.clone();
    // What every definition gets.
    kept.spec.conversion = None;
    kept.spec.names.list_kind = None;
    assert_eq!(kept.spec, crd().spec);

    plane.admin().apply_yaml(&crd_yaml()).await?;
    let after = definitions.get(NAME).await?.metadata.resource_version;
    assert_eq!(before, after, "nothing was written");
    for how in ["--server-side=true", "--server-side=false"] {
        // It fails where there is a difference.
        let diff = ["diff", how, "--force-conflicts=true", "-f", "-"];
        let arguments = if how.ends_with("true") {
            &diff[..]
        } else {
            &["diff", "-f", "-"]
        };
        let diff = plane
            .admin()
            .kubectl_with_input(arguments, &crd_yaml())
            .await?;
        assert_eq!(diff, "", "{how}");
    }
    Ok(())
}

#[tokio::test]
async fn the_definition_can_be_applied_by_the_client_too() -> Result<()> {
    let Some(plane) = installed().await? else {
        return Ok(());
    };
    let dry = ["apply", "--dry-run=server", "-f", "-"];
    let said = plane.admin().kubectl_with_input(&dry, &crd_yaml()).await?;
    assert!(said.contains(NAME), "{said}");
    Ok(())
}

#[tokio::test]
async fn kubectl_explains_the_fields() -> Result<()> {
    let Some(plane) = installed().await? else {
        return Ok(());
    };
    let explain = |field| async move { plane.admin().kubectl(&["explain", field]).await };
    let shutdown = explain("mcd.spec.shutdown").await?;
    for part in [
        "preStopSeconds\t<integer>",
        "endpoints drain while it still serves",
    ] {
        assert!(shutdown.contains(part), "{part}: {shutdown}");
    }
    let spec = explain("meshcoredeployments.spec").await?;
    assert!(
        spec.contains("mqttSources\t<[]Object> -required-"),
        "{spec}"
    );
    let deep = "mcd.spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";
    assert!(explain(deep).await?.contains("nodeSelectorTerms"));
    Ok(())
}

#[tokio::test]
async fn kubectl_prints_how_a_resource_is() -> Result<()> {
    let Some(plane) = installed().await? else {
        return Ok(());
    };
    let namespace = plane.namespace().await?;
    let resources: Api<MeshCoreDeployment> =
        Api::namespaced(plane.client().await?, namespace.name());
    let mut resource = resources
        .create(&PostParams::default(), &read(&base()))
        .await?;
    resource.status = Some(serde_json::from_value(full_status())?);
    let kept = resources
        .replace_status("bay-area", &PostParams::default(), &resource)
        .await?;
    assert_eq!(
        serde_json::to_value(&kept.status)?,
        full_status(),
        "no field is dropped"
    );

    for name in ["mcd", "meshcore", "meshcoredeployments"] {
        let get = ["get", name, "-n", namespace.name()];
        let table = plane.admin().kubectl(&get).await?;
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|row| row.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[0],
            [
                "NAME", "READY", "REASON", "VERSION", "STORAGE", "GRACE", "AGE"
            ]
        );
        assert_eq!(
            rows[1][..6],
            ["bay-area", "True", "Available", "v1", "10Gi", "60"]
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_status_is_taken_too() -> Result<()> {
    let Some(plane) = installed().await? else {
        return Ok(());
    };
    let namespace = plane.namespace().await?;
    let resources: Api<MeshCoreDeployment> =
        Api::namespaced(plane.client().await?, namespace.name());
    let mut resource = resources
        .create(&PostParams::default(), &read(&base()))
        .await?;
    resource.status = Some(MeshCoreDeploymentStatus::default());
    resources
        .replace_status("bay-area", &PostParams::default(), &resource)
        .await?;
    Ok(())
}

/// As GitOps tools look at it: what was applied is what there is, also after the operator has read it and written it.
#[tokio::test]
async fn a_resource_that_was_applied_does_not_differ_from_its_file() -> Result<()> {
    let Some(plane) = installed().await? else {
        return Ok(());
    };
    let namespace = plane.namespace().await?;
    let resources: Api<MeshCoreDeployment> =
        Api::namespaced(plane.client().await?, namespace.name());
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/samples");
    let mut count = 0;
    for file in std::fs::read_dir(samples)? {
        let path = file?.path();
        let text = std::fs::read_to_string(&path)?;
        let Ok(parsed) = meshcore_resource::parse(&text) else {
            continue;
        };
        let file = path.to_string_lossy();
        let kubectl = |what| ["--namespace", namespace.name(), what, "-f", &*file];
        plane.admin().kubectl(&kubectl("apply")).await?;
        let diff = plane.admin().kubectl(&kubectl("diff")).await?;
        assert_eq!(diff, "", "{file}");
        let kept = resources.get(parsed.resource.name()).await?;
        assert_eq!(kept.spec, parsed.resource.spec, "{file}");
        let same = MeshCoreDeployment::new(kept.name(), kept.spec.clone());
        let params = PatchParams::apply("another").force();
        let written = resources
            .patch(kept.name(), &params, &Patch::Apply(same))
            .await?;
        assert_eq!(written.metadata.generation, kept.metadata.generation);
        count += 1;
    }
    assert!(count >= 4, "{count} samples");
    Ok(())
}
