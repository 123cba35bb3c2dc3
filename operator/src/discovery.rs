//! What the cluster serves: the Gateway API's `HTTPRoute`, and which definition of our own resource.
//!
//! Both are read off `/openapi/v3`, which every authenticated user may read, also one with rights in a single namespace.
//! Its index has some kilobytes and names each document with a hash, so that a document is fetched only when it is
//! another one.

mod difference;
mod openapi;
mod schema;

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::build::HttpRouteApi;
use openapi::{Documents, OpenApi, OpenApiError};

/// How often the index is read.
const PERIOD: Duration = Duration::from_secs(30);
const OUR_GROUP: &str = "apis/meshcore.dev/v1alpha1";
/// Where `HTTPRoute` is served, the best version first.
const ROUTE_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// The API server's definition of the resource beside that of this operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Definition {
    /// It is not served, or was not looked at yet.
    #[default]
    Unknown,
    /// It is the same, but for descriptions.
    Current,
    /// It is another one, here: the fields of one are refused or cut off by the other.
    Differs(Vec<String>),
}

/// Looks at what the cluster serves, again and again.
#[derive(Debug)]
pub struct Discovery {
    api: OpenApi,
    /// What each document was called when it was fetched.
    seen: Documents,
    http_route: watch::Sender<Option<HttpRouteApi>>,
    definition: watch::Sender<Definition>,
}

impl Discovery {
    /// Nothing is known yet.
    pub fn new(client: Client) -> Self {
        Self {
            api: OpenApi::new(client),
            seen: Documents::new(),
            http_route: watch::Sender::default(),
            definition: watch::Sender::default(),
        }
    }

    /// The Gateway API's `HTTPRoute`, if the cluster serves it.
    pub fn http_route(&self) -> watch::Receiver<Option<HttpRouteApi>> {
        self.http_route.subscribe()
    }

    /// The definition of our own resource.
    pub fn definition(&self) -> watch::Receiver<Definition> {
        self.definition.subscribe()
    }

    /// Looks for ever. What can't be read stays as it was known.
    pub async fn run(mut self) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "What the cluster serves can't be read; it is tried again"
                );
            }
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When something can't be read; the next look reads it again.
    pub async fn look(&mut self) -> Result<(), OpenApiError> {
        let documents = self.api.index().await?;
        if let Some(definition) = self.look_at_definition(&documents).await? {
            publish(&self.definition, definition, log_definition);
        }
        if let Some(http_route) = self.look_at_http_route(&documents).await? {
            publish(&self.http_route, http_route, |served| {
                tracing::info!(?served, "How the cluster serves HTTPRoute has changed");
            });
        }
        Ok(())
    }

    /// The definition, if its document is another one than before.
    async fn look_at_definition(
        &mut self,
        documents: &Documents,
    ) -> Result<Option<Definition>, OpenApiError> {
        let Some(url) = documents.get(OUR_GROUP) else {
            self.seen.remove(OUR_GROUP);
            return Ok(Some(Definition::Unknown));
        };
        if self.seen.get(OUR_GROUP) == Some(url) {
            return Ok(None);
        }
        let served = self.api.schema(url, schema::RESOURCE).await?;
        self.seen.insert(OUR_GROUP.to_owned(), url.clone());
        Ok(Some(served.map_or(
            Definition::Unknown,
            |served| match difference::between(&schema::ours(), &served) {
                paths if paths.is_empty() => Definition::Current,
                paths => Definition::Differs(paths),
            },
        )))
    }

    /// How `HTTPRoute` is served, if its documents are others than before.
    async fn look_at_http_route(
        &mut self,
        documents: &Documents,
    ) -> Result<Option<Option<HttpRouteApi>>, OpenApiError> {
        let groups =
            ROUTE_VERSIONS.map(|version| format!("apis/gateway.networking.k8s.io/{version}"));
        if groups
            .iter()
            .all(|group| self.seen.get(group) == documents.get(group))
        {
            return Ok(None);
        }
        let mut found = None;
        for (version, group) in ROUTE_VERSIONS.iter().zip(&groups) {
            let Some(url) = documents.get(group) else {
                continue;
            };
            let name = schema::http_route(version);
            if let Some(served) = self.api.schema(url, &name).await? {
                found = Some(HttpRouteApi {
                    version: (*version).to_owned(),
                    has_timeouts: schema::has_timeouts(&served),
                });
                break;
            }
        }
        for group in groups {
            match documents.get(&group) {
                Some(url) => self.seen.insert(group, url.clone()),
                None => self.seen.remove(&group),
            };
        }
        Ok(Some(found))
    }
}

/// Publishes what is new, and says so.
fn publish<T: PartialEq>(known: &watch::Sender<T>, now: T, log: impl FnOnce(&T)) {
    known.send_if_modified(|known| {
        let is_new = *known != now;
        if is_new {
            log(&now);
            *known = now;
        }
        is_new
    });
}

fn log_definition(definition: &Definition) {
    match definition {
        Definition::Unknown => tracing::info!("The definition of MeshCoreDeployment is not served"),
        Definition::Current => tracing::info!("The definition of MeshCoreDeployment is up to date"),
        Definition::Differs(paths) => tracing::warn!(
            fields = paths.join(", "),
            "The definition of MeshCoreDeployment in the cluster is not the one of this operator: apply what \
             `meshcore-operator crd` prints, or upgrade the chart with the definitions"
        ),
    }
}
