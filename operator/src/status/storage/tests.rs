#![expect(
    clippy::needless_pass_by_value,
    reason = "a test reads better without & before each json!"
)]

use serde_json::{Value, json};

use super::super::conditions::Truth;
use super::*;

fn claim(requested: &str, status: Value) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"uid": "1"},
        "spec": {"resources": {"requests": {"storage": requested}}},
        "status": status,
    }))
    .unwrap()
}

fn bound(requested: &str, capacity: &str) -> PersistentVolumeClaim {
    claim(
        requested,
        json!({"phase": "Bound", "capacity": {"storage": capacity}}),
    )
}

#[test]
fn a_claim_is_ready_when_it_is_bound() {
    for (phase, truth, reason) in [
        ("Bound", Truth::True, Reason::ClaimBound),
        ("Pending", Truth::False, Reason::ClaimPending),
        ("Lost", Truth::False, Reason::VolumeLost),
    ] {
        let finding = ready("mesh-data", Some(&claim("1Gi", json!({"phase": phase}))));
        assert_eq!((finding.truth, finding.reason), (truth, reason));
    }
    assert_eq!(ready("mesh-data", None).reason, Reason::ClaimMissing);
}

#[test]
fn a_claim_that_is_being_deleted_is_not_ready_though_bound() {
    let mut claim = bound("1Gi", "1Gi");
    claim.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-11-21T00:00:00Z")).unwrap();
    assert_eq!(
        ready("mesh-data", Some(&claim)).reason,
        Reason::ClaimTerminating
    );
}

#[test]
fn it_grows_while_it_asks_for_more_than_it_has() {
    for (requested, capacity, reason) in [
        ("2Gi", "1Gi", Reason::Growing),
        ("1024Mi", "1Gi", Reason::AsRequested),
        ("1Gi", "2Gi", Reason::AsRequested),
    ] {
        let finding = resizing("mesh-data", Some(&bound(requested, capacity)));
        assert_eq!(finding.reason, reason, "{requested} {capacity}");
    }
    assert_eq!(resizing("mesh-data", None).truth, Truth::False);
}

#[test]
fn a_volume_that_does_not_grow_says_why() {
    let told = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}, "conditions": [
        {"type": "ControllerResizeError", "status": "True", "message": "no room"},
    ]});
    let found = json!({"phase": "Bound", "capacity": {"storage": "1Gi"},
        "allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"}});
    for (status, why) in [(told, "no room"), (found, "ControllerResizeInfeasible")] {
        let finding = resizing("mesh-data", Some(&claim("2Gi", status)));
        assert_eq!(finding.reason, Reason::ResizeFailed);
        assert!(finding.message.contains(why) && finding.message.contains("spec.storage.size"));
    }
}

#[test]
fn the_status_has_what_the_claim_has() {
    let status = storage("mesh-data", Some(&bound("2Gi", "1Gi")), true);
    let expected = json!({"claimName": "mesh-data", "claimUID": "1", "requested": "2Gi", "capacity": "1Gi",
        "initialized": true});
    assert_eq!(serde_json::to_value(status).unwrap(), expected);
}

#[test]
fn a_full_volume_is_full_until_somebody_says_otherwise() {
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
    );
    let full = pressure("mesh-data", &Pressure::Full("no room".to_owned()), &[]);
    assert_eq!((full.truth, full.reason), (Truth::True, Reason::DiskFull));
    assert!(full.message.contains("mesh-data") && full.message.contains("no room"));
    let known = super::super::conditions(vec![full.clone()], &[], Some(1), &now);
    assert_eq!(pressure("mesh-data", &Pressure::Unknown, &known), full);
    for (now, before) in [(Pressure::Room, known.as_slice()), (Pressure::Unknown, &[])] {
        let finding = pressure("mesh-data", &now, before);
        assert_eq!(
            (finding.truth, finding.reason),
            (Truth::False, Reason::HasRoom)
        );
    }
}
