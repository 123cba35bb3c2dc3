//! An onlooker who sees what happens to objects, in the order in which it happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client};
use meshcore_operator::kind::Kind;
use meshcore_operator::names;
use meshcore_testkit::kubernetes::Access;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// All objects of an API server have one count of changes.
    pub(crate) version: u64,
    pub(crate) id: Id,
    pub(crate) is_deletion: bool,
    pub(crate) object: Arc<Value>,
}

/// The objects of a namespace.
pub(crate) type Objects = BTreeMap<Id, Arc<Value>>;

/// An onlooker; it has a thread of its own, so that it sees everything while a test is busy.
pub(crate) struct Witness {
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    count: tokio::sync::watch::Sender<u64>,
}

#[derive(Default)]
struct Seen {
    /// By namespace.
    objects: BTreeMap<String, Objects>,
    log: BTreeMap<String, Vec<Happening>>,
    /// Kinds that have been listed.
    listed: BTreeSet<&'static str>,
}

impl Witness {
    /// Sees all objects of the operator, of all namespaces, from now on.
    pub(crate) async fn of(access: &Access) -> Self {
        let config = access.config().await.unwrap();
        let shared = Arc::new(Shared::default());
        let stop = CancellationToken::new();
        let thread = std::thread::spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let client = Client::try_from(config).unwrap();
                    let follow = kinds().map(|(kind, resource)| {
                        follow(client.clone(), kind, resource, Arc::clone(&shared))
                    });
                    let all = futures::future::join_all(follow);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = all => {}
                    }
                });
            }
        });
        let witness = Self {
            shared,
            stop,
            thread: Some(thread),
        };
        witness
            .until(Duration::from_mins(1), || {
                witness.lock().listed.len() == kinds().count()
            })
            .await
            .expect("the witness sees");
        witness
    }

    /// The objects of a namespace as they are now.
    pub(crate) fn objects(&self, namespace: &str) -> Objects {
        self.lock()
            .objects
            .get(namespace)
            .cloned()
            .unwrap_or_default()
    }

    /// What has happened in a namespace so far, in order; it is forgotten.
    pub(crate) fn take_log(&self, namespace: &str) -> Vec<Happening> {
        let mut log = self.lock().log.remove(namespace).unwrap_or_default();
        log.sort_by_key(|happening| happening.version);
        log
    }

    /// Waits until something is so, which is asked after each change; `None` when it is not after `limit`.
    pub(crate) async fn until(
        &self,
        limit: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Option<()> {
        let mut count = self.shared.count.subscribe();
        let waiting = async {
            while !is_so() {
                // A change that is missed between two questions is the reason for the second one.
                drop(tokio::time::timeout(Duration::from_secs(1), count.changed()).await);
                count.mark_unchanged();
            }
        };
        tokio::time::timeout(limit, waiting).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.shared.lock()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The kinds that the operator makes, the resource, and what the StatefulSet controller makes of it.
fn kinds() -> impl Iterator<Item = (&'static str, ApiResource)> {
    let ours = Kind::BUILT_IN.map(|kind| (kind.name(), kind.api_resource("v1")));
    let resource = GroupVersionKind::gvk("meshcore.dev", "v1alpha1", "MeshCoreDeployment");
    let resource = ApiResource::from_gvk_with_plural(&resource, "meshcoredeployments");
    let revision = GroupVersionKind::gvk("apps", "v1", "ControllerRevision");
    let revision = ApiResource::from_gvk_with_plural(&revision, "controllerrevisions");
    ours.into_iter().chain([
        ("MeshCoreDeployment", resource),
        ("ControllerRevision", revision),
    ])
}

async fn follow(client: Client, kind: &'static str, resource: ApiResource, shared: Arc<Shared>) {
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let config = match kind {
        // Revisions have the labels of the selector only.
        "MeshCoreDeployment" | "ControllerRevision" => watcher::Config::default(),
        _ => watcher::Config::default().labels(&names::managed_selector()),
    };
    let mut events = std::pin::pin!(watch(api, config).default_backoff());
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                let (namespace, id) = shared.note(kind, &object, false);
                listed.insert((namespace, id));
            }
            Ok(Event::InitDone) => shared.retain(kind, &listed),
            Ok(Event::Apply(object)) => drop(shared.note(kind, &object, false)),
            Ok(Event::Delete(object)) => drop(shared.note(kind, &object, true)),
            Err(_) => {}
        }
    }
}

impl Shared {
    fn note(&self, kind: &'static str, object: &DynamicObject, is_deletion: bool) -> (String, Id) {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let version = object.metadata.resource_version.as_ref();
        let id = Id {
            kind,
            name: object.metadata.name.clone().unwrap_or_default(),
        };
        let happening = Happening {
            version: version
                .and_then(|version| version.parse().ok())
                .unwrap_or_default(),
            id: id.clone(),
            is_deletion,
            object: Arc::new(serde_json::to_value(object).expect("it was JSON")),
        };
        let mut seen = self.lock();
        let objects = seen.objects.entry(namespace.clone()).or_default();
        if is_deletion {
            objects.remove(&id);
        } else {
            objects.insert(id.clone(), Arc::clone(&happening.object));
        }
        seen.log
            .entry(namespace.clone())
            .or_default()
            .push(happening);
        drop(seen);
        self.count.send_modify(|count| *count += 1);
        (namespace, id)
    }

    /// Forgets what a list did not have.
    fn retain(&self, kind: &'static str, listed: &BTreeSet<(String, Id)>) {
        let mut seen = self.lock();
        seen.listed.insert(kind);
        for (namespace, objects) in &mut seen.objects {
            objects.retain(|id, _| {
                id.kind != kind || listed.contains(&(namespace.clone(), id.clone()))
            });
        }
        drop(seen);
        self.count.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
