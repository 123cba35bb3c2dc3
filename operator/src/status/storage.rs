//! How the claim is.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use meshcore_resource::StorageStatus;

use super::conditions::{Finding, Type};
use super::reason::Reason;
use crate::pressure::Pressure;
use meshcore_resource::Amount;

/// The part of the status that is about the claim.
pub(super) fn storage(
    name: &str,
    claim: Option<&PersistentVolumeClaim>,
    is_initialized: bool,
) -> StorageStatus {
    StorageStatus {
        claim_name: Some(name.to_owned()),
        claim_uid: claim.and_then(|claim| claim.metadata.uid.clone()),
        requested: claim.and_then(requested).map(str::to_owned),
        capacity: claim.and_then(capacity).map(str::to_owned),
        initialized: Some(is_initialized),
    }
}

/// Whether the claim is bound. The pod does not wait for it: a volume may be made only when a pod wants it.
pub(super) fn ready(name: &str, claim: Option<&PersistentVolumeClaim>) -> Finding {
    let finding = |truth: bool, reason, message: String| {
        Finding::new(Type::StorageReady, truth, reason, message)
    };
    let Some(claim) = claim else {
        return finding(
            false,
            Reason::ClaimMissing,
            format!("PersistentVolumeClaim {name} does not exist"),
        );
    };
    if claim.metadata.deletion_timestamp.is_some() {
        let message = format!("PersistentVolumeClaim {name} is being deleted");
        return finding(false, Reason::ClaimTerminating, message);
    }
    match phase(claim) {
        "Bound" => finding(
            true,
            Reason::ClaimBound,
            format!("PersistentVolumeClaim {name} is bound"),
        ),
        "Lost" => {
            let message = format!("The volume of PersistentVolumeClaim {name} is gone; restore it");
            finding(false, Reason::VolumeLost, message)
        }
        _ => {
            let message = format!(
                "PersistentVolumeClaim {name} has no volume yet; with many storage classes it gets one when the pod \
                 has a machine. If it stays so: kubectl describe pvc {name}"
            );
            finding(false, Reason::ClaimPending, message)
        }
    }
}

/// Whether the volume is growing.
pub(super) fn resizing(name: &str, claim: Option<&PersistentVolumeClaim>) -> Finding {
    let finding = |truth: bool, reason, message: String| {
        Finding::new(Type::StorageResizing, truth, reason, message)
    };
    let sizes = claim.and_then(|claim| Some((requested(claim)?, capacity(claim)?)));
    let Some((requested, capacity)) = sizes else {
        return finding(false, Reason::AsRequested, String::new());
    };
    if Amount::parse(requested) <= Amount::parse(capacity) {
        return finding(false, Reason::AsRequested, String::new());
    }
    let growth = format!("PersistentVolumeClaim {name} has {capacity} and asks for {requested}");
    match claim.and_then(refusal) {
        Some(why) => {
            let message = format!(
                "{growth}, and the volume does not grow: {why}. Set spec.storage.size to what there is room for, \
                 {capacity} at least"
            );
            finding(true, Reason::ResizeFailed, message)
        }
        None => finding(true, Reason::Growing, growth),
    }
}

/// Whether the volume is full. While nobody can say, it is as it was.
pub(super) fn pressure(name: &str, pressure: &Pressure, previous: &[Condition]) -> Finding {
    let type_ = Type::StoragePressure;
    let mut last = previous.iter();
    let last = last.find(|last| last.type_ == type_.as_str() && last.status == "True");
    let message = match (pressure, last) {
        (Pressure::Full(why), _) => {
            format!("The volume of PersistentVolumeClaim {name} is full: {why}")
        }
        (Pressure::Unknown, Some(last)) => last.message.clone(),
        (Pressure::Unknown, None) | (Pressure::Room, _) => {
            return Finding::new(type_, false, Reason::HasRoom, "");
        }
    };
    Finding::new(type_, true, Reason::DiskFull, message)
}

/// The claim's phase; empty before anybody looked at it.
fn phase(claim: &PersistentVolumeClaim) -> &str {
    let status = claim.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

fn requested(claim: &PersistentVolumeClaim) -> Option<&str> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    Some(&requests.get("storage")?.0)
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<&str> {
    Some(&claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0)
}

/// Why the volume does not grow, where the cluster says so.
fn refusal(claim: &PersistentVolumeClaim) -> Option<String> {
    let status = claim.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    let mut errors = conditions.filter(|condition| {
        matches!(
            condition.type_.as_str(),
            "ControllerResizeError" | "NodeResizeError"
        ) && condition.status == "True"
    });
    if let Some(error) = errors.next() {
        return error.message.clone().or_else(|| error.reason.clone());
    }
    let resize = status
        .allocated_resource_statuses
        .as_ref()?
        .get("storage")?;
    resize.ends_with("Infeasible").then(|| resize.clone())
}

/// Whether the claim keeps the resource from being as asked for; a volume that is growing does not.
pub(super) fn is_lost(claim: Option<&PersistentVolumeClaim>) -> bool {
    claim.is_some_and(|claim| phase(claim) == "Lost")
}

#[cfg(test)]
mod tests;
