//! What the pod may do: what the restricted Pod Security Standard allows, and no more.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};
use meshcore_resource::PodSettings;

/// User and group of both containers: they share the files of the database.
const ID: i64 = 65_532;

/// The pod's context: ours, with the resource's wishes over it.
///
/// A context that names none of user, group and `fsGroup` leaves all three to the cluster: `OpenShift` gives each
/// namespace numbers of its own and refuses others.
pub(super) fn of_pod(pod: &PodSettings) -> PodSecurityContext {
    let mut context = PodSecurityContext {
        run_as_non_root: Some(true),
        // Going through all files of a large volume at each start would take minutes.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    };
    let theirs = pod.security_context.as_ref();
    if theirs.is_none_or(names_an_identity) {
        context.run_as_user = Some(ID);
        context.run_as_group = Some(ID);
        context.fs_group = Some(ID);
    }
    if let Some(theirs) = theirs {
        context.merge_from(theirs.clone());
    }
    context
}

fn names_an_identity(context: &PodSecurityContext) -> bool {
    let ids = [context.run_as_user, context.run_as_group, context.fs_group];
    ids.iter().any(Option::is_some)
}

/// Each container's context.
pub(super) fn of_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}
