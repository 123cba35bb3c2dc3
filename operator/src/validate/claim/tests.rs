#![expect(
    clippy::needless_pass_by_value,
    reason = "a test reads better without & before each json!"
)]

use serde_json::json;

use std::sync::Arc;

use super::*;
use crate::cache::Child;
use crate::live::Live;

const MARK: &str = "meshcore.dev/initialized-claim";
const ACCEPT: &str = "meshcore.dev/accept-lost-claim";

fn resource(storage: Value, annotations: Value) -> MeshCoreDeployment {
    serde_json::from_value(json!({
        "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
        "metadata": {"name": "mesh", "namespace": "ns", "uid": "owner", "annotations": annotations},
        "spec": {"mqttSources": [], "storage": storage},
    }))
    .unwrap()
}

fn own(annotations: Value) -> MeshCoreDeployment {
    resource(json!({"size": "1Gi"}), annotations)
}

fn claim(uid: &str, more: Value) -> Child {
    let mut metadata = json!({"name": "mesh-data", "namespace": "ns", "uid": uid, "labels": {
        "app.kubernetes.io/managed-by": "meshcore-operator", "app.kubernetes.io/instance": "mesh",
    }});
    metadata
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "fast"});
    let text = json!({"metadata": metadata, "spec": spec}).to_string();
    Child::of(Kind::Claim, &serde_json::from_str::<Live>(&text).unwrap())
}

/// The plan for a claim that is there, or is not.
fn plan(resource: &MeshCoreDeployment, claim: Option<&Child>) -> ClaimPlan {
    let claim = claim.map(|claim| ClaimSeen::There(Arc::new(claim.clone())));
    super::plan(resource, &claim.unwrap_or(ClaimSeen::Absent), false)
}

fn reason(plan: &ClaimPlan) -> Option<Reason> {
    plan.problem.as_ref().map(|problem| problem.reason)
}

fn is_blocked(plan: &ClaimPlan) -> bool {
    !plan.is_ours_to_apply && !plan.may_run
}

#[test]
fn a_claim_that_never_was_is_made() {
    let plan = plan(&own(json!({})), None);
    assert!(plan.is_ours_to_apply && plan.may_run && plan.problem.is_none());
}

#[test]
fn a_retained_claim_is_adopted_with_what_is_on_it() {
    let found = claim("c1", json!({"annotations": {MARK: "c1"}}));
    let plan = plan(&own(json!({})), Some(&found));
    assert!(plan.is_ours_to_apply && plan.may_run && plan.problem.is_none());
    assert_eq!(plan.initialized.as_deref(), Some("c1"));
}

#[test]
fn a_mark_of_another_claim_means_nothing() {
    // A backup of the claim's manifest has it, and the volume is a new one.
    let found = claim("c2", json!({"annotations": {MARK: "c1"}}));
    assert_eq!(plan(&own(json!({})), Some(&found)).initialized, None);
}

#[test]
fn a_lost_claim_blocks_until_its_loss_is_accepted() {
    let lost = plan(&own(json!({MARK: "c1"})), None);
    assert!(is_blocked(&lost));
    assert_eq!(reason(&lost), Some(Reason::ClaimLost));
    let message = lost.problem.unwrap().message;
    assert!(
        message.contains("meshcore.dev/accept-lost-claim=c1"),
        "{message}"
    );

    let wrong = plan(&own(json!({MARK: "c1", ACCEPT: "c0"})), None);
    assert!(is_blocked(&wrong));
    let accepted = plan(&own(json!({MARK: "c1", ACCEPT: "c1"})), None);
    assert!(accepted.is_ours_to_apply && accepted.may_run);
}

#[test]
fn another_claim_in_the_place_of_a_lost_one_is_not_used_either() {
    let other = claim("c2", json!({}));
    let plan_of = |annotations| plan(&own(annotations), Some(&other));
    let lost = plan_of(json!({MARK: "c1"}));
    assert!(is_blocked(&lost) && reason(&lost) == Some(Reason::ClaimLost));
    assert!(plan_of(json!({MARK: "c1", ACCEPT: "c1"})).may_run);
}

#[test]
fn the_status_remembers_a_claim_before_the_annotation_does() {
    let mut resource = own(json!({}));
    resource.status =
        serde_json::from_value(json!({"storage": {"claimUID": "c1", "initialized": true}}))
            .unwrap();
    assert_eq!(reason(&plan(&resource, None)), Some(Reason::ClaimLost));
    resource.status =
        serde_json::from_value(json!({"storage": {"claimUID": "c1", "initialized": false}}))
            .unwrap();
    assert_eq!(reason(&plan(&resource, None)), None);
}

#[test]
fn nothing_is_started_on_a_claim_that_is_being_deleted() {
    let found = claim("c1", json!({"deletionTimestamp": "2026-11-21T00:00:00Z"}));
    let plan = plan(&own(json!({MARK: "c1"})), Some(&found));
    assert!(is_blocked(&plan));
    assert_eq!(reason(&plan), Some(Reason::ClaimTerminating));
    assert_eq!(plan.initialized.as_deref(), Some("c1"));
}

#[test]
fn a_foreign_claim_is_left_alone() {
    let owner = |kind, uid| json!([{"apiVersion": "v1", "kind": kind, "name": "mesh", "uid": uid, "controller": true}]);
    for (more, expected) in [
        (json!({"labels": {}}), Reason::NameConflict),
        (
            json!({"ownerReferences": owner("StatefulSet", "x")}),
            Reason::NameConflict,
        ),
        (
            json!({"ownerReferences": owner("MeshCoreDeployment", "earlier")}),
            Reason::ClaimTerminating,
        ),
    ] {
        let plan = plan(&own(json!({})), Some(&claim("c1", more)));
        assert!(is_blocked(&plan));
        assert_eq!(reason(&plan), Some(expected));
    }
    let ours = claim(
        "c1",
        json!({"ownerReferences": owner("MeshCoreDeployment", "owner")}),
    );
    assert!(plan(&own(json!({})), Some(&ours)).is_ours_to_apply);
}

#[test]
fn the_claim_with_the_database_is_ours_whatever_its_labels() {
    let bare = claim("c1", json!({"labels": {}}));
    assert!(plan(&own(json!({MARK: "c1"})), Some(&bare)).is_ours_to_apply);
}

#[test]
fn a_claim_of_another_class_is_used_but_not_changed() {
    let wanted = json!({"size": "1Gi", "storageClassName": "slow"});
    let plan = plan(&resource(wanted, json!({})), Some(&claim("c1", json!({}))));
    assert!(!plan.is_ours_to_apply && plan.may_run);
    assert_eq!(reason(&plan), Some(Reason::ClaimMismatch));
    assert!(
        plan.problem
            .unwrap()
            .message
            .contains("storageClassName \"fast\"")
    );
}

#[test]
fn an_existing_claim_is_waited_for_and_never_written() {
    let wanted = || resource(json!({"existingClaim": "theirs"}), json!({}));
    let missing = plan(&wanted(), None);
    assert!(!missing.is_ours_to_apply && missing.may_run);
    assert_eq!(reason(&missing), Some(Reason::ClaimMissing));
    let found = plan(&wanted(), Some(&claim("c1", json!({"labels": {}}))));
    assert!(!found.is_ours_to_apply && found.may_run && found.problem.is_none());
}

#[test]
fn nothing_follows_from_a_claim_that_could_not_be_asked_for() {
    for annotations in [json!({}), json!({MARK: "c1"})] {
        let plan = super::plan(&own(annotations), &ClaimSeen::Unknown, true);
        assert!(is_blocked(&plan) && plan.problem.is_none());
    }
}

#[test]
fn a_ready_pod_makes_its_claim_one_with_a_database() {
    let seen = |more| ClaimSeen::There(Arc::new(claim("c1", more)));
    let of = |more, is_running| super::plan(&own(json!({})), &seen(more), is_running).initialized;
    assert_eq!(of(json!({}), false), None);
    assert_eq!(of(json!({}), true).as_deref(), Some("c1"));
    assert_eq!(
        of(json!({"labels": {}}), true),
        None,
        "a foreign claim is none of ours"
    );
}
