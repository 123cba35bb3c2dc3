//! What stands in a Lease, and what we write into it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use crate::names;

/// What a released Lease says about its duration, so that an implementation that ignores the missing holder waits no
/// longer than this.
const RELEASED_SECONDS: i32 = 1;

/// The name that one life of one process goes by in a Lease: the pod's, so that people find it, and a random part,
/// so that a restarted container is not mistaken for the one before.
///
/// # Errors
/// When the system gives no random bytes.
pub fn identity(pod: &str) -> Result<String, getrandom::Error> {
    Ok(format!("{pod}_{:016x}", getrandom::u64()?))
}

/// Who holds the Lease; nobody holds one that was released.
pub fn holder(lease: &Lease) -> Option<&str> {
    let spec = lease.spec.as_ref()?;
    spec.holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())
}

/// How long the holder said that it holds, which may be another duration than ours: it may be another version.
pub(super) fn duration(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.as_ref()?.lease_duration_seconds?;
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
}

/// Whether nobody has renewed, taken or released the Lease between the two. Labels and annotations don't count:
/// editing them renews nothing.
pub(super) fn is_unchanged(before: &Lease, after: &Lease) -> bool {
    before.spec == after.spec && before.metadata.uid == after.metadata.uid
}

/// A Lease that does not exist yet, held by `identity`.
pub(super) fn new(
    name: &str,
    namespace: &str,
    identity: &str,
    duration: Duration,
    now: Timestamp,
) -> Lease {
    let labels = BTreeMap::from([
        (
            names::MANAGED_BY.to_owned(),
            names::FIELD_MANAGER.to_owned(),
        ),
        (names::NAME.to_owned(), names::FIELD_MANAGER.to_owned()),
    ]);
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: None,
    };
    taken(&lease, identity, duration, now)
}

/// The Lease as its next holder writes it. What we don't know of it stays.
pub(super) fn taken(lease: &Lease, identity: &str, duration: Duration, now: Timestamp) -> Lease {
    let before = lease.spec.clone().unwrap_or_default();
    let transitions = match before.holder_identity.as_deref() {
        Some(holder) if holder != identity => before.lease_transitions.unwrap_or(0) + 1,
        _ => before.lease_transitions.unwrap_or(0),
    };
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(whole_seconds(duration)),
        acquire_time: Some(micro(now)),
        renew_time: Some(micro(now)),
        lease_transitions: Some(transitions),
        ..before
    };
    Lease {
        spec: Some(spec),
        ..lease.clone()
    }
}

/// The Lease as its holder renews it.
pub(super) fn renewed(lease: &Lease, duration: Duration, now: Timestamp) -> Lease {
    let mut lease = lease.clone();
    let spec = lease.spec.get_or_insert_default();
    spec.renew_time = Some(micro(now));
    spec.lease_duration_seconds = Some(whole_seconds(duration));
    lease
}

/// The Lease as its holder gives it back: nobody's, and free at once.
pub(super) fn released(lease: &Lease, now: Timestamp) -> Lease {
    let mut lease = lease.clone();
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(RELEASED_SECONDS);
    spec.renew_time = Some(micro(now));
    lease
}

/// The server keeps microseconds, so ours have no more, or what it answers would look like another record.
fn micro(now: Timestamp) -> MicroTime {
    MicroTime(now.round(Unit::Microsecond).unwrap_or(now))
}

fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs().max(1)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn two_lives_of_one_pod_have_two_identities() {
        let (one, other) = (
            identity("operator-0").unwrap(),
            identity("operator-0").unwrap(),
        );
        assert_ne!(one, other);
        assert!(one.starts_with("operator-0_"), "{one}");
    }

    #[test]
    fn taking_from_somebody_is_a_transition_and_taking_back_is_none() {
        let mine = new("lease", "ns", "a", DURATION, at(0));
        assert_eq!(holder(&mine), Some("a"));
        assert_eq!(duration(&mine), Some(DURATION));
        let again = taken(&mine, "a", DURATION, at(1));
        assert_eq!(again.spec.unwrap().lease_transitions, Some(0));
        let theirs = taken(&mine, "b", DURATION, at(1));
        assert_eq!(theirs.spec.unwrap().lease_transitions, Some(1));
        let released = released(&mine, at(1));
        assert_eq!(holder(&released), None);
        let next = taken(&released, "a", DURATION, at(2));
        assert_eq!(next.spec.unwrap().lease_transitions, Some(1));
    }

    #[test]
    fn a_renewal_keeps_what_it_does_not_know() {
        let mut lease = new("lease", "ns", "a", DURATION, at(0));
        lease.metadata.annotations = Some(BTreeMap::from([("theirs".to_owned(), "x".to_owned())]));
        lease.spec.as_mut().unwrap().strategy = Some("OldestEmulationVersion".to_owned());
        let renewed = renewed(&lease, DURATION, at(2));
        assert!(!is_unchanged(&lease, &renewed));
        assert_eq!(renewed.metadata, lease.metadata);
        let (before, after) = (lease.spec.unwrap(), renewed.spec.unwrap());
        assert_eq!(after.strategy, before.strategy);
        assert_eq!(after.acquire_time, before.acquire_time);
        assert_eq!(after.renew_time, Some(MicroTime(at(2))));
    }

    #[test]
    fn an_annotation_renews_nothing_but_another_object_does() {
        let lease = new("lease", "ns", "a", DURATION, at(0));
        let mut annotated = lease.clone();
        annotated.metadata.annotations = Some(BTreeMap::new());
        annotated.metadata.resource_version = Some("2".to_owned());
        assert!(is_unchanged(&lease, &annotated));
        annotated.metadata.uid = Some("other".to_owned());
        assert!(!is_unchanged(&lease, &annotated));
    }

    #[test]
    fn a_nonsensical_duration_counts_as_none() {
        let mut lease = new("lease", "ns", "a", DURATION, at(0));
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(-1);
        assert_eq!(duration(&lease), None);
    }
}
