//! The claim of the database.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use meshcore_resource::{AccessMode, MeshCoreDeployment, ReclaimPolicy, Storage};

use super::{LiveClaim, metadata};
use crate::names;
use crate::quantity::Amount;

/// The claim, if it is to be ours. Only one that goes with the resource is owned by it.
pub(super) fn build(
    resource: &MeshCoreDeployment,
    live: Option<&LiveClaim>,
) -> Option<PersistentVolumeClaim> {
    let storage = &resource.spec.storage;
    if storage.existing_claim.is_some() {
        return None;
    }
    let wanted = Quantity(storage.size.clone()?);
    let name = names::claim(metadata::name(resource));
    Some(PersistentVolumeClaim {
        metadata: match storage.reclaim_policy.unwrap_or_default() {
            ReclaimPolicy::Delete => metadata::owned(resource, name),
            ReclaimPolicy::Retain => metadata::kept(resource, name),
        },
        spec: Some(spec(storage, size(wanted, live))),
        status: None,
    })
}

fn spec(storage: &Storage, size: Quantity) -> PersistentVolumeClaimSpec {
    let mode = match storage.access_mode.unwrap_or_default() {
        AccessMode::ReadWriteOnce => "ReadWriteOnce",
        AccessMode::ReadWriteOncePod => "ReadWriteOncePod",
    };
    PersistentVolumeClaimSpec {
        access_modes: Some(vec![mode.to_owned()]),
        storage_class_name: storage.storage_class_name.clone(),
        resources: Some(VolumeResourceRequirements {
            requests: Some([("storage".to_owned(), size)].into()),
            limits: None,
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}

/// What to request: what is wanted, but never less than the live claim requests. A volume can't shrink, and an API
/// server refuses the attempt.
///
/// The exception is a growth that did not come about: as long as the volume is smaller than what is requested of it,
/// the request may go back to anything above what the volume has.
fn size(wanted: Quantity, live: Option<&LiveClaim>) -> Quantity {
    let amount = |quantity: &Quantity| Amount::parse(&quantity.0);
    let Some(requested) = live.and_then(|live| live.requested.as_ref()) else {
        return wanted;
    };
    let capacity = live
        .and_then(|live| live.capacity.as_ref())
        .and_then(amount);
    let is_growth = amount(&wanted) >= amount(requested);
    let takes_growth_back =
        capacity.is_some_and(|has| amount(&wanted) > Some(has) && amount(requested) > Some(has));
    if is_growth || takes_growth_back {
        wanted
    } else {
        requested.clone()
    }
}
