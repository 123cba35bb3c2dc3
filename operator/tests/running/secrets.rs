//! What is in the Secrets that a resource names goes nowhere.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, PostParams};
use meshcore_resource::{MeshCoreDeployment, crd_yaml};
use meshcore_testkit::kubernetes::{ControlPlane, Namespace, wait_for};
use serde_json::{Value, json};

use crate::operator::{Operator, SOON, account};

/// What no output of the operator may have in it, as it is and as a Secret writes it.
const CANARY: &str = "canary-3f9c";
const CANARY_IN_BASE64: &str = "Y2FuYXJ5LTNmOW";

const RESOURCE: &str = "apiVersion: meshcore.dev/v1alpha1\nkind: MeshCoreDeployment\n\
    metadata: {name: bay-area, namespace: NAMESPACE}\n\
    spec:\n  storage: {size: 1Gi}\n  channels: {keysSecretRef: {name: channels}}\n  mqttSources:\n  \
    - name: local\n    broker: mqtts://mosquitto:8883\n    credentialsSecretRef: {name: broker}\n    \
    tls: {caSecretRef: {name: ca}, clientCertSecretRef: {name: client}}\n";

/// The Secrets of the resource, and their keys.
const SECRETS: [(&str, &[&str]); 4] = [
    ("broker", &["username", "password"]),
    ("channels", &["channel-keys.yaml"]),
    ("ca", &["ca.crt"]),
    ("client", &["tls.crt", "tls.key"]),
];

struct World {
    client: kube::Client,
    namespace: Namespace,
}

impl World {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    async fn make(&self, name: &str, keys: &[&str]) {
        let values = keys.iter().map(|key| {
            let value = Value::String(format!("{CANARY}-{name}"));
            ((*key).to_owned(), value)
        });
        let data: serde_json::Map<_, _> = values.collect();
        let secret = json!({"metadata": {"name": name}, "stringData": data});
        let secret = serde_json::from_value(secret).unwrap();
        let made: Secret = self
            .api()
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
        let stored = serde_json::to_string(&made).unwrap();
        assert!(stored.contains(CANARY_IN_BASE64), "{stored}");
    }

    /// Waits until a condition has a reason and these words.
    async fn until(&self, type_: &str, reason: &str, words: &str) {
        let resources: Api<MeshCoreDeployment> = self.api();
        let mut last = None;
        let waited = wait_for(words, async || {
            last = resources.get_opt("bay-area").await.unwrap()?.status;
            let mut conditions = last.iter().flat_map(|status| &status.conditions);
            let is_so = conditions.any(|one| {
                one.type_ == type_ && one.reason == reason && one.message.contains(words)
            });
            is_so.then_some(())
        })
        .await;
        assert!(waited.is_ok(), "{type_} {reason}: {last:#?}");
    }

    /// Everything of the namespace but its Secrets, as text.
    async fn everything(&self, plane: &ControlPlane) -> String {
        let kinds = "meshcoredeployments,configmaps,persistentvolumeclaims,services,serviceaccounts,statefulsets,\
                     controllerrevisions,pods,events,leases";
        let arguments = [
            "get",
            kinds,
            "-n",
            self.namespace.name(),
            "-o",
            "json",
            "--show-managed-fields",
        ];
        plane.admin().kubectl(&arguments).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_secrets_is_neither_logged_nor_written_anywhere() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.install_crds(&crd_yaml()).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let access = account(plane, &namespace).await;
    let client = plane.client().await.unwrap();
    let world = World { client, namespace };
    for (name, keys) in SECRETS {
        // One key of two lacks at first.
        let first = if name == "broker" { &keys[..1] } else { keys };
        world.make(name, first).await;
    }
    let mark = plane.audit().mark().await.unwrap();
    let mut operator = Operator::start(&access, &world.namespace, &["--log-level", "trace"]);
    operator.wait_ready();
    let resource = RESOURCE.replace("NAMESPACE", world.namespace.name());
    plane.admin().apply_yaml(&resource).await.unwrap();
    world
        .until("Stalled", "SecretMissing", "lacks password")
        .await;
    let all = json!({"stringData": {"password": format!("{CANARY}-broker")}});
    let patch = kube::api::Patch::Merge(all);
    let secrets: Api<Secret> = world.api();
    secrets
        .patch("broker", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    // A changed resource has its Secrets looked at at once.
    plane
        .admin()
        .apply_yaml(&format!("{resource}  retention: {{nodeDays: 7}}\n"))
        .await
        .unwrap();
    world.until("Ready", "Starting", "").await;

    let requests = plane
        .audit()
        .since(mark)
        .await
        .unwrap()
        .by_user(access.user());
    let read = requests.only(|entry| entry.resource == "secrets" && entry.code == 200);
    assert!(read.len() >= 8, "each Secret was read, and again: {read}");
    let events: Api<Event> = world.api();
    let events = events.list(&ListParams::default()).await.unwrap();
    assert!(!events.items.is_empty());
    let maps: Api<ConfigMap> = world.api();
    assert!(
        !maps
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );

    let metrics = operator.get("/metrics").unwrap().1;
    let ready = operator.get("/health/ready").unwrap().1;
    let written = world.everything(plane).await;
    assert_eq!(operator.stop(SOON).code(), Some(0));
    let log = operator.program.log();
    assert!(log.contains("TRACE"), "the log has everything: {log}");
    for (place, text) in [
        ("log", log),
        ("metrics", metrics),
        ("health", ready),
        ("objects", written),
    ] {
        for canary in [CANARY, CANARY_IN_BASE64] {
            let at = text.find(canary);
            let around = at.map(|at| &text[text.floor_char_boundary(at.saturating_sub(200))..at]);
            assert_eq!(around, None, "{place} has {canary}");
        }
    }
}
