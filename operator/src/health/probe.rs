//! Direct requests: whether the API server answers, knows the resource and lets us read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::ListParams;
use kube::{Api, Client};
use meshcore_lifecycle::Readiness;
use meshcore_resource::MeshCoreDeployment;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::liveness::{Liveness, Patience};
use super::watches::Watches;
use crate::args::Namespaces;
use crate::build::HttpRouteApi;

/// How long from one request to the next when all is well, and when it is not.
const PERIOD: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The components of readiness that this knows about.
const API: &str = "api";
const WATCH: &str = "watch";

/// What to do about answers that keep the operator from working.
const NOT_INSTALLED: &str = "the definition of MeshCoreDeployment is not installed: apply what `meshcore-operator crd` \
                             prints, or install the chart meshcore-operator-crds";
const FORBIDDEN: &str = "bind the operator's role to it, as the chart and manifests/ do";
const UNAUTHORIZED: &str = "the API server does not accept the credentials: check the kubeconfig, or the token of the \
                            service account";

/// What a direct request met.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Works,
    /// The API server answered, and what it said keeps us from working.
    Refuses(String),
    /// The API server did not answer, or not as one that is well.
    Away(String),
}

/// Keeps readiness and liveness true.
pub struct Probe {
    client: Client,
    server: String,
    /// The namespaces in turn; `None` is all of them.
    scopes: Vec<Option<String>>,
    findings: BTreeMap<Option<String>, Finding>,
    readiness: Readiness,
    watches: Watches,
    liveness: Arc<Mutex<Liveness>>,
    patience: Patience,
    works: watch::Sender<bool>,
    http_route: watch::Receiver<Option<HttpRouteApi>>,
}

impl Probe {
    /// A probe that asks by `client`, which must not be the one that watches: if that one is stuck, this one must not
    /// be. `http_route` says whether the cluster serves the one kind that it may stop to serve.
    pub fn new(
        client: Client,
        server: String,
        namespaces: &Namespaces,
        readiness: Readiness,
        watches: Watches,
        patience: Patience,
        http_route: watch::Receiver<Option<HttpRouteApi>>,
    ) -> Self {
        let scopes = match namespaces {
            Namespaces::All => vec![None],
            Namespaces::Only(names) => names.iter().cloned().map(Some).collect(),
        };
        Self {
            client,
            server,
            scopes,
            findings: BTreeMap::new(),
            readiness,
            watches,
            liveness: Arc::new(Mutex::new(Liveness::new(patience))),
            patience,
            works: watch::Sender::new(false),
            http_route,
        }
    }

    /// Why a restart would help, if it would; for the route.
    pub fn verdict(&self) -> impl Fn() -> Option<String> + Send + Sync + use<> {
        let (liveness, watches) = (Arc::clone(&self.liveness), self.watches.clone());
        let silence = self.patience.silence;
        move || {
            let silent = watches.silent_for(silence);
            lock(&liveness).verdict(&silent, Instant::now())
        }
    }

    /// Becomes true when there is a namespace in which the resource can be read.
    pub fn works(&self) -> watch::Receiver<bool> {
        self.works.subscribe()
    }

    /// Asks for ever.
    pub async fn run(mut self) {
        // Each once, so that it is known of all at the beginning; then in turn.
        for scope in self.scopes.clone() {
            self.ask(scope).await;
        }
        for turn in (0..self.scopes.len()).cycle() {
            let is_well = self.findings.values().all(|it| *it == Finding::Works);
            let period = PERIOD.min(self.patience.silence / 2);
            sleep(if is_well { period } else { RETRY }).await;
            self.ask(self.scopes[turn].clone()).await;
        }
    }

    async fn ask(&mut self, scope: Option<String>) {
        let finding = self.find(scope.as_deref()).await;
        lock(&self.liveness).tried(finding == Finding::Works, Instant::now());
        if self.findings.get(&scope) != Some(&finding) {
            log(&finding);
        }
        self.findings.insert(scope, finding);
        self.show();
    }

    async fn find(&self, scope: Option<&str>) -> Finding {
        let api: Api<MeshCoreDeployment> = match scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        // One name at most: cheap with any number of resources, and unreadable ones are no trouble.
        let one = ListParams::default().limit(1);
        let error = match timeout(ANSWER, api.list_metadata(&one)).await {
            Ok(Ok(_)) => return Finding::Works,
            Ok(Err(error)) => error,
            Err(_) => {
                return Finding::Away(self.away(&format!("no answer in {} s", ANSWER.as_secs())));
            }
        };
        let kube::Error::Api(status) = &error else {
            return Finding::Away(self.away(&chain(&error)));
        };
        match status.code {
            404 => Finding::Refuses(NOT_INSTALLED.to_owned()),
            403 => Finding::Refuses(format!(
                "rights are missing: {}; {FORBIDDEN}",
                status.message
            )),
            401 => Finding::Refuses(UNAUTHORIZED.to_owned()),
            code => Finding::Away(format!(
                "the API server at {} answers with {code}: {}",
                self.server, status.message
            )),
        }
    }

    fn away(&self, reason: &str) -> String {
        format!(
            "the API server at {} does not answer: {reason}",
            self.server
        )
    }

    /// Tells readiness what was found.
    fn show(&self) {
        let mut findings = self.findings.values();
        let reason = findings.find_map(|finding| match finding {
            Finding::Works => None,
            Finding::Refuses(reason) | Finding::Away(reason) => Some(reason.clone()),
        });
        match &reason {
            Some(reason) => {
                self.readiness.set_starting(reason.clone());
                self.readiness.set_not_ready(API, reason.clone());
            }
            None => self.readiness.set_ready(API),
        }
        match self.trouble_of_watches() {
            Some(trouble) => self.readiness.set_not_ready(WATCH, trouble),
            None => self.readiness.set_ready(WATCH),
        }
        let works = self
            .findings
            .values()
            .any(|finding| *finding == Finding::Works);
        // Once it works, whoever waited for it goes on.
        self.works
            .send_if_modified(|before| !std::mem::replace(before, *before || works) && works);
    }

    fn trouble_of_watches(&self) -> Option<String> {
        // The one kind that comes and goes.
        if self.http_route.borrow().is_none() {
            self.watches.forget("HTTPRoute");
        }
        let refused = self.watches.refused();
        if !refused.is_empty() {
            return Some(format!(
                "the API server does not let this operator watch {}: check its role",
                refused.join(", ")
            ));
        }
        let silent = self.watches.silent_for(self.patience.silence);
        (!silent.is_empty()).then(|| {
            format!(
                "the watch of {} has been silent for more than {} s",
                silent.join(", "),
                self.patience.silence.as_secs()
            )
        })
    }
}

fn log(finding: &Finding) {
    match finding {
        Finding::Works => tracing::info!("The API server answers, and the resources can be read"),
        Finding::Refuses(reason) | Finding::Away(reason) => {
            tracing::warn!(%reason, "The operator can't work; it tries again");
        }
    }
}

/// An error with its causes: that a connection failed says less than why. A cause that its error repeats is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
