//! The desired form of an object, and its hash.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::kind::Kind;
use crate::names;

/// The desired form of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The object as it is applied, without its hash.
    value: Value,
}

impl Desired {
    /// The form of an object that was built.
    ///
    /// # Panics
    /// Never: what is built is JSON.
    pub fn new(kind: Kind, object: &impl Serialize) -> Self {
        let value = serde_json::to_value(object).expect("a built object is JSON");
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        Self {
            kind,
            name: name.to_owned(),
            value,
        }
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, name: &str, text: impl Into<String>) -> Self {
        self.value["metadata"]["annotations"][name] = text.into().into();
        self
    }

    /// The field at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    /// The object, without its hash.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The hash of the form.
    pub fn hash(&self) -> String {
        hash(&self.value)
    }

    /// What is sent: the object with its hash, for the object with `uid` only, where there is one. An API server refuses
    /// it when that one is gone, instead of making another.
    pub fn applied(&self, uid: Option<&str>) -> Value {
        let mut value = self.value.clone();
        value["metadata"]["annotations"][names::APPLIED_HASH] = self.hash().into();
        if let Some(uid) = uid {
            value["metadata"]["uid"] = json!(uid);
        }
        value
    }
}

/// The first 64 bits of SHA-256 over the compact form, in hex. The fields of objects are in order.
pub fn hash(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    hex::encode(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(port: i32) -> Desired {
        let object = json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": port}]}});
        Desired::new(Kind::Service, &object)
    }

    #[test]
    fn the_hash_is_that_of_the_form() {
        assert_eq!(service(80).hash(), service(80).hash());
        assert_ne!(service(80).hash(), service(81).hash());
        assert_eq!(service(80).hash().len(), 16);
    }

    #[test]
    fn it_is_known_where_it_was_made() {
        // Another hash would have every object of every cluster applied once more after an upgrade.
        assert_eq!(service(80).hash(), "d92e5266273d0408");
    }

    #[test]
    fn what_is_sent_carries_the_hash_of_what_it_is_without_it() {
        let sent = service(80).applied(Some("uid-1"));
        let annotation = &sent["metadata"]["annotations"][names::APPLIED_HASH];
        assert_eq!(*annotation, json!(service(80).hash()));
        assert_eq!(sent["metadata"]["uid"], json!("uid-1"));
        assert_eq!(service(80).applied(None)["metadata"].get("uid"), None);
    }
}
