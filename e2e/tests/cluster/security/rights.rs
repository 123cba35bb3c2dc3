//! The operator's rights: what its roles hold, and what the audit log says that it has used.

use std::collections::BTreeSet;

use meshcore_testkit::kubernetes::{
    AuditEntry, AuditMark, Cluster, Requests, gateway_api_crds, wait_for,
};
use serde_json::{Value, json};

use crate::scene::{self, NAMESPACE, Scene};

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: broker}
stringData: {username: mesh, password: secret}
";

/// A life with everything that a resource can ask for, and with what can go wrong.
pub(crate) async fn the_operator_uses_each_right_that_it_holds(scene: Scene) {
    // First: the operator looks for it from time to time.
    serve_routes(&scene).await;
    scene.apply(SECRET).await.unwrap();
    scene.deploy(&everything()).await;
    assert_policy(&scene).await;
    heal(&scene).await;
    remove_what_is_left(&scene).await;
    scene.change(&less()).await;
    for object in [
        "ingress/mesh",
        "networkpolicy/mesh",
        "poddisruptionbudget/mesh",
        "serviceaccount/mesh",
    ] {
        scene.wait(object, "delete").await;
    }
    scene.wait("httproute/mesh", "create").await;
    scene.change(&json!({"httpRoute": null})).await;
    scene.wait("httproute/mesh", "delete").await;
    replace_a_stuck_pod(&scene).await;

    let operator = Operator::of(scene.cluster).await;
    let (held, used) = (operator.held().await, operator.used().await);
    scene.figure("rights held", held.len(), "");
    let unused: Vec<_> = held.difference(&used).collect();
    let missing: Vec<_> = used.difference(&held).collect();
    assert!(
        unused.is_empty() && missing.is_empty(),
        "held and never used: {unused:#?}, used and not held: {missing:#?}"
    );
}

/// At the end of all tests: whatever the operator asked for, it had the right to.
pub(crate) fn nothing_was_forbidden() {
    let Some(cluster) = scene::started() else {
        return;
    };
    let ask = async {
        let operator = Operator::of(cluster).await;
        operator.requests().await.only(|entry| entry.is_forbidden)
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let forbidden = runtime.block_on(ask);
    assert_eq!(forbidden.len(), 0, "{forbidden}");
}

fn everything() -> Value {
    let source = json!({"name": "broker", "broker": "mqtt://broker:1883", "credentialsSecretRef": {"name": "broker"}});
    json!({
        "mqttSources": [source],
        "ingress": {"className": "none", "host": "mesh.example.org"},
        "networkPolicy": {"enabled": true},
        "podDisruptionBudget": {"enabled": true},
    })
}

fn less() -> Value {
    json!({
        "ingress": null,
        "httpRoute": {"parentRefs": [{"name": "gateway"}], "hostnames": ["mesh.example.org"]},
        "networkPolicy": null,
        "podDisruptionBudget": null,
        "pod": {"serviceAccountName": "default"},
    })
}

async fn serve_routes(scene: &Scene) {
    let files = gateway_api_crds().unwrap().unwrap();
    let file = files
        .iter()
        .find(|file| file.to_string_lossy().contains("httproutes"));
    let yaml = std::fs::read_to_string(file.unwrap()).unwrap();
    scene.cluster.admin().apply_yaml(&yaml).await.unwrap();
    scene.cluster.wait_for_crds().await.unwrap();
}

/// The policy as it is rendered. Nothing here enforces it.
async fn assert_policy(scene: &Scene) {
    let policy = scene
        .kubectl(&["get", "networkpolicy/mesh", "-o=json"])
        .await;
    let policy: Value = serde_json::from_str(&policy.unwrap()).unwrap();
    let labels = policy["spec"]["podSelector"]["matchLabels"].as_object();
    let labels = labels.unwrap().iter();
    let selector: Vec<_> = labels
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
        .collect();
    let pods = ["get", "pods", "-o=name", "-l", &selector.join(",")];
    assert_eq!(scene.kubectl(&pods).await.unwrap(), "pod/mesh-0\n");
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let ports = |direction: &str| {
        let rules = policy["spec"][direction].as_array().unwrap().iter();
        let ports = rules.flat_map(|rule| rule["ports"].as_array().unwrap());
        ports
            .map(|port| port["port"].as_u64().unwrap())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(ports("ingress"), [8080, 8081].into());
    assert_eq!(ports("egress"), [53, 1883].into());
}

/// Changes a Service twice in the same way: what is told twice is one event that is counted up.
async fn heal(scene: &Scene) {
    let changed = "app.kubernetes.io/name=changed";
    for _ in 0..2 {
        scene
            .kubectl(&["label", "service/mesh", "--overwrite", changed])
            .await
            .unwrap();
        let path = r"{.metadata.labels.app\.kubernetes\.io/name}";
        wait_for("the label is put back", async || {
            (scene.value("service/mesh", path).await == "meshcore").then_some(())
        })
        .await
        .unwrap();
    }
}

/// Objects of names that an earlier version could have given.
async fn remove_what_is_left(scene: &Scene) {
    let uid = scene.value("mcd/mesh", "{.metadata.uid}").await;
    for kind in ["Service", "ConfigMap"] {
        let object = json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {
                "name": "mesh-earlier",
                "labels": {"app.kubernetes.io/managed-by": "meshcore-operator", "app.kubernetes.io/instance": "mesh"},
                "ownerReferences": [{"apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
                                     "name": "mesh", "uid": uid, "controller": true}],
            },
            "spec": if kind == "Service" { json!({"ports": [{"port": 80}]}) } else { Value::Null },
        });
        scene.apply(&object.to_string()).await.unwrap();
        let name = format!("{}/mesh-earlier", kind.to_lowercase());
        scene.wait(&name, "delete").await;
    }
}

/// Makes a pod that can't start, and forbids the StatefulSet to replace it when that is corrected.
async fn replace_a_stuck_pod(scene: &Scene) {
    scene.change(&json!({"image": {"tag": "none"}})).await;
    let uid = wait_for("the pod has no image", async || {
        let pod = scene
            .kubectl(&["get", "pod/mesh-0", "-o=json"])
            .await
            .ok()?;
        let pod: Value = serde_json::from_str(&pod).ok()?;
        let state = &pod["status"]["initContainerStatuses"][0]["state"]["waiting"]["reason"];
        let is_stuck = state
            .as_str()
            .is_some_and(|reason| reason.contains("Image"));
        is_stuck.then(|| pod["metadata"]["uid"].as_str().unwrap().to_owned())
    })
    .await
    .unwrap();
    let patch = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}});
    scene.patch("statefulset/mesh", &patch).await;
    scene.change(&json!({"image": null})).await;
    wait_for("the stuck pod is deleted", async || {
        // There may be none now: of the former template, it needs an account that is gone.
        let get = [
            "get",
            "pod/mesh-0",
            "--ignore-not-found",
            "-o=jsonpath={.metadata.uid}",
        ];
        let now = scene.kubectl(&get).await.ok()?;
        (now != uid).then_some(())
    })
    .await
    .unwrap();
    let patch = json!({"spec": {"updateStrategy": {"rollingUpdate": null}}});
    scene.patch("statefulset/mesh", &patch).await;
    scene.wait("mcd/mesh", "condition=Ready").await;
}

/// The operator, as the API server knows it.
struct Operator {
    cluster: &'static Cluster,
    account: String,
}

impl Operator {
    async fn of(cluster: &'static Cluster) -> Self {
        let path = "-o=jsonpath={.items[0].spec.template.spec.serviceAccountName}";
        let arguments = ["get", "deployments", "-n", NAMESPACE, path];
        let account = cluster.admin().kubectl(&arguments).await.unwrap();
        Self { cluster, account }
    }

    /// Everything that it has ever asked for.
    async fn requests(&self) -> Requests {
        let user = format!("system:serviceaccount:{NAMESPACE}:{}", self.account);
        let all = self.cluster.audit().since(AuditMark::START).await.unwrap();
        all.by_user(&user)
    }

    async fn used(&self) -> BTreeSet<String> {
        let requests = self.requests().await;
        let granted = requests.iter().filter(|entry| !entry.is_forbidden);
        granted.flat_map(rights_of).collect()
    }

    /// The rules of the roles that are bound to its account.
    async fn held(&self) -> BTreeSet<String> {
        let bindings = ["get", "clusterrolebindings,rolebindings", "-A", "-o=json"];
        let mut rights = BTreeSet::new();
        for binding in self.items(&bindings).await {
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            let names_it = subjects
                .filter(|subject| subject["namespace"] == NAMESPACE)
                .any(|subject| subject["name"] == *self.account);
            if names_it {
                let namespace = binding["metadata"]["namespace"].as_str();
                rights.extend(self.rights_of_role(&binding["roleRef"], namespace).await);
            }
        }
        rights
    }

    async fn rights_of_role(&self, role: &Value, namespace: Option<&str>) -> BTreeSet<String> {
        let text = |name: &str| role[name].as_str().unwrap();
        let namespace = format!("--namespace={}", namespace.unwrap_or("default"));
        let get = ["get", text("kind"), text("name"), &namespace, "-o=json"];
        let role = self.cluster.admin().kubectl(&get).await.unwrap();
        let role: Value = serde_json::from_str(&role).unwrap();
        role["rules"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(rights_of_rule)
            .collect()
    }

    async fn items(&self, arguments: &[&str]) -> Vec<Value> {
        let list = self.cluster.admin().kubectl(arguments).await.unwrap();
        let mut list: Value = serde_json::from_str(&list).unwrap();
        serde_json::from_value(list["items"].take()).unwrap()
    }
}

/// The rights that a request takes: a patch that made the object takes two.
fn rights_of(entry: &AuditEntry) -> Vec<String> {
    let AuditEntry { verb, group, .. } = entry;
    if entry.resource.is_empty() {
        return Vec::new();
    }
    let mut resource = entry.resource.clone();
    if !entry.subresource.is_empty() {
        resource = format!("{resource}/{}", entry.subresource);
    }
    let mut rights = vec![format!("{group}/{resource}: {verb}")];
    if verb == "patch" && entry.code == 201 {
        rights.push(format!("{group}/{resource}: create"));
    }
    rights
}

fn rights_of_rule(rule: &Value) -> Vec<String> {
    let texts = |name: &str| {
        let list = rule[name].as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut rights = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                rights.push(format!("{group}/{resource}: {verb}"));
            }
        }
    }
    rights
}
