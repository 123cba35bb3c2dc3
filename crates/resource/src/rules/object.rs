//! Rules between fields. Those between an object and what it was before stand at the root: a rule further below is
//! not asked when its parent is removed.

use schemars::Schema;
use schemars::transform::Transform;

use super::Sentence::{Cel, Fixed};
use super::{ObjectRule, Text, add};

/// A name: RFC 1035, at most 40 characters.
macro_rules! name {
    () => {
        "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
    };
}

/// A key of labels and annotations.
macro_rules! key {
    () => {
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    };
}

/// A broker without TLS.
macro_rules! without_tls {
    () => {
        "^(mqtt|ws)://"
    };
}

/// What [`NAME`] asks for.
pub(crate) const NAME_PATTERN: &str = name!();
/// What [`KEYS`] ask for.
pub(crate) const KEY_PATTERN: &str = key!();
/// What [`TLS_NEEDS_SCHEME`] refuses.
pub(crate) const WITHOUT_TLS_PATTERN: &str = without_tls!();

/// Puts rules on an object.
pub(crate) struct Rules<'a>(pub(crate) &'a [&'a ObjectRule]);

impl Transform for Rules<'_> {
    fn transform(&mut self, schema: &mut Schema) {
        add(schema, self.0.iter().map(|rule| rule.rule()));
    }
}

/// Says what texts the items of a list have, by the names of their fields.
pub(crate) struct ItemTexts<'a>(pub(crate) &'a [(&'a str, &'static Text)]);

impl Transform for ItemTexts<'_> {
    fn transform(&mut self, schema: &mut Schema) {
        for (field, mut text) in self.0.iter().copied() {
            let field = schema.pointer_mut(&format!("/items/properties/{field}"));
            let field = field.expect("the items have the field, as a test shows");
            text.transform(field.try_into().expect("a field has a schema"));
        }
    }
}

/// Bounds a map, and puts rules on its keys.
pub(crate) struct Map<'a> {
    pub(crate) values: &'static Text,
    pub(crate) rules: &'a [&'a ObjectRule],
}

impl Transform for Map<'_> {
    fn transform(&mut self, schema: &mut Schema) {
        schema.insert("maxProperties".to_owned(), 64.into());
        (&*self.values).transform(schema);
        Rules(self.rules).transform(schema);
    }
}

// === the name ===

/// Names of children, such as `<name>-data`, and their pods are made from it.
pub(crate) static NAME: ObjectRule = ObjectRule {
    cel: concat!("self.metadata.name.matches(r'", name!(), "')"),
    message: Fixed(
        "must be 1 to 40 lower-case letters, digits and -, beginning with a letter and not ending with -, such as \
         bay-area",
    ),
    field: ".metadata.name",
};

// === what can't be changed ===

pub(crate) static CLASS_STAYS: ObjectRule = ObjectRule {
    cel: "has(self.spec.storage.storageClassName) == has(oldSelf.spec.storage.storageClassName) && \
          (!has(self.spec.storage.storageClassName) || \
          self.spec.storage.storageClassName == oldSelf.spec.storage.storageClassName)",
    message: Fixed(
        "cannot be changed, a claim keeps its class; put it back, or make a new resource and move the data",
    ),
    field: ".spec.storage.storageClassName",
};

pub(crate) static MODE_STAYS: ObjectRule = ObjectRule {
    cel: "(has(self.spec.storage.accessMode) ? self.spec.storage.accessMode : 'ReadWriteOnce') == \
          (has(oldSelf.spec.storage.accessMode) ? oldSelf.spec.storage.accessMode : 'ReadWriteOnce')",
    message: Fixed(
        "cannot be changed, a claim keeps its access mode; put it back, or make a new resource and move the data",
    ),
    field: ".spec.storage.accessMode",
};

pub(crate) static CLAIM_STAYS: ObjectRule = ObjectRule {
    cel: "has(self.spec.storage.existingClaim) == has(oldSelf.spec.storage.existingClaim) && \
          (!has(self.spec.storage.existingClaim) || \
          self.spec.storage.existingClaim == oldSelf.spec.storage.existingClaim)",
    message: Fixed(
        "cannot be changed, the database would be another one; put it back, or make a new resource",
    ),
    field: ".spec.storage.existingClaim",
};

/// A size that the storage could not reach may be lowered again, to what the claim has.
pub(crate) static SIZE_GROWS: ObjectRule = ObjectRule {
    cel: "!has(self.spec.storage.size) || !has(oldSelf.spec.storage.size) || \
          self.spec.storage.size == oldSelf.spec.storage.size || \
          !isQuantity(self.spec.storage.size) || !isQuantity(oldSelf.spec.storage.size) || \
          quantity(self.spec.storage.size).compareTo(quantity(oldSelf.spec.storage.size)) >= 0 || \
          (has(oldSelf.status) && has(oldSelf.status.storage) && has(oldSelf.status.storage.capacity) && \
          isQuantity(oldSelf.status.storage.capacity) && \
          quantity(self.spec.storage.size).compareTo(quantity(oldSelf.status.storage.capacity)) >= 0)",
    message: Cel(
        "'cannot shrink; write ' + (has(oldSelf.status) && has(oldSelf.status.storage) && \
         has(oldSelf.status.storage.capacity) ? oldSelf.status.storage.capacity : oldSelf.spec.storage.size) + ' or more'",
    ),
    field: ".spec.storage.size",
};

// === the spec ===

pub(crate) static ONE_ROUTE: ObjectRule = ObjectRule {
    cel: "!(has(self.ingress) && has(self.httpRoute))",
    message: Fixed("cannot go with spec.ingress; remove one of them"),
    field: ".httpRoute",
};

pub(crate) static BUDGET_SUM: ObjectRule = ObjectRule {
    cel: "self.preStopSeconds + self.serverDrainSeconds + self.ingestorDrainSeconds + self.checkpointSeconds + \
          self.marginSeconds <= 3600",
    message: Fixed("the parts add up to more than 3600 s; lower one of them"),
    field: "",
};

pub(crate) static MARGIN: ObjectRule = ObjectRule {
    cel: "self.marginSeconds >= 5",
    message: Fixed("must be 5 or more; the processes need it to exit"),
    field: ".marginSeconds",
};

// === a source ===

pub(crate) static TLS_NEEDS_SCHEME: ObjectRule = ObjectRule {
    cel: concat!(
        "!has(self.tls) || !self.broker.matches(r'",
        without_tls!(),
        "')"
    ),
    message: Fixed(
        "means nothing for a broker without TLS; write mqtts:// or wss://, or remove it",
    ),
    field: ".tls",
};

// === a variable ===

pub(crate) static VALUE_OR_FROM: ObjectRule = ObjectRule {
    cel: "!(has(self.value) && has(self.valueFrom))",
    message: Fixed("has both value and valueFrom; remove one of them"),
    field: "",
};

pub(crate) static ONE_VALUE_FROM: ObjectRule = ObjectRule {
    cel: "[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef), has(self.resourceFieldRef), \
          has(self.fileKeyRef)].filter(is, is).size() == 1",
    message: Fixed(
        "must name exactly one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef and fileKeyRef",
    ),
    field: "",
};

// === resources of a container ===

pub(crate) static REQUESTS_WITHIN_LIMITS: ObjectRule = ObjectRule {
    cel: "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || \
          !isQuantity(string(self.requests[name])) || !isQuantity(string(self.limits[name])) || \
          quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
    message: Fixed("a request is above its limit; lower it, or raise the limit"),
    field: ".requests",
};

pub(crate) static LIMITS: ObjectRule = ObjectRule {
    cel: "!has(self.limits) || self.limits.all(name, isQuantity(string(self.limits[name])))",
    message: Fixed("each must be a quantity, such as 250m or 256Mi"),
    field: ".limits",
};

pub(crate) static REQUESTS: ObjectRule = ObjectRule {
    cel: "!has(self.requests) || self.requests.all(name, isQuantity(string(self.requests[name])))",
    message: Fixed("each must be a quantity, such as 250m or 256Mi"),
    field: ".requests",
};

/// Rules of `resources`.
pub(crate) static RESOURCES: [&ObjectRule; 3] = [&LIMITS, &REQUESTS, &REQUESTS_WITHIN_LIMITS];

// === storage ===

pub(crate) static SIZE_OR_CLAIM: ObjectRule = ObjectRule {
    cel: "has(self.size) || has(self.existingClaim)",
    message: Fixed("has neither size nor existingClaim; write for example size: 10Gi"),
    field: "",
};

/// Rules of `storage`.
pub(crate) static STORAGE: [&ObjectRule; 5] = [
    &SIZE_OR_CLAIM,
    &CLAIM_WITHOUT_SIZE,
    &CLAIM_WITHOUT_CLASS,
    &CLAIM_WITHOUT_MODE,
    &CLAIM_WITHOUT_POLICY,
];

pub(crate) static CLAIM_WITHOUT_SIZE: ObjectRule = ObjectRule {
    cel: "!(has(self.existingClaim) && has(self.size))",
    message: ALONE,
    field: ".size",
};

pub(crate) static CLAIM_WITHOUT_CLASS: ObjectRule = ObjectRule {
    cel: "!(has(self.existingClaim) && has(self.storageClassName))",
    message: ALONE,
    field: ".storageClassName",
};

pub(crate) static CLAIM_WITHOUT_MODE: ObjectRule = ObjectRule {
    cel: "!(has(self.existingClaim) && has(self.accessMode))",
    message: ALONE,
    field: ".accessMode",
};

pub(crate) static CLAIM_WITHOUT_POLICY: ObjectRule = ObjectRule {
    cel: "!(has(self.existingClaim) && has(self.reclaimPolicy))",
    message: ALONE,
    field: ".reclaimPolicy",
};

/// What is said of whatever stands beside `existingClaim`.
const ALONE: super::Sentence =
    Fixed("cannot go with existingClaim, which stands alone; remove one of them");

// === labels and annotations ===

/// Rules of labels that get onto the pod.
pub(crate) static LABELS: [&ObjectRule; 2] = [&KEYS, &LABELS_NOT_OURS];
/// Rules of annotations.
pub(crate) static ANNOTATIONS: [&ObjectRule; 2] = [&KEYS, &ANNOTATIONS_NOT_OURS];
/// Rules of a selector.
pub(crate) static SELECTOR: [&ObjectRule; 1] = [&KEYS];

pub(crate) static KEYS: ObjectRule = ObjectRule {
    cel: concat!("self.all(key, key.matches(r'", key!(), "'))"),
    message: Fixed(
        "a key must be 1 to 63 letters, digits, -, _ and ., beginning and ending with a letter or digit, with or \
         without a DNS name and / in front, as in example.org/key",
    ),
    field: "",
};

pub(crate) static LABELS_NOT_OURS: ObjectRule = ObjectRule {
    cel: "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('meshcore.dev/'))",
    message: Fixed(
        "keys that begin with app.kubernetes.io/ or meshcore.dev/ are the operator's own; take another",
    ),
    field: "",
};

pub(crate) static ANNOTATIONS_NOT_OURS: ObjectRule = ObjectRule {
    cel: "self.all(key, !key.startsWith('meshcore.dev/'))",
    message: Fixed("keys that begin with meshcore.dev/ are the operator's own; take another"),
    field: "",
};

// === volumes of the pod ===

pub(crate) static MOUNTS_HAVE_VOLUMES: ObjectRule = ObjectRule {
    cel: "!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.volumes) && \
          self.volumes.exists(volume, volume.name == mount.name))",
    message: Fixed("names a volume that spec.pod.volumes does not have; add it there"),
    field: ".volumeMounts",
};
