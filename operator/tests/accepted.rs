//! A real API server accepts what is made of each resource of `templates/`, keeps it as it was sent, and lets its pod
//! into a namespace of the restricted Pod Security Standard.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{cases, facts, objects, settings};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::{Api, Client, ResourceExt as _, discovery};
use meshcore_operator::apply::differences;
use meshcore_operator::build::build;
use meshcore_operator::kind::Kind;
use meshcore_resource::{MeshCoreDeployment, crd_yaml};
use meshcore_testkit::kubernetes::{ControlPlane, gateway_api_crds};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const RESTRICTED: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");
const MANAGER: &str = "test";
const LIMIT: Duration = Duration::from_mins(2);

/// What the resources name, and what makes the kinds known.
const SURROUNDINGS: &str = "
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: mesh}
value: 1
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: gvisor}
handler: runsc
";

/// Once for all tests of this binary: it restarts the controller manager.
async fn install(plane: &ControlPlane) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let install = || async {
        let files = gateway_api_crds().unwrap().unwrap();
        let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
        let definitions = texts.filter(|text| text.contains("kind: CustomResourceDefinition"));
        let definitions: Vec<String> = std::iter::once(crd_yaml()).chain(definitions).collect();
        plane
            .install_crds(&definitions.join("\n---\n"))
            .await
            .unwrap();
        plane.admin().apply_yaml(SURROUNDINGS).await.unwrap();
    };
    INSTALLED.get_or_init(install).await;
}

/// The interface for the kind of an object.
async fn api_for(
    client: &Client,
    namespace: &str,
    object: &Value,
) -> anyhow::Result<Api<DynamicObject>> {
    let types: TypeMeta = serde_json::from_value(object.clone())?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, _) = discovery::pinned_kind(client, &kind).await?;
    Ok(Api::namespaced_with(client.clone(), namespace, &resource))
}

fn kind(object: &Value) -> Kind {
    let kinds = Kind::BUILT_IN.into_iter().chain([Kind::HttpRoute]);
    let mut ours = kinds.filter(|kind| object["kind"] == kind.name());
    ours.next().unwrap()
}

/// Sends an object twice. The second time nothing may change, and what is kept may not look like drift, or the operator
/// would write for ever.
async fn apply(client: &Client, namespace: &str, object: &Value) -> anyhow::Result<()> {
    let api = api_for(client, namespace, object).await?;
    let name = object["metadata"]["name"].as_str().unwrap();
    let (params, patch) = (PatchParams::apply(MANAGER), Patch::Apply(object));
    let first = api.patch(name, &params, &patch).await?;
    let second = api.patch(name, &params, &patch).await?;
    // Controllers write too, so the version of the whole object says nothing; what the manager has does. Their time says
    // only that an empty list that was sent is none in what was kept, so that the API server stored the object again;
    // the operator compares first, as below, and sends nothing.
    let mine = |object: &DynamicObject| {
        let fields = object.managed_fields().iter();
        let mine = fields.filter(|fields| fields.manager.as_deref() == Some(MANAGER));
        let timeless = mine.cloned().map(|fields| ManagedFieldsEntry {
            time: None,
            ..fields
        });
        timeless.collect::<Vec<_>>()
    };
    anyhow::ensure!(
        mine(&first) == mine(&second),
        "{object} was changed by the second request"
    );
    let kept = serde_json::to_value(&second)?;
    let drift = differences(kind(object), object, &kept);
    anyhow::ensure!(drift.is_empty(), "{drift:?} of {object} is not in {kept}");
    Ok(())
}

/// A namespace of its own, the resource, all that it becomes, and the pod that the controller manager makes of it.
async fn check(plane: &ControlPlane, file: &Path) -> anyhow::Result<()> {
    let client = plane.client().await?;
    let namespace = plane.namespace_with_labels(&[RESTRICTED]).await?;
    let mut wanted = common::resource(file);
    wanted.metadata.namespace = Some(namespace.name().to_owned());
    wanted.metadata.uid = None;
    let resources: Api<MeshCoreDeployment> = Api::namespaced(client.clone(), namespace.name());
    let resource = resources.create(&PostParams::default(), &wanted).await?;
    accounts(plane, namespace.name(), &resource).await?;
    for object in objects(&build(&resource, &settings(), &facts())) {
        apply(&client, namespace.name(), &object).await?;
    }
    if !resource.spec.stopped {
        pod(&client, namespace.name(), &format!("{}-0", resource.name())).await?;
    }
    Ok(())
}

/// The account that a resource names instead of its own.
async fn accounts(
    plane: &ControlPlane,
    namespace: &str,
    resource: &MeshCoreDeployment,
) -> anyhow::Result<()> {
    let name = &resource.spec.pod.service_account_name;
    if !name.is_empty() {
        plane.service_account(namespace, name).await?;
    }
    Ok(())
}

/// Waits for a pod: an API server that refuses it tells the controller manager, and there is none.
async fn pod(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(pod) = pods.get_opt(name).await? {
                return anyhow::Ok(pod);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .map_err(|_| anyhow::anyhow!("{namespace} has no pod {name}"))?
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_accepts_everything_and_keeps_it_as_it_was_sent() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    install(plane).await;
    let checked = stream::iter(cases()).map(|file| async move {
        Box::pin(check(plane, &file))
            .await
            .map_err(|error| error.context(file.display().to_string()))
    });
    // As many at once as a small machine can serve.
    let done: Result<Vec<()>, _> = checked.buffer_unordered(4).try_collect().await;
    if let Err(error) = done {
        panic!("{error:?}");
    }
}

#[tokio::test]
async fn the_namespaces_of_these_tests_refuse_pods_that_may_more() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let namespace = plane.namespace_with_labels(&[RESTRICTED]).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    let pod =
        json!({"metadata": {"name": "any"}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
    let refused = pods
        .create(
            &PostParams::default(),
            &serde_json::from_value(pod).unwrap(),
        )
        .await;
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("violates PodSecurity \"restricted"),
        "{error}"
    );
}

/// `OrderedReady` would wait for the broken pod to become ready, which it never does.
#[tokio::test]
async fn a_pod_that_never_gets_ready_is_replaced_by_a_changed_template() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    install(plane).await;
    let namespace = plane.namespace().await.unwrap();
    let client = plane.client().await.unwrap();
    let file = cases()
        .into_iter()
        .find(|file| file.ends_with("minimal.yaml"))
        .unwrap();
    let mut wanted = common::resource(&file);
    wanted.metadata.namespace = Some(namespace.name().to_owned());
    wanted.metadata.uid = None;
    let resources: Api<MeshCoreDeployment> = Api::namespaced(client.clone(), namespace.name());
    let mut resource = resources
        .create(&PostParams::default(), &wanted)
        .await
        .unwrap();
    for object in objects(&build(&resource, &settings(), &facts())) {
        apply(&client, namespace.name(), &object).await.unwrap();
    }
    let name = format!("{}-0", resource.name());
    pod(&client, namespace.name(), &name).await.unwrap();

    resource.spec.image.tag = "good".to_owned();
    for object in objects(&build(&resource, &settings(), &facts())) {
        apply(&client, namespace.name(), &object).await.unwrap();
    }
    let replaced = async {
        loop {
            let pod = pod(&client, namespace.name(), &name).await.unwrap();
            // The controller may replace the first one by its like, when its cache is behind.
            let image = pod.spec.unwrap().containers[0].image.clone().unwrap();
            if image.ends_with(":good") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, replaced)
        .await
        .expect("the pod is replaced");
    resources
        .delete(resource.name(), &DeleteParams::default())
        .await
        .unwrap();
}
