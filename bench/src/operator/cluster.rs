//! A control plane with the definition of the resource, and an operator's account with the rights of its role.

use anyhow::Result;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use meshcore_operator::rbac::{OWN_NAMESPACE, Rule, WATCHED};
use meshcore_testkit::kubernetes::{Access, ControlPlane};
use serde_json::{Value, json};

/// Where the operator's Lease is.
pub(super) const SYSTEM: &str = "meshcore-system";
/// Where the resources are.
pub(super) const MESHES: &str = "meshes";
/// Where everything else is.
pub(super) const OTHERS: &str = "others";
const ACCOUNT: &str = "meshcore-operator";

/// A control plane to measure on.
pub(super) struct Cluster {
    pub(super) plane: ControlPlane,
    /// The operator's account.
    pub(super) operator: Access,
    /// With all rights.
    pub(super) admin: Client,
}

impl Cluster {
    /// Installs the definition, three namespaces, the account and its roles.
    pub(super) async fn prepare(plane: ControlPlane) -> Result<Self> {
        plane.install_crds(&meshcore_resource::crd_yaml()).await?;
        let namespaces = [SYSTEM, MESHES, OTHERS].map(namespace);
        plane.admin().apply_yaml(&list(&namespaces)).await?;
        let operator = plane.service_account(SYSTEM, ACCOUNT).await?;
        plane.admin().apply_yaml(&list(&roles())).await?;
        Ok(Self {
            admin: plane.client().await?,
            operator,
            plane,
        })
    }

    /// Objects of a kind in a namespace, with all rights.
    pub(super) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.admin.clone(), namespace)
    }
}

/// The profile of the whole cluster, as the chart installs it.
fn roles() -> [Value; 4] {
    [
        role("ClusterRole", None, WATCHED),
        binding("ClusterRoleBinding", "ClusterRole", None),
        role("Role", Some(SYSTEM), OWN_NAMESPACE),
        binding("RoleBinding", "Role", Some(SYSTEM)),
    ]
}

fn role(kind: &str, namespace: Option<&str>, rules: &[Rule]) -> Value {
    let rules = rules.iter().map(
        |rule| json!({"apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs}),
    );
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": ACCOUNT, "namespace": namespace},
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn binding(kind: &str, role: &str, namespace: Option<&str>) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": ACCOUNT, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}],
    })
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// Objects as one document for kubectl.
fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}
