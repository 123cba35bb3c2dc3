//! A namespace with an operator of its own, and the words of the tests.
#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which read better without & before each json!"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use meshcore_operator::args::Namespaces;
use meshcore_operator::backoff::Backoff;
use meshcore_operator::build::HttpRouteApi;
use meshcore_operator::controller::{Options, run};
use meshcore_operator::metrics::Metrics;
use meshcore_operator::{Clients, Context, Settings, rbac};
use meshcore_resource::MeshCoreDeployment;
use meshcore_testkit::kubernetes::{
    Access, AuditMark, ControlPlane, Namespace, Requests, ready_status, set_pod_status,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a state is waited for; a machine that compiles at the same time may take long.
const LIMIT: Duration = Duration::from_mins(1);

/// An object of a namespace.
pub(crate) trait Child:
    Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>
    + Clone
    + DeserializeOwned
    + serde::Serialize
    + std::fmt::Debug
{
}

impl<K> Child for K where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>
        + Clone
        + DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug
{
}

/// A namespace with an operator that has the rights of its role, and no more.
pub(crate) struct Stage {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) namespace: Namespace,
    /// With all rights.
    pub(crate) client: Client,
    /// The operator's rights.
    pub(crate) access: Access,
    options: Options,
    operator: Option<Operator>,
}

/// An operator that runs in this process.
struct Operator {
    stop: CancellationToken,
    task: JoinHandle<()>,
    registry: Registry,
    /// As long as it lives, discovery may find something.
    _http_route: watch::Sender<Option<HttpRouteApi>>,
}

impl Stage {
    /// A namespace in which an operator runs; `None` without a control plane.
    pub(crate) async fn set() -> Option<Self> {
        let mut stage = Self::without_operator().await?;
        stage.start().await;
        Some(stage)
    }

    /// A namespace, and the rights of an operator that does not run yet.
    pub(crate) async fn without_operator() -> Option<Self> {
        let plane = ControlPlane::shared()?;
        install_crd(plane).await;
        let namespace = plane.namespace().await.expect("a namespace");
        let access = plane
            .service_account(namespace.name(), "operator")
            .await
            .unwrap();
        let only = BTreeSet::from([namespace.name().to_owned()]);
        let stage = Self {
            options: Options {
                backoff: Backoff {
                    first: Duration::from_millis(500),
                    longest: Duration::from_secs(2),
                },
                ..Options::new(Namespaces::Only(only))
            },
            client: plane.client().await.unwrap(),
            plane,
            namespace,
            access,
            operator: None,
        };
        stage.grant(rbac::WATCHED).await;
        Some(stage)
    }

    /// Gives the operator exactly these rights in the namespace.
    pub(crate) async fn grant(&self, rules: &[rbac::Rule]) {
        let rules = rules.iter().map(|rule| {
            json!({"apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs})
        });
        let name = json!({"name": "operator", "namespace": self.ns()});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": name,
                "rules": rules.collect::<Vec<_>>()},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": name,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
                "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": self.ns()}]},
        ]});
        self.plane
            .admin()
            .apply_yaml(&list.to_string())
            .await
            .unwrap();
    }

    /// Changes the options of operators that are started from now on.
    pub(crate) fn options(&mut self, change: impl FnOnce(&mut Options)) {
        change(&mut self.options);
    }

    /// Starts an operator, with short times.
    pub(crate) async fn start(&mut self) {
        let config = self.access.config().await.unwrap();
        let settings = Settings {
            image_registry: String::new(),
            image_tag: "1.0.0".to_owned(),
        };
        let (http_route, receiver) = watch::channel(None);
        let (metrics, registry) = Metrics::new();
        let clients = Clients::new(&config).unwrap();
        let (context, triggered) = Context::new(clients, settings, metrics, receiver);
        let stop = CancellationToken::new();
        let running = run(
            Arc::new(context),
            triggered,
            self.options.clone(),
            stop.clone(),
        );
        self.operator = Some(Operator {
            task: tokio::spawn(running),
            stop,
            registry,
            _http_route: http_route,
        });
    }

    /// Stops the operator as a signal would.
    pub(crate) async fn stop(&mut self) {
        let Operator { stop, task, .. } = self.operator.take().expect("it runs");
        stop.cancel();
        tokio::time::timeout(LIMIT, task)
            .await
            .expect("it stops")
            .unwrap();
    }

    /// The namespace's name.
    pub(crate) fn ns(&self) -> &str {
        self.namespace.name()
    }

    /// Objects of a kind.
    pub(crate) fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.ns())
    }

    /// Creates a resource, or changes it to this spec.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> MeshCoreDeployment {
        let object = json!({
            "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
            "metadata": {"name": name, "namespace": self.ns()}, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        let api = self.api::<MeshCoreDeployment>();
        api.patch(name, &params, &Patch::Apply(object))
            .await
            .expect("the resource is accepted")
    }

    /// Merges a patch into an object.
    pub(crate) async fn patch<K: Child>(&self, name: &str, patch: Value) -> K {
        let api = self.api::<K>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .expect("the patch is accepted")
    }

    /// Waits until an object is as it should be.
    pub(crate) async fn until<K: Child>(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(&K) -> bool,
    ) -> K {
        let api = self.api::<K>();
        let mut last = None;
        let waiting = async {
            loop {
                last = api.get_opt(name).await.unwrap();
                if let Some(object) = last.take_if(|object| is_so(object)) {
                    return object;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(LIMIT, waiting).await;
        found.unwrap_or_else(|_| panic!("{name} is not {what}: {last:#?}"))
    }

    /// Waits until the resource's condition has this status and reason.
    pub(crate) async fn until_condition(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> MeshCoreDeployment {
        let what = format!("{type_}={status} {reason}");
        self.until(name, &what, |resource: &MeshCoreDeployment| {
            let is_seen = observed(resource) == resource.metadata.generation;
            is_seen && condition(resource, type_) == (status.to_owned(), reason.to_owned())
        })
        .await
    }

    /// Waits until the pod is there, says that it is ready, and waits until the resource is.
    pub(crate) async fn until_available(&self, name: &str) -> MeshCoreDeployment {
        let pod = format!("{name}-0");
        let pod: Pod = self
            .until(&pod, "there", |pod: &Pod| {
                pod.metadata.deletion_timestamp.is_none()
            })
            .await;
        self.pod_says(&pod, &ready_status(&pod)).await;
        self.until_condition(name, "Ready", "True", "Available")
            .await
    }

    /// Says in the kubelet's place how a pod is.
    pub(crate) async fn pod_says(&self, pod: &Pod, status: &Value) {
        let name = pod.metadata.name.as_deref().expect("a pod has a name");
        set_pod_status(&self.api(), name, status)
            .await
            .expect("the status is accepted");
    }

    /// Merges a patch into an object as its kind says, lists by their keys.
    pub(crate) async fn strategic<K: Child>(&self, name: &str, patch: Value) -> K {
        let api = self.api::<K>();
        let patched = api
            .patch(name, &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        patched.expect("the patch is accepted")
    }

    /// The name of the configuration that the resource's pods mount.
    pub(crate) async fn config_map(&self, resource: &str) -> String {
        let set: StatefulSet = self.api().get(resource).await.unwrap();
        let pod = set.spec.unwrap().template.spec.unwrap();
        let mut volumes = pod.volumes.into_iter().flatten();
        volumes
            .find_map(|volume| volume.config_map)
            .expect("a configuration is mounted")
            .name
    }

    /// A place in the audit log.
    pub(crate) async fn mark(&self) -> AuditMark {
        self.plane.audit().mark().await.unwrap()
    }

    /// What the operator asked for since then.
    pub(crate) async fn since(&self, mark: AuditMark) -> Requests {
        let requests = self.plane.audit().since(mark).await.unwrap();
        requests.by_user(self.access.user())
    }

    /// Waits until the operator has nothing to do: for a while it asks for nothing.
    pub(crate) async fn quiet(&self) {
        let waiting = async {
            loop {
                let mark = self.mark().await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                if self.reconciles() > 0 && self.since(mark).await.is_empty() {
                    return;
                }
            }
        };
        tokio::time::timeout(LIMIT, waiting)
            .await
            .expect("the operator comes to rest");
    }

    /// How many reconciles the operator has ended.
    pub(crate) fn reconciles(&self) -> u64 {
        let operator = self.operator.as_ref().expect("it runs");
        let mut text = String::new();
        encode(&mut text, &operator.registry).unwrap();
        let mut lines = text.lines();
        let count =
            lines.find_map(|line| line.strip_prefix("meshcore_operator_reconcile_seconds_count "));
        count.expect("reconciles are counted").parse().unwrap()
    }

    /// Waits until the operator has ended so many reconciles.
    pub(crate) async fn until_reconciles(&self, count: u64) {
        let waiting = async {
            while self.reconciles() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting)
            .await
            .expect("it reconciles");
    }
}

/// Installs the definition of the resource, once for all tests.
async fn install_crd(plane: &ControlPlane) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let install = async {
        let crd = meshcore_resource::crd_yaml();
        plane.install_crds(&crd).await.expect("the CRD is accepted");
    };
    INSTALLED.get_or_init(|| install).await;
}

/// The least that a resource has.
pub(crate) fn minimal() -> Value {
    json!({
        "mqttSources": [{"name": "local", "broker": "mqtt://mosquitto:1883"}],
        "storage": {"size": "1Gi"},
    })
}

/// [`minimal`] with more fields of the spec.
pub(crate) fn with(more: Value) -> Value {
    let mut spec = minimal();
    let more = more.as_object().expect("fields").clone();
    spec.as_object_mut().unwrap().extend(more);
    spec
}

/// The status and the reason of a condition; empty where there is none.
pub(crate) fn condition(resource: &MeshCoreDeployment, type_: &str) -> (String, String) {
    let conditions = resource.status.iter().flat_map(|status| &status.conditions);
    let mut found = conditions.filter(|condition| condition.type_ == type_);
    let found = found.next();
    found
        .map(|found| (found.status.clone(), found.reason.clone()))
        .unwrap_or_default()
}

/// The generation that the status is about.
pub(crate) fn observed(resource: &MeshCoreDeployment) -> Option<i64> {
    resource
        .status
        .as_ref()
        .and_then(|status| status.observed_generation)
}
