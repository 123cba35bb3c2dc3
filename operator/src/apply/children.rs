//! One object: looked for, compared, applied or deleted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Change, Desired, Ownership, What, Work, differences, ownership};
use crate::api::{ApiError, Trouble};
use crate::cache::Child;
use crate::controller::Overruled;
use crate::kind::Kind;
use crate::names;
use crate::problem::Problem;
use crate::status::Reason;
use crate::validate::Plan;

/// Kinds of which an object of ours that is no longer asked for is deleted. A claim holds data, a configuration may be
/// in use, and the StatefulSet is always asked for.
const PRUNED: [Kind; 6] = [
    Kind::ServiceAccount,
    Kind::Service,
    Kind::Ingress,
    Kind::HttpRoute,
    Kind::NetworkPolicy,
    Kind::PodDisruptionBudget,
];

impl Work<'_> {
    /// Makes the object as it is desired, and gives it as it is then; `None` where it could not be, which is noted.
    pub(super) async fn ensure(
        &mut self,
        desired: &Desired,
    ) -> Result<Option<Arc<Child>>, ApiError> {
        let done = self.try_ensure(desired).await;
        self.or_noted(done)
    }

    /// The object of a kind and name: the cached one, or what the API server says. A watch may be behind, and does not
    /// see what lacks our label.
    pub(super) async fn find(
        &mut self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Arc<Child>>, ApiError> {
        if let Some(child) = self.children.iter().find(|child| child.is(kind, name)) {
            return Ok(Some(Arc::clone(child)));
        }
        if self.absent.contains(&(kind, name.to_owned())) {
            return Ok(None);
        }
        let live = self.objects().get(kind, name).await?;
        let child = live.map(|live| Arc::new(Child::of(kind, &live)));
        match &child {
            Some(child) => self.children.push(Arc::clone(child)),
            None => drop(self.absent.insert((kind, name.to_owned()))),
        }
        Ok(child)
    }

    /// Deletes objects of ours that are not desired.
    pub(super) async fn prune(&mut self, desired: &[Desired]) -> Result<(), ApiError> {
        let is_desired = |child: &Child| desired.iter().any(|one| child.is(one.kind, &one.name));
        let surplus: Vec<_> = self
            .children
            .iter()
            .filter(|child| PRUNED.contains(&child.kind) && !is_desired(child))
            .cloned()
            .collect();
        for child in surplus {
            let value = child.value();
            let is_ours = ownership(&value, &self.key.name, self.uid()) == Ownership::Ours;
            if is_ours && !is_being_deleted(&value) && !self.is_unserved_route(child.kind) {
                let deleted = self.delete(&child).await;
                self.or_noted(deleted.map(Some))?;
            }
        }
        Ok(())
    }

    /// Deletes an object, and notes it.
    pub(super) async fn delete(&mut self, child: &Child) -> Result<(), ApiError> {
        self.objects()
            .delete(child.kind, &child.name, &child.uid)
            .await?;
        self.note(child.kind, &child.name, What::Deleted);
        Ok(())
    }

    /// What failed, as a note; only an API server that does not answer ends the work.
    pub(super) fn or_noted<T>(
        &mut self,
        done: Result<Option<T>, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        let error = match done {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match error.trouble() {
            Trouble::Lasting(problem) => self.applied.problems.push(problem),
            Trouble::Passing if !error.was_answered() => return Err(error),
            Trouble::Passing => drop(self.applied.failure.get_or_insert(error)),
        }
        Ok(None)
    }

    async fn try_ensure(&mut self, desired: &Desired) -> Result<Option<Arc<Child>>, ApiError> {
        let Some(child) = self.find(desired.kind, &desired.name).await? else {
            return self.send(desired, None, What::Created).await.map(Some);
        };
        let live = child.value();
        if !self.may_write(desired, &live) {
            return Ok(None);
        }
        let found = differences(desired.kind, desired.value(), &live);
        let is_same_form = annotation(&live, names::APPLIED_HASH) == Some(&desired.hash());
        if is_same_form && (found.is_empty() || self.is_overruled(desired, &found)) {
            return Ok(Some(child));
        }
        let what = if is_same_form {
            What::Healed(found)
        } else {
            What::Updated
        };
        self.send(desired, Some(&child.uid), what).await.map(Some)
    }

    async fn send(
        &mut self,
        desired: &Desired,
        uid: Option<&str>,
        what: What,
    ) -> Result<Arc<Child>, ApiError> {
        let Desired { kind, name, .. } = desired;
        let mut applied = self
            .objects()
            .apply(*kind, name, &desired.applied(uid))
            .await;
        if let (Err(error), What::Healed(fields), Some(uid)) = (&applied, &what, uid)
            && error.is_invalid()
        {
            self.clear(desired, uid, fields).await?;
            applied = self
                .objects()
                .apply(*kind, name, &desired.applied(Some(uid)))
                .await;
        }
        let child = Arc::new(applied?);
        self.children.retain(|other| !other.is(*kind, name));
        self.children.push(Arc::clone(&child));
        self.remember_overruled(desired, &child.value());
        self.note(*kind, name, what);
        Ok(child)
    }

    /// Puts whole fields back that somebody has changed. An apply adds items to a list and removes none of others: where
    /// the port of a Service was edited, it would have two of one name, which the API server refuses.
    async fn clear(&self, desired: &Desired, uid: &str, fields: &[String]) -> Result<(), ApiError> {
        let mut patch = json!({"metadata": {"uid": uid}});
        for field in fields {
            let list = field.split('[').next().unwrap_or(field);
            let pointer = format!("/{}", list.replace('.', "/"));
            if let Some(value) = desired.at(&pointer).filter(|value| value.is_array()) {
                set(&mut patch, list, value);
            }
        }
        self.objects()
            .merge(desired.kind, &desired.name, &patch)
            .await
    }

    /// Whether the object may be written: it is ours, or was left for us, and is not being deleted. If not, that is
    /// noted.
    fn may_write(&mut self, desired: &Desired, live: &Value) -> bool {
        let object = format!(
            "{} {}/{}",
            desired.kind.name(),
            self.key.namespace,
            desired.name
        );
        let owner = match desired.kind {
            // The plan has decided about it already; it may be ours although its labels are gone.
            Kind::Claim => Ownership::Left,
            _ => ownership(live, &self.key.name, self.uid()),
        };
        match owner {
            Ownership::Foreign(why) => {
                let message = format!(
                    "{object} has the name of an object that this resource needs, but {why}; it is left \
                     alone. Delete or rename it, or give this resource another name"
                );
                self.applied
                    .problems
                    .push(Problem::new(Reason::NameConflict, message));
                false
            }
            Ownership::OfAnEarlier => {
                let waits =
                    format!("{object} of an earlier resource of this name is being collected");
                self.applied.waiting.push(waits);
                false
            }
            Ownership::Ours | Ownership::Left if is_being_deleted(live) => {
                self.applied
                    .waiting
                    .push(format!("{object} is being deleted"));
                false
            }
            Ownership::Ours | Ownership::Left => true,
        }
    }

    fn is_overruled(&self, desired: &Desired, found: &[String]) -> bool {
        let id = (desired.kind, desired.name.clone());
        let overruled = self.memory.overruled.get(&id);
        overruled.is_some_and(|last| last.hash == desired.hash() && last.paths == found)
    }

    fn remember_overruled(&mut self, desired: &Desired, live: &Value) {
        let id = (desired.kind, desired.name.clone());
        let paths = differences(desired.kind, desired.value(), live);
        if paths.is_empty() {
            self.memory.overruled.remove(&id);
            return;
        }
        let fields = paths.join(", ");
        tracing::warn!(
            kind = desired.kind.name(),
            name = desired.name,
            fields,
            "Fields come back otherwise than they were applied; they are left so"
        );
        let hash = desired.hash();
        self.memory.overruled.insert(id, Overruled { hash, paths });
    }

    fn note(&mut self, kind: Kind, name: &str, what: What) {
        let name = name.to_owned();
        self.applied.changes.push(Change { kind, name, what });
    }

    /// A route is no surplus while nobody knows whether the cluster serves routes.
    fn is_unserved_route(&self, kind: Kind) -> bool {
        kind == Kind::HttpRoute && self.resource.spec.http_route.is_some()
    }
}

/// The claim with the mark that a database is on it, which a resource that adopts it finds.
pub(super) fn marked(claim: Desired, plan: &Plan) -> Desired {
    match &plan.claim.initialized {
        Some(uid) => claim.annotated(names::INITIALIZED_CLAIM, uid),
        None => claim,
    }
}

/// Sets a field by its path.
fn set(object: &mut Value, path: &str, value: &Value) {
    let field = path
        .split('.')
        .fold(object, |object, name| &mut object[name]);
    *field = value.clone();
}

/// An annotation of an object.
pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

/// Whether an object is being deleted.
pub(crate) fn is_being_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}
