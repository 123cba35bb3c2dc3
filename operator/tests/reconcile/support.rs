//! A namespace with an operator of its own, and the words of the tests.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod counts;
mod objects;
mod waits;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::{Api, Client, Resource};
use meshcore_operator::args::Namespaces;
use meshcore_operator::backoff::Backoff;
use meshcore_operator::build::HttpRouteApi;
use meshcore_operator::controller::{Options, run};
use meshcore_operator::metrics::Metrics;
use meshcore_operator::{Clients, Context, Settings, rbac};
use meshcore_testkit::kubernetes::{Access, ControlPlane, Namespace};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
pub(crate) use words::{condition, find_condition, message, minimal, observed, with};

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
        Some(Self::on(plane).await)
    }

    /// The same on a control plane that has some definition of the resource.
    pub(crate) async fn on(plane: &'static ControlPlane) -> Self {
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
        stage
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
