//! What a test gets: the cluster with the operator, a namespace of its own, a broker in it, and who publishes to it.

mod api;
mod availability;
mod broker;
mod company;
mod database;
mod load;
pub(crate) mod operator;
mod pod;
mod process;
mod resource;

use std::fmt::Debug;
use std::time::Duration;

use meshcore_testkit::kubernetes::{Cluster, Namespace};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

pub(crate) use api::{get, wait_for_page};
pub(crate) use availability::Availability;
pub(crate) use broker::Broker;
pub(crate) use company::Company;
use company::Turn;
pub(crate) use load::Load;
pub(crate) use operator::{NAMESPACE, repository};
pub(crate) use pod::{POD, Pod, bare_id};
pub(crate) use process::Process;
pub(crate) use resource::resource;

/// How long something may take that should happen soon, on a machine that does much else.
pub(crate) const SOON: Duration = Duration::from_mins(2);

/// The images that tests run.
const IMAGES: [&str; 5] = ["operator", "ingestor", "server", "meshcore", "mosquitto"];

/// A place in the cluster for one test.
pub(crate) struct Scene {
    pub(crate) cluster: &'static Cluster,
    pub(crate) namespace: Namespace,
    /// The test, for figures.
    pub(crate) test: &'static str,
    // The last to go: the namespace is being deleted by then.
    _turn: Turn,
}

impl Scene {
    /// The cluster is started, and the operator installed, for the first one.
    pub(crate) async fn new(test: &'static str, company: Company) -> Option<Self> {
        let cluster = cluster().await?;
        let turn = company.turn(cluster).await;
        let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
        let namespace = cluster.namespace_with_labels(&restricted).await.unwrap();
        Some(Self {
            cluster,
            namespace,
            test,
            _turn: turn,
        })
    }

    /// kubectl in the namespace.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let arguments = [arguments, &["-n", self.namespace.name()]].concat();
        self.cluster.admin().kubectl(&arguments).await
    }

    /// Applies objects into the namespace.
    pub(crate) async fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        let arguments = ["apply", "-f", "-", "-n", self.namespace.name()];
        let admin = self.cluster.admin();
        admin.kubectl_with_input(&arguments, yaml).await
    }

    /// Waits until an object says so, such as `("mcd/bay-area", "condition=Ready")`.
    pub(crate) async fn wait(&self, object: &str, what: &str) {
        let wait = format!("--for={what}");
        let limit = format!("--timeout={}s", SOON.as_secs());
        self.kubectl(&["wait", object, &wait, &limit])
            .await
            .unwrap();
    }

    /// One value of an object, by a JSON path such as `{.status.conditions}`.
    pub(crate) async fn value(&self, object: &str, path: &str) -> String {
        let output = format!("-o=jsonpath={path}");
        self.kubectl(&["get", object, &output]).await.unwrap()
    }

    /// Notes a figure of this test.
    pub(crate) fn figure(&self, of: &str, value: impl std::fmt::Display, target: &str) {
        crate::figures::note(&format!("{}: {of}", self.test), value, target);
    }
}

/// Asks again and again until there is an answer. What was said last instead is told when none comes soon.
pub(crate) async fn until<T, E: Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let limit = Instant::now() + SOON;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(said) => assert!(Instant::now() < limit, "not in {SOON:?}: {what}: {said:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Of all scenes.
static CLUSTER: OnceCell<Option<Cluster>> = OnceCell::const_new();

/// The cluster, if a test has needed it.
pub(crate) fn started() -> Option<&'static Cluster> {
    CLUSTER.get()?.as_ref()
}

async fn cluster() -> Option<&'static Cluster> {
    let start = async {
        let started = tokio::task::spawn_blocking(|| Cluster::start(&IMAGES));
        let cluster = started.await.unwrap().unwrap()?;
        operator::install(&cluster).await;
        Some(cluster)
    };
    CLUSTER.get_or_init(|| start).await.as_ref()
}
