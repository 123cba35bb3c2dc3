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

/// What the cluster serves, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// The Gateway API's `HTTPRoute`, if the cluster serves it.
    pub http_route: Option<HttpRouteApi>,
    /// The definition of our own resource.
    pub definition: Definition,
}

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
    found: watch::Sender<Discovered>,
}

impl Discovery {
    /// Nothing is known yet.
    pub fn new(client: Client) -> Self {
        Self {
            api: OpenApi::new(client),
            seen: Documents::new(),
            found: watch::Sender::default(),
        }
    }

    /// What is known, and becomes known.
    pub fn found(&self) -> watch::Receiver<Discovered> {
        self.found.subscribe()
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
        let mut now = self.found.borrow().clone();
        if let Some(definition) = self.definition(&documents).await? {
            now.definition = definition;
        }
        if let Some(http_route) = self.http_route(&documents).await? {
            now.http_route = http_route;
        }
        self.publish(now);
        Ok(())
    }

    /// The definition, if its document is another one than before.
    async fn definition(
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
    async fn http_route(
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

    fn publish(&self, now: Discovered) {
        let before = self.found.borrow().clone();
        if now.definition != before.definition {
            log_definition(&now.definition);
        }
        if now.http_route != before.http_route {
            tracing::info!(http_route = ?now.http_route, "How the cluster serves HTTPRoute has changed");
        }
        self.found.send_if_modified(|found| {
            let is_new = *found != now;
            *found = now;
            is_new
        });
    }
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
