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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, resource};
    use super::*;

    fn context(wish: &Value) -> Value {
        json_of(&of_pod(
            &resource(json!({"pod": {"securityContext": wish}})).spec.pod,
        ))
    }

    #[test]
    fn without_a_word_the_pod_has_our_user_and_group() {
        let context = json_of(&of_pod(&resource(json!({})).spec.pod));
        assert_eq!(
            context,
            json!({
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            })
        );
    }

    #[test]
    fn wishes_go_over_ours_field_by_field() {
        let wish =
            json!({"fsGroup": 2000, "fsGroupChangePolicy": "Always", "supplementalGroups": [3000]});
        assert_eq!(
            context(&wish),
            json!({
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 2000,
                "fsGroupChangePolicy": "Always",
                "supplementalGroups": [3000],
                "seccompProfile": {"type": "RuntimeDefault"},
            })
        );
    }

    /// On `OpenShift` a number that is not the namespace's own is refused.
    #[test]
    fn a_context_without_numbers_leaves_them_to_the_cluster() {
        for wish in [json!({}), json!({"seLinuxOptions": {"level": "s0:c1,c2"}})] {
            let context = context(&wish);
            for id in ["runAsUser", "runAsGroup", "fsGroup"] {
                assert!(context.get(id).is_none(), "{context}");
            }
            assert_eq!(context["runAsNonRoot"], true);
        }
    }

    #[test]
    fn a_container_may_do_nothing_special() {
        assert_eq!(
            json_of(&of_container()),
            json!({
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            })
        );
    }
}
