//! One object of a resource.

use kube::{Resource as _, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Key, version};
use crate::kind::Kind;
use crate::live::Live;
use crate::names;

/// An object of a resource, as it was last seen.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Box<str>,
    /// Which one it is, of all that ever had its name.
    pub uid: Box<str>,
    pub(super) version: u64,
    json: Box<[u8]>,
}

impl Child {
    /// Keeps what of an object is of use.
    pub fn of(kind: Kind, live: &Live) -> Self {
        Self {
            kind,
            name: live.name_any().into(),
            uid: live.uid().unwrap_or_default().into(),
            version: version(live),
            json: live.to_json(),
        }
    }

    /// Whether it has this kind and name; all of one resource have one namespace.
    pub fn is(&self, kind: Kind, name: &str) -> bool {
        self.kind == kind && *self.name == *name
    }

    /// The object, without `apiVersion` and `kind`.
    ///
    /// # Panics
    /// Never: it was written as JSON.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("it was written as JSON")
    }

    /// The object as a type, where it is as its type says.
    ///
    /// # Errors
    /// A field that the API server should not have let in.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.json)
    }
}

/// The resource that an object belongs to: its controller, else the one that its label names. A label may be changed
/// by anybody; pods and retained claims have nothing else.
pub(super) fn home(live: &Live) -> Option<Key> {
    let namespace = live.namespace()?;
    let is_resource = |kind: &str| kind == meshcore_resource::KIND;
    let owners = live.owner_references();
    let controller = owners
        .iter()
        .find(|owner| owner.controller == Some(true) && is_resource(&owner.kind));
    let name = match controller {
        Some(controller) => &controller.name,
        None => live.meta().labels.as_ref()?.get(names::INSTANCE)?,
    };
    Some(Key::new(&namespace, name))
}
