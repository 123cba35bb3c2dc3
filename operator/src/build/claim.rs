//! The claim of the database.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use meshcore_resource::{AccessMode, Amount, MeshCoreDeployment, ReclaimPolicy, Storage};

use super::{LiveClaim, metadata};
use crate::names;

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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, labels, metadata, resource};
    use super::*;

    fn built(storage: &Value, live: Option<&LiveClaim>) -> Option<PersistentVolumeClaim> {
        build(&resource(json!({ "storage": storage })), live)
    }

    /// A claim that stays belongs to nobody: garbage collection would take it with the resource. A new resource of the
    /// same name adopts it by its name and its labels.
    #[test]
    fn a_claim_stays_unless_told_otherwise() {
        assert_eq!(
            json_of(&built(&json!({"size": "10Gi"}), None)),
            json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "bay-data", "namespace": "mesh", "labels": labels()},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            })
        );
    }

    #[test]
    fn a_claim_that_is_to_go_is_owned() {
        let storage = json!({
            "size": "1Ti",
            "storageClassName": "fast",
            "accessMode": "ReadWriteOncePod",
            "reclaimPolicy": "Delete",
        });
        assert_eq!(
            json_of(&built(&storage, None)),
            json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata("bay-data"),
                "spec": {
                    "accessModes": ["ReadWriteOncePod"],
                    "storageClassName": "fast",
                    "resources": {"requests": {"storage": "1Ti"}},
                },
            })
        );
    }

    #[test]
    fn a_claim_that_exists_is_not_made() {
        assert_eq!(built(&json!({"existingClaim": "mine"}), None), None);
    }

    #[test]
    fn the_size_never_goes_below_what_is_requested_but_after_a_failed_growth() {
        for (wanted, requested, capacity, asked_for) in [
            // A growth, and the same in another spelling: the resource's own words.
            ("20Gi", "10Gi", Some("10Gi"), "20Gi"),
            ("10240Mi", "10Gi", Some("10Gi"), "10240Mi"),
            // Adopted, or from before the rules: a volume can't shrink.
            ("5Gi", "10Gi", Some("10Gi"), "10Gi"),
            // Some drivers give more than was asked for.
            ("5Gi", "10Gi", Some("12Gi"), "10Gi"),
            // Grown to 20Gi in vain. It may go back to anything above what the volume has.
            ("15Gi", "20Gi", Some("10Gi"), "15Gi"),
            ("10Gi", "20Gi", Some("10Gi"), "20Gi"),
            ("5Gi", "20Gi", Some("10Gi"), "20Gi"),
            // Not bound yet.
            ("5Gi", "10Gi", None, "10Gi"),
        ] {
            let live = LiveClaim {
                requested: Some(Quantity(requested.to_owned())),
                capacity: capacity.map(|text| Quantity(text.to_owned())),
            };
            let claim = built(&json!({ "size": wanted }), Some(&live));
            let request = json_of(&claim)["spec"]["resources"]["requests"]["storage"].clone();
            assert_eq!(
                request, asked_for,
                "{wanted} of {requested} with {capacity:?}"
            );
        }
    }
}
