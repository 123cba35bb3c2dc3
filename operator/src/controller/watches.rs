//! One watch for each kind and namespace, each with a back-off of its own: one that fails holds up none of the others.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use kube::core::ApiResource;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client};
use meshcore_resource::{KIND, MeshCoreDeployment};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::args::Namespaces;
use crate::cache::{Key, Origin};
use crate::context::Context;
use crate::kind::Kind;
use crate::live::Live;
use crate::names;
use crate::patience::{Patience, Worked};

/// Objects a page of a list. The whole page is in memory at once.
const PAGE: u32 = 100;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// The resources.
    Resources,
    /// Their objects of one kind.
    Children(Kind),
}

/// Starts all watches. The receiver hears once from each that has listed what there is, or failed to, and so counts
/// down from the number that is given.
pub(super) fn start(
    context: &Arc<Context>,
    namespaces: &Namespaces,
    tasks: &mut JoinSet<()>,
) -> (usize, mpsc::Receiver<()>) {
    let scopes: Vec<Option<String>> = match namespaces {
        Namespaces::All => vec![None],
        Namespaces::Only(names) => names.iter().cloned().map(Some).collect(),
    };
    let children = Kind::BUILT_IN.map(Watched::Children);
    let watched: Vec<Watched> = [Watched::Resources].into_iter().chain(children).collect();
    let count = scopes.len() * watched.len();
    // One place for each, so that none waits for somebody to listen.
    let (listed, receiver) = mpsc::channel(count.max(1));
    for scope in scopes {
        for watched in &watched {
            let follow = Follow::new(Arc::clone(context), *watched, scope.clone());
            let resource = watched.api_resource("v1");
            tasks.spawn(follow.run(resource, Some(listed.clone())));
        }
        tasks.spawn(follow_routes(Arc::clone(context), scope));
    }
    (count, receiver)
}

/// Follows the routes whenever, and in whichever version, the cluster serves them.
async fn follow_routes(context: Arc<Context>, scope: Option<String>) {
    let mut api = context.http_route.clone();
    loop {
        let served = api.borrow_and_update().clone();
        let watched = Watched::Children(Kind::HttpRoute);
        let follow = Follow::new(Arc::clone(&context), watched, scope.clone());
        let changed = match served {
            None => api.changed().await,
            Some(served) => tokio::select! {
                () = follow.run(watched.api_resource(&served.version), None) => return,
                changed = api.changed() => changed,
            },
        };
        context.trigger.all();
        if changed.is_err() {
            // Nobody looks any more; what is served stays as it was.
            let served = api.borrow().clone();
            if let Some(served) = served {
                let follow = Follow::new(context, watched, scope);
                follow
                    .run(watched.api_resource(&served.version), None)
                    .await;
            }
            return;
        }
    }
}

impl Watched {
    fn api_resource(self, http_route_version: &str) -> ApiResource {
        match self {
            Self::Resources => ApiResource::erase::<MeshCoreDeployment>(&()),
            Self::Children(kind) => kind.api_resource(http_route_version),
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Resources => "meshcoredeployments",
            Self::Children(kind) => kind.plural(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Resources => KIND,
            Self::Children(kind) => kind.name(),
        }
    }

    fn config(self) -> watcher::Config {
        let config = watcher::Config::default().page_size(PAGE);
        match self {
            Self::Resources => config,
            Self::Children(_) => config.labels(&names::managed_selector()),
        }
    }
}

/// One watch.
struct Follow {
    context: Arc<Context>,
    watched: Watched,
    scope: Option<String>,
    /// What the list that is being read has named so far.
    listed: HashSet<Key>,
    is_failing: bool,
    worked: Worked,
}

impl Follow {
    fn new(context: Arc<Context>, watched: Watched, scope: Option<String>) -> Self {
        Self {
            context,
            watched,
            scope,
            listed: HashSet::new(),
            is_failing: false,
            worked: Worked::default(),
        }
    }

    async fn run(mut self, resource: ApiResource, mut first: Option<mpsc::Sender<()>>) {
        let api = api(
            self.context.clients.watch.clone(),
            self.scope.as_deref(),
            &resource,
        );
        let patience = self.patience();
        let mut events = std::pin::pin!(watch(api, self.watched.config()).backoff(patience));
        while let Some(event) = events.next().await {
            let has_listed = matches!(event, Ok(Event::InitDone) | Err(_));
            match event {
                Ok(event) => self.take(event),
                Err(error) => self.failed(&error),
            }
            if has_listed && let Some(first) = first.take() {
                // Nobody listens any more when the controller ends.
                first.try_send(()).ok();
            }
        }
    }

    fn patience(&mut self) -> Patience {
        let (patience, worked) = Patience::new();
        self.worked = worked;
        patience
    }

    fn take(&mut self, event: Event<Live>) {
        self.worked.hear(&event);
        // A list begins before it is asked for, which says nothing yet.
        if !matches!(event, Event::Init) {
            self.works();
        }
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(live) => {
                self.listed.insert(Key::of(&live));
                self.put(live, Origin::List);
            }
            Event::InitDone => self.retain(),
            Event::Apply(live) => self.put(live, Origin::Update),
            Event::Delete(live) => self.remove(&live),
        }
    }

    fn put(&self, live: Live, origin: Origin) {
        let Context { cache, trigger, .. } = &*self.context;
        match self.watched {
            Watched::Resources => {
                cache
                    .put_resource(&live, origin)
                    .into_iter()
                    .for_each(|key| trigger.changed(key));
            }
            Watched::Children(kind) => {
                let live = trimmed(kind, live);
                cache
                    .put(kind, &live, origin)
                    .into_iter()
                    .for_each(|key| trigger.touched(key));
            }
        }
    }

    fn remove(&self, live: &Live) {
        let Context { cache, trigger, .. } = &*self.context;
        match self.watched {
            Watched::Resources => {
                cache
                    .remove_resource(live)
                    .into_iter()
                    .for_each(|key| trigger.changed(key));
            }
            Watched::Children(kind) => {
                cache
                    .remove(kind, live)
                    .into_iter()
                    .for_each(|key| trigger.touched(key));
            }
        }
    }

    fn retain(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        let scope = self.scope.as_deref();
        let Context { cache, trigger, .. } = &*self.context;
        match self.watched {
            Watched::Resources => {
                cache
                    .retain_resources(scope, &listed)
                    .into_iter()
                    .for_each(|key| trigger.changed(key));
            }
            Watched::Children(kind) => {
                cache
                    .retain(kind, scope, &listed)
                    .into_iter()
                    .for_each(|key| trigger.touched(key));
            }
        }
    }

    fn works(&mut self) {
        if !std::mem::take(&mut self.is_failing) {
            return;
        }
        tracing::info!(kind = self.watched.name(), "The watch works again");
        let plural = self.watched.plural();
        if self
            .context
            .watch_troubles
            .set(plural, self.scope.as_deref(), None)
        {
            self.context.trigger.all();
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let error: &dyn std::error::Error = error;
            tracing::warn!(
                kind = self.watched.name(),
                scope = self.scope,
                error,
                "A watch fails; it is tried again"
            );
        }
        let plural = self.watched.plural();
        let is_news = match refusal(error) {
            Some(why) => self
                .context
                .watch_troubles
                .set(plural, self.scope.as_deref(), Some(why)),
            None => false,
        };
        if is_news {
            self.context.trigger.all();
        }
    }
}

fn api(client: Client, scope: Option<&str>, resource: &ApiResource) -> Api<Live> {
    match scope {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

/// What of an object is worth keeping. What others say of an ingress or of a policy is of no use here.
fn trimmed(kind: Kind, live: Live) -> Live {
    match kind {
        Kind::Claim | Kind::StatefulSet | Kind::Pod => live,
        _ => live.without(&["status"]),
    }
}

/// What the API server says when it lets us watch nothing.
fn refusal(error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchFailed(kube::Error::Api(status))) = error
    else {
        return None;
    };
    status.is_forbidden().then(|| status.message.clone())
}
