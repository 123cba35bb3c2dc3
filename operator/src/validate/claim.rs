//! What may be done with the claim that holds the database, or will.

use meshcore_resource::MeshCoreDeployment;
use serde_json::Value;

use crate::apply::{Ownership, differences, is_being_deleted, ownership};
use crate::dereference::ClaimSeen;
use crate::kind::Kind;
use crate::names;
use crate::problem::Problem;
use crate::status::Reason;

/// What may be done with the claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimPlan {
    /// It may be made, adopted or grown.
    pub is_ours_to_apply: bool,
    /// A pod may be started on it. One that runs is left alone either way.
    pub may_run: bool,
    /// What is wrong with it.
    pub problem: Option<Problem>,
    /// Its UID, if a database was made on it.
    pub initialized: Option<String>,
}

/// Decides from the claim that was found, or not found, and whether a pod `is_running` on it: a ready one has made a
/// database. Of a claim that nobody knows anything about, nothing follows.
pub(super) fn plan(
    resource: &MeshCoreDeployment,
    claim: &ClaimSeen,
    is_running: bool,
) -> ClaimPlan {
    let case = Case {
        is_running,
        ..Case::new(resource)
    };
    match claim {
        ClaimSeen::Unknown => ClaimPlan::default(),
        ClaimSeen::Absent => case.without_claim(),
        ClaimSeen::There(claim) => case.with_claim(&claim.uid, &claim.value()),
    }
}

struct Case<'a> {
    resource: &'a MeshCoreDeployment,
    /// `PersistentVolumeClaim namespace/name`.
    object: String,
    /// The UID of the claim that a database was made on, unless its loss was accepted.
    expected: Option<&'a str>,
    is_running: bool,
}

impl<'a> Case<'a> {
    fn new(resource: &'a MeshCoreDeployment) -> Self {
        let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
        let name = claim_name(resource);
        let annotation = |name| resource.metadata.annotations.as_ref()?.get(name);
        let expected = initialized(resource);
        let accepted = annotation(names::ACCEPT_LOST_CLAIM).map(String::as_str);
        Self {
            resource,
            object: format!("PersistentVolumeClaim {namespace}/{name}"),
            expected: expected.filter(|uid| Some(*uid) != accepted),
            is_running: false,
        }
    }

    fn without_claim(&self) -> ClaimPlan {
        if let Some(expected) = self.expected {
            return self.lost(expected, "is gone");
        }
        let is_existing = self.resource.spec.storage.existing_claim.is_some();
        let problem = is_existing.then(|| {
            let message = format!(
                "{} of spec.storage.existingClaim does not exist; create it, and the pod starts by itself",
                self.object
            );
            Problem::new(Reason::ClaimMissing, message)
        });
        ClaimPlan {
            is_ours_to_apply: !is_existing,
            may_run: true,
            problem,
            initialized: None,
        }
    }

    fn with_claim(&self, uid: &str, claim: &Value) -> ClaimPlan {
        if let Some(expected) = self.expected.filter(|expected| *expected != uid) {
            return self.lost(expected, "is another one than before");
        }
        let is_own = self.resource.spec.storage.existing_claim.is_none();
        let refused = is_own.then(|| self.refused(uid, claim)).flatten();
        if let Some(problem) = refused {
            return ClaimPlan {
                problem: Some(problem),
                ..ClaimPlan::default()
            };
        }
        let mark = claim["metadata"]["annotations"][names::INITIALIZED_CLAIM].as_str();
        let is_initialized = self.is_running || [self.expected, mark].contains(&Some(uid));
        let initialized = is_initialized.then(|| uid.to_owned());
        if is_being_deleted(claim) {
            return ClaimPlan {
                problem: Some(self.terminating()),
                initialized,
                ..ClaimPlan::default()
            };
        }
        let problem = is_own.then(|| self.mismatch(claim)).flatten();
        ClaimPlan {
            is_ours_to_apply: is_own && problem.is_none(),
            may_run: true,
            problem,
            initialized,
        }
    }

    /// Why the claim may not be taken. One that a database of this resource is on may be, whatever its labels.
    fn refused(&self, uid: &str, claim: &Value) -> Option<Problem> {
        let name = self.resource.name();
        let own_uid = self.resource.metadata.uid.as_deref().unwrap_or_default();
        match ownership(claim, name, own_uid) {
            Ownership::Ours | Ownership::Left => None,
            Ownership::Foreign(_) if self.expected == Some(uid) => None,
            Ownership::OfAnEarlier => {
                let message = format!(
                    "{} belongs to an earlier resource of this name and is about to be deleted with it",
                    self.object
                );
                Some(Problem::new(Reason::ClaimTerminating, message))
            }
            Ownership::Foreign(why) => {
                let message = format!(
                    "{} has the name of this resource's claim, but {why}; it is left alone. To use it, name it in \
                     spec.storage.existingClaim of a new resource, or give it the labels {}={} and {}={name}",
                    self.object,
                    names::MANAGED_BY,
                    names::FIELD_MANAGER,
                    names::INSTANCE,
                );
                Some(Problem::new(Reason::NameConflict, message))
            }
        }
    }

    fn lost(&self, expected: &str, how: &str) -> ClaimPlan {
        let message = format!(
            "{} with the database (UID {expected}) {how}, and nothing is started on an empty one. Restore it, or accept \
             the loss: kubectl annotate meshcoredeployment {} {}={expected}",
            self.object,
            self.resource.name(),
            names::ACCEPT_LOST_CLAIM,
        );
        ClaimPlan {
            problem: Some(Problem::new(Reason::ClaimLost, message)),
            ..ClaimPlan::default()
        }
    }

    fn terminating(&self) -> Problem {
        let message = format!(
            "{} is being deleted, and a pod that ends now can't start again. Save the data while the pod runs; then set \
             spec.stopped to let the deletion come to its end",
            self.object
        );
        Problem::new(Reason::ClaimTerminating, message)
    }

    /// What of the claim can't be changed any more and is not as asked for.
    fn mismatch(&self, claim: &Value) -> Option<Problem> {
        let storage = &self.resource.spec.storage;
        let mode = storage.access_mode.unwrap_or_default();
        let mut wanted = serde_json::json!({"spec": {"accessModes": [mode]}});
        if let Some(class) = &storage.storage_class_name {
            wanted["spec"]["storageClassName"] = class.as_str().into();
        }
        let found = differences(Kind::Claim, &wanted, claim);
        if found.is_empty() {
            return None;
        }
        let message = format!(
            "{} exists with storageClassName {} and accessModes {}, which can't be changed; create the resource with \
             these, or move the data",
            self.object, claim["spec"]["storageClassName"], claim["spec"]["accessModes"],
        );
        Some(Problem::new(Reason::ClaimMismatch, message))
    }
}

/// The name of the claim that the database is on.
pub fn claim_name(resource: &MeshCoreDeployment) -> String {
    let existing = resource.spec.storage.existing_claim.clone();
    existing.unwrap_or_else(|| names::claim(resource.name()))
}

/// The UID of the claim that a database was made on: by the annotation, which a backup of the resource has, or by the
/// status, which is there before the annotation is.
fn initialized(resource: &MeshCoreDeployment) -> Option<&str> {
    let annotations = resource.metadata.annotations.as_ref();
    let marked = annotations.and_then(|all| all.get(names::INITIALIZED_CLAIM));
    let storage = resource
        .status
        .as_ref()
        .and_then(|status| status.storage.as_ref());
    let stated = storage.filter(|storage| storage.initialized == Some(true));
    let stated = stated.and_then(|storage| storage.claim_uid.as_ref());
    marked.or(stated).map(String::as_str)
}

#[cfg(test)]
mod tests;
