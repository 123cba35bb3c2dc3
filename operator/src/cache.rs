//! What the watches have seen: the resources, and beside each the objects that are its own.
//!
//! Objects are kept as JSON text, a few kilobytes each. As Kubernetes' own types they would take five times that, and
//! all but the few of the resource at hand lie unused.

mod child;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;

use crate::kind::Kind;
use crate::live::Live;
pub use child::Child;

/// The namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// A key of its parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of an object.
    pub fn of(live: &Live) -> Self {
        Self::new(&live.namespace().unwrap_or_default(), &live.name_any())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A resource as it was last seen. It is read at each reconcile, so that one that can't be read stops nothing else.
#[derive(Debug)]
pub struct CachedResource {
    /// Which one it is, of all that ever had its name.
    pub uid: Box<str>,
    /// The resource as JSON text.
    pub json: Box<[u8]>,
    version: u64,
    /// Whatever of it concerns the operator, as one number: not its status.
    concern: u64,
}

/// What the watches have seen.
#[derive(Debug, Default)]
pub struct Cache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    resources: HashMap<Key, Arc<CachedResource>>,
    /// The children of each resource, also of one that is not there.
    children: HashMap<Key, Vec<Arc<Child>>>,
    /// Whose child an object is, for when its labels change.
    homes: HashMap<(Kind, Key), Key>,
}

/// Where a view of an object comes from, and so whether an older one may replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A list: right, whatever was known.
    List,
    /// A watch, or the answer to a request: only as good as it is new.
    Update,
}

impl Cache {
    /// Keeps a resource. Its key, if something changed that concerns the operator.
    pub fn put_resource(&self, live: &Live, origin: Origin) -> Option<Key> {
        let key = Key::of(live);
        let seen = CachedResource::of(live);
        let mut inner = self.lock();
        let known = inner.resources.get(&key);
        if known.is_some_and(|known| origin == Origin::Update && known.version > seen.version) {
            return None;
        }
        let is_news =
            known.is_none_or(|known| (&known.uid, known.concern) != (&seen.uid, seen.concern));
        inner.resources.insert(key.clone(), Arc::new(seen));
        is_news.then_some(key)
    }

    /// Forgets a resource that was deleted. Its key, if it was known.
    pub fn remove_resource(&self, live: &Live) -> Option<Key> {
        let key = Key::of(live);
        let mut inner = self.lock();
        let known = inner.resources.get(&key)?;
        if known.version > version(live) {
            return None;
        }
        inner.resources.remove(&key);
        Some(key)
    }

    /// Forgets the resources of a list's namespace, or of all, that the list does not have.
    pub fn retain_resources(&self, namespace: Option<&str>, listed: &HashSet<Key>) -> Vec<Key> {
        let mut inner = self.lock();
        let gone = missing(inner.resources.keys(), namespace, listed);
        for key in &gone {
            inner.resources.remove(key);
        }
        gone
    }

    /// The resource, if it is there.
    pub fn resource(&self, key: &Key) -> Option<Arc<CachedResource>> {
        self.lock().resources.get(key).cloned()
    }

    /// The keys of all resources.
    pub fn keys(&self) -> Vec<Key> {
        self.lock().resources.keys().cloned().collect()
    }

    /// Keeps a child. The key of its resource, if it is news.
    pub fn put(&self, kind: Kind, live: &Live, origin: Origin) -> Option<Key> {
        let home = child::home(live)?;
        let id = (kind, Key::of(live));
        let seen = Child::of(kind, live);
        let mut inner = self.lock();
        if let Some(known) = inner.child(&id) {
            let is_same = known.uid == seen.uid && known.version == seen.version;
            let is_older = origin == Origin::Update && known.version > seen.version;
            if is_same || is_older {
                return None;
            }
        }
        inner.remove(&id);
        inner.homes.insert(id, home.clone());
        inner
            .children
            .entry(home.clone())
            .or_default()
            .push(Arc::new(seen));
        Some(home)
    }

    /// Forgets a child that was deleted, or is not ours any more. The key of its resource, if it was known.
    pub fn remove(&self, kind: Kind, live: &Live) -> Option<Key> {
        let id = (kind, Key::of(live));
        let mut inner = self.lock();
        if inner.child(&id)?.version > version(live) {
            return None;
        }
        inner.remove(&id)
    }

    /// Forgets the children of a kind in a list's namespace, or in all, that the list does not have. The keys of their
    /// resources.
    pub fn retain(&self, kind: Kind, namespace: Option<&str>, listed: &HashSet<Key>) -> Vec<Key> {
        let mut inner = self.lock();
        let known = inner.homes.keys().filter(|(other, _)| *other == kind);
        let gone = missing(known.map(|(_, key)| key), namespace, listed);
        gone.into_iter()
            .filter_map(|key| inner.remove(&(kind, key)))
            .collect()
    }

    /// The children of a resource.
    pub fn children(&self, key: &Key) -> Vec<Arc<Child>> {
        self.lock().children.get(key).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics with the lock held but for want of memory.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn child(&self, id: &(Kind, Key)) -> Option<&Arc<Child>> {
        let siblings = self.children.get(self.homes.get(id)?)?;
        siblings.iter().find(|child| child.is(id.0, &id.1.name))
    }

    fn remove(&mut self, id: &(Kind, Key)) -> Option<Key> {
        let home = self.homes.remove(id)?;
        let siblings = self.children.get_mut(&home)?;
        siblings.retain(|child| !child.is(id.0, &id.1.name));
        if siblings.is_empty() {
            self.children.remove(&home);
        }
        Some(home)
    }
}

impl CachedResource {
    fn of(live: &Live) -> Self {
        Self {
            uid: live.uid().unwrap_or_default().into(),
            json: live.to_json(),
            version: version(live),
            concern: concern(live),
        }
    }
}

/// What of a resource's metadata tells that there is something to do. The generation stands for the spec; a status
/// that we wrote changes nothing of it.
fn concern(live: &Live) -> u64 {
    let metadata = kube::Resource::meta(live);
    let mut hasher = DefaultHasher::new();
    metadata.generation.hash(&mut hasher);
    metadata.labels.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.finalizers.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    hasher.finish()
}

/// The resource version as the number that it is.
fn version(live: &Live) -> u64 {
    let version = live.resource_version();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

fn missing<'a>(
    known: impl Iterator<Item = &'a Key>,
    namespace: Option<&str>,
    listed: &HashSet<Key>,
) -> Vec<Key> {
    let in_scope =
        known.filter(|key| namespace.is_none_or(|namespace| *key.namespace == *namespace));
    in_scope
        .filter(|key| !listed.contains(key))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
