//! What the operator may do, each with its reason: the one place from which the roles of the chart and of the
//! manifests are made.

/// Verbs on resources of one API group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty is the core group.
    pub group: &'static str,
    /// The resources, in plural.
    pub resources: &'static [&'static str],
    /// What may be done to them.
    pub verbs: &'static [&'static str],
    /// Why; a comment of the generated role.
    pub reason: &'static str,
}

/// Needed wherever resources are: in the cluster, or in each namespace that is watched.
pub const WATCHED: &[Rule] = &[
    Rule {
        group: "meshcore.dev",
        resources: &["meshcoredeployments"],
        verbs: &["list", "watch", "patch"],
        reason: "Reads the resources. Patches one annotation, which remembers the claim that holds a database; \
                 never the spec.",
    },
    Rule {
        group: "meshcore.dev",
        resources: &["meshcoredeployments/status"],
        verbs: &["patch"],
        reason: "Says how a resource is.",
    },
    Rule {
        group: "apps",
        resources: &["statefulsets"],
        verbs: &["get", "list", "watch", "create", "patch"],
        reason: "The pod's StatefulSet. It is deleted only with its resource, by the garbage collector.",
    },
    Rule {
        group: "apps",
        resources: &["controllerrevisions"],
        verbs: &["list"],
        reason: "Which old configurations a rollback could still name.",
    },
    Rule {
        group: "",
        resources: &["persistentvolumeclaims"],
        verbs: &["get", "list", "watch", "create", "patch"],
        reason: "The database's claim. The operator can't delete one.",
    },
    Rule {
        group: "",
        resources: &["configmaps", "services", "serviceaccounts"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        reason: "The programs' configuration, and how the pod is reached. Deleted when the resource asks for them \
                 no longer.",
    },
    Rule {
        group: "",
        resources: &["pods"],
        verbs: &["list", "watch", "delete"],
        reason: "How the last stop went. Deletes a pod that is stuck on an old, broken revision.",
    },
    Rule {
        group: "",
        resources: &["secrets"],
        verbs: &["get"],
        reason: "Names a Secret or key that is missing. No list, no watch: only Secrets that a resource names are \
                 read, and their values go nowhere.",
    },
    Rule {
        group: "networking.k8s.io",
        resources: &["ingresses", "networkpolicies"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        reason: "Made where the resource asks for them, deleted when it does so no longer.",
    },
    Rule {
        group: "gateway.networking.k8s.io",
        resources: &["httproutes"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        reason: "The same, where the cluster serves the Gateway API.",
    },
    Rule {
        group: "policy",
        resources: &["poddisruptionbudgets"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        reason: "The same.",
    },
    Rule {
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["create", "patch"],
        reason: "Tells people what happened to a resource.",
    },
];

/// Needed in the operator's own namespace only.
pub const OWN_NAMESPACE: &[Rule] = &[Rule {
    group: "coordination.k8s.io",
    resources: &["leases"],
    verbs: &["get", "create", "update"],
    reason: "One operator at a time: the Lease is made when the first one starts.",
}];

/// For people with the cluster's role `view`.
pub const VIEW: &[Rule] = &[Rule {
    group: "meshcore.dev",
    resources: &["meshcoredeployments"],
    verbs: &["get", "list", "watch"],
    reason: "Whoever may view a namespace may view its analyzers.",
}];

/// For people with the cluster's roles `edit` and `admin`. Whoever may write a resource may run a pod of their own
/// making in its namespace, as with a Deployment.
pub const EDIT: &[Rule] = &[Rule {
    group: "meshcore.dev",
    resources: &["meshcoredeployments"],
    verbs: &["create", "update", "patch", "delete", "deletecollection"],
    reason: "Whoever may edit a namespace may edit its analyzers.",
}];

/// The rules as a YAML list, as `rules:` of a role has it.
pub fn yaml(rules: &[Rule]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for rule in rules {
        let list = |words: &[&str]| words.join(", ");
        let group = match rule.group {
            "" => "\"\"",
            group => group,
        };
        writeln!(text, "# {}", rule.reason).expect("a String takes all text");
        writeln!(
            text,
            "- apiGroups: [{group}]\n  resources: [{}]\n  verbs: [{}]",
            list(rule.resources),
            list(rule.verbs)
        )
        .expect("a String takes all text");
    }
    text
}
