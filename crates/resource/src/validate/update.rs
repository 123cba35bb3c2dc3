//! The rules between an object and what it was before.

use super::{Violations, at};
use crate::quantity::Amount;
use crate::{MeshCoreDeployment, rules};

pub(super) fn check(
    new: &MeshCoreDeployment,
    old: &MeshCoreDeployment,
    violations: &mut Violations,
) {
    let (storage, before) = (&new.spec.storage, &old.spec.storage);
    let keeps_class = storage.storage_class_name == before.storage_class_name;
    violations.unless(keeps_class, "", &rules::CLASS_STAYS);
    let mode = storage.access_mode.unwrap_or_default();
    let keeps_mode = mode == before.access_mode.unwrap_or_default();
    violations.unless(keeps_mode, "", &rules::MODE_STAYS);
    let keeps_claim = storage.existing_claim == before.existing_claim;
    violations.unless(keeps_claim, "", &rules::CLAIM_STAYS);
    check_size(new, old, violations);
}

fn check_size(new: &MeshCoreDeployment, old: &MeshCoreDeployment, violations: &mut Violations) {
    let (Some(size), Some(before)) = (&new.spec.storage.size, &old.spec.storage.size) else {
        return;
    };
    let status = old
        .status
        .as_ref()
        .and_then(|status| status.storage.as_ref());
    let capacity = status.and_then(|storage| storage.capacity.as_ref());
    let (Some(wanted), Some(least)) = (Amount::parse(size), Amount::parse(before)) else {
        return;
    };
    let reached = capacity.and_then(|capacity| Amount::parse(capacity));
    if wanted >= least || reached.is_some_and(|reached| wanted >= reached) {
        return;
    }
    let path = at("", &rules::SIZE_GROWS);
    violations.add(
        path,
        format!(
            "cannot shrink; write {} or more",
            capacity.unwrap_or(before)
        ),
    );
}
