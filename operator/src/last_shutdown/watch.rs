//! Watches the pods, and asks the new ones.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::select_all;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{Config, Error, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use meshcore_resource::LastShutdown;

use super::ask::ask;
use super::memory::{Memory, Question, ResourceKey, Told};
use super::pod::PodView;
use crate::args::Namespaces;
use crate::names;
use crate::patience::Patience;

/// How many pods are asked at one time.
const ASKED_AT_ONCE: usize = 8;
/// Pods a page of a list: they are large, and only a little of each is kept.
const PAGE: u32 = 50;

/// How the last pod of each resource ended; clones are handles to the same knowledge.
#[derive(Clone, Debug, Default)]
pub struct LastShutdowns {
    memory: Arc<Mutex<Memory>>,
}

impl LastShutdowns {
    /// What `status.lastShutdown` is to be, where it is `status` now.
    pub fn current(
        &self,
        namespace: &str,
        name: &str,
        status: Option<&LastShutdown>,
    ) -> Option<LastShutdown> {
        self.with(|memory| memory.current(&ResourceKey::new(namespace, name), status))
    }

    /// The resource is deleted.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.with(|memory| memory.forget(&ResourceKey::new(namespace, name)));
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Memory) -> T) -> T {
        let memory = self.memory.lock();
        use_it(&mut memory.unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResourceKey {
    fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// Watches the pods of these namespaces for ever, and calls `changed` for each resource about whose last pod something
/// new is known.
pub async fn watch(
    client: Client,
    namespaces: Namespaces,
    known: LastShutdowns,
    changed: impl Fn(&ResourceKey),
) {
    // As many questions as there are programs at most: each is asked once for each pod.
    let (questions, asked) = unbounded();
    let answers = asked
        .map(|question: Question| async move {
            let answer = ask(&question).await;
            (question, answer)
        })
        .buffer_unordered(ASKED_AT_ONCE);
    let mut answers = pin!(answers);
    let mut events = events(&client, &namespaces);
    let mut listed = Listed::default();
    loop {
        tokio::select! {
            Some((namespace, event)) = events.next() => match event {
                Ok(event) => take(&known, &mut listed, namespace.as_deref(), event, &questions, &changed),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "The pods can't be watched; it is tried again"
                ),
            },
            Some((question, answer)) = answers.next() => {
                heard(&known, &question, answer, &changed);
            }
        }
    }
}

type Events = futures::stream::BoxStream<'static, (Option<String>, Result<Event<Pod>, Error>)>;

/// The events of all namespaces, each with the namespace that its watch is about.
fn events(
    client: &Client,
    namespaces: &Namespaces,
) -> impl Stream<Item = <Events as Stream>::Item> + Unpin {
    let config = Config::default()
        .labels(&names::managed_selector())
        .page_size(PAGE);
    let stream = |namespace: Option<String>, api: Api<Pod>| -> Events {
        let (patience, worked) = Patience::new();
        let events = watcher(api, config.clone()).backoff(patience);
        let events = events.inspect_ok(move |event| worked.hear(event));
        events.map(move |event| (namespace.clone(), event)).boxed()
    };
    let streams: Vec<_> = match namespaces {
        Namespaces::All => vec![stream(None, Api::all(client.clone()))],
        Namespaces::Only(names) => names
            .iter()
            .map(|name| stream(Some(name.clone()), Api::namespaced(client.clone(), name)))
            .collect(),
    };
    select_all(streams)
}

/// The pods that a list has named so far, of all watches that list at this moment.
#[derive(Default)]
struct Listed(HashSet<(Option<String>, String)>);

impl Listed {
    fn begin(&mut self, namespace: Option<&str>) {
        self.0.retain(|(of, _)| of.as_deref() != namespace);
    }

    fn end(&mut self, namespace: Option<&str>) -> HashSet<String> {
        let is_meant = |of: &Option<String>| of.as_deref() == namespace;
        let (meant, others) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(of, _)| is_meant(of));
        self.0 = others;
        let meant: HashSet<(Option<String>, String)> = meant;
        meant.into_iter().map(|(_, uid)| uid).collect()
    }
}

fn take(
    known: &LastShutdowns,
    listed: &mut Listed,
    namespace: Option<&str>,
    event: Event<Pod>,
    questions: &UnboundedSender<Question>,
    changed: &impl Fn(&ResourceKey),
) {
    match event {
        Event::Init => listed.begin(namespace),
        Event::InitApply(pod) => {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            listed.0.insert((namespace.map(str::to_owned), uid));
            seen(known, &pod, questions, changed);
        }
        Event::InitDone => {
            let uids = listed.end(namespace);
            let gone = known.with(|memory| memory.only(namespace, &uids));
            gone.iter().for_each(changed);
        }
        Event::Apply(pod) => seen(known, &pod, questions, changed),
        Event::Delete(pod) => {
            let Some(view) = PodView::of(&pod) else {
                return;
            };
            let resource = view.resource.clone();
            if known.with(|memory| memory.gone(view)) {
                changed(&resource);
            }
        }
    }
}

fn seen(
    known: &LastShutdowns,
    pod: &Pod,
    questions: &UnboundedSender<Question>,
    changed: &impl Fn(&ResourceKey),
) {
    let Some(view) = PodView::of(pod) else { return };
    let resource = view.resource.clone();
    let (new, is_new) = known.with(|memory| memory.seen(view));
    for question in new {
        // The receiver lives as long as the sender.
        drop(questions.unbounded_send(question));
    }
    if is_new {
        changed(&resource);
    }
}

fn heard(known: &LastShutdowns, question: &Question, told: Told, changed: &impl Fn(&ResourceKey)) {
    if known.with(|memory| memory.answered(question, told)) {
        changed(&question.resource);
    }
}
