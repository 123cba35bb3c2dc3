//! A namespace in which one resource after another lives, with an operator that reaches the API server through a proxy.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use meshcore_operator::args::Namespaces;
use meshcore_operator::backoff::Backoff;
use meshcore_operator::build::HttpRouteApi;
use meshcore_operator::clients::{Builder, Timeouts, WatchBuilder};
use meshcore_operator::controller::{Options, run};
use meshcore_operator::metrics::Metrics;
use meshcore_operator::{Clients, Context, Settings, rbac};
use meshcore_testkit::kubernetes::{Access, ControlPlane, FaultProxy, Namespace, ReadyPods};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long an operator waits for answers where some never come. The usual times would make each such test as long.
pub(crate) const IMPATIENT: Timeouts = Timeouts {
    answer: Duration::from_secs(2),
    watch: Duration::from_secs(2),
};

/// A namespace with the rights of an operator, whose pods become ready.
pub(crate) struct Lane {
    pub(crate) namespace: Namespace,
    /// With all rights.
    pub(crate) client: Client,
    /// The operator's own rights, straight.
    pub(crate) access: Access,
    _pods: ReadyPods,
}

impl Lane {
    pub(crate) async fn new(plane: &'static ControlPlane) -> Self {
        let namespace = plane.namespace().await.unwrap();
        let access = plane
            .service_account(namespace.name(), "operator")
            .await
            .unwrap();
        grant(plane, namespace.name()).await;
        Self {
            client: plane.client().await.unwrap(),
            _pods: plane.ready_pods(namespace.name()).await.unwrap(),
            namespace,
            access,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// An operator of this namespace in this process, with short times.
    pub(crate) async fn operator(&self, proxy: &FaultProxy, timeouts: Timeouts) -> Operator {
        let access = proxy.access(&self.access).unwrap();
        Operator::start(self.name(), &access, timeouts).await
    }
}

/// Gives whoever has an account in a namespace the rights of an operator in it.
async fn grant(plane: &ControlPlane, namespace: &str) {
    let rules: Vec<_> = rbac::WATCHED
        .iter()
        .chain(rbac::OWN_NAMESPACE)
        .map(|rule| json!({"apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs}))
        .collect();
    let metadata = json!({"name": "operator", "namespace": namespace});
    let group = "rbac.authorization.k8s.io";
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules},
        {"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "operator"},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": format!("system:serviceaccounts:{namespace}")}]},
    ]});
    plane.admin().apply_yaml(&list.to_string()).await.unwrap();
}

/// An operator that runs in this process; it ends with this value, in the middle of whatever it does.
pub(crate) struct Operator {
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// As long as it lives, discovery may find something.
    _http_route: watch::Sender<Option<HttpRouteApi>>,
}

impl Operator {
    pub(crate) async fn start(namespace: &str, access: &Access, timeouts: Timeouts) -> Self {
        let config = access.config().await.unwrap();
        let (http_route, receiver) = watch::channel(None);
        let (metrics, _) = Metrics::new();
        let clients = Clients::with(&config, timeouts, WatchBuilder::build, Builder::build);
        let clients = clients.unwrap();
        let (context, triggered) = Context::new(clients, settings(), metrics, receiver);
        let only = BTreeSet::from([namespace.to_owned()]);
        let options = Options {
            backoff: Backoff {
                first: Duration::from_millis(300),
                longest: Duration::from_secs(1),
            },
            reconcile_limit: Duration::from_secs(20),
            ..Options::new(Namespaces::Only(only))
        };
        let stop = CancellationToken::new();
        let running = run(Arc::new(context), triggered, options, stop.clone());
        Self {
            task: tokio::spawn(running),
            stop,
            _http_route: http_route,
        }
    }

    /// Stops it as a signal would.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(Duration::from_mins(1), &mut self.task).await;
        stopped.expect("it stops").unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What shapes the objects.
pub(crate) fn settings() -> Settings {
    Settings {
        image_registry: String::new(),
        image_tag: "1.0.0".to_owned(),
    }
}
