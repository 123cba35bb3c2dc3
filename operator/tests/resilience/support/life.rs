//! The life of a resource in stages, each of which ends in a state that is known.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use meshcore_resource::MeshCoreDeployment;
use serde_json::{Value, json};

use super::invariants::unused_configurations;
use super::picture::{Picture, difference, picture};
use super::witness::{Happening, Id, Witness};

/// The resource's name.
pub(crate) const NAME: &str = "mesh";

/// A part of the life of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// It is created, with most of what can be asked for.
    Create,
    /// Others delete and change its objects, and write fields that are none of ours.
    Drift,
    /// Another configuration, and without the ingress.
    Change,
    /// `spec.stopped`, with another configuration.
    Stop,
    /// It is started again, with another configuration: the first one is in no revision any more.
    Start,
    /// It is deleted.
    Delete,
}

impl Stage {
    pub(crate) const ALL: [Self; 6] = [
        Self::Create,
        Self::Drift,
        Self::Change,
        Self::Stop,
        Self::Start,
        Self::Delete,
    ];

    /// What the resource asks for.
    fn spec(self) -> Value {
        let mut spec = json!({
            "mqttSources": [{
                "name": "local", "broker": "mqtt://mosquitto:1883",
                "credentialsSecretRef": {"name": "mosquitto"},
            }],
            "storage": {"size": "1Gi"},
            "networkPolicy": {"enabled": true},
            "podDisruptionBudget": {"enabled": true},
            "retention": {"packetDays": self as u8 + 1},
            "service": {"annotations": {"stage": format!("{:?}", self.max(Self::Drift))}},
            "stopped": self == Self::Stop,
        });
        if self < Self::Change {
            spec["ingress"] = json!({"host": "mesh.example.org"});
            spec["retention"]["packetDays"] = 1.into();
        }
        spec
    }

    /// The reason of `Ready=True` that it comes to.
    fn reason(self) -> &'static str {
        if self == Self::Stop {
            "Stopped"
        } else {
            "Available"
        }
    }
}

/// A namespace in which a resource lives.
pub(crate) struct Life<'a> {
    client: Client,
    namespace: &'a str,
    witness: &'a Witness,
    /// The generation that was asked for last.
    generation: i64,
    /// The UID of the Service and the form of the `NetworkPolicy` before others came at them.
    before_drift: (Value, Value),
    /// What has happened so far.
    pub(crate) log: Vec<Happening>,
}

impl<'a> Life<'a> {
    pub(crate) async fn new(client: Client, namespace: &'a str, witness: &'a Witness) -> Self {
        let life = Self {
            client,
            namespace,
            witness,
            generation: 0,
            before_drift: Default::default(),
            log: Vec::new(),
        };
        life.make_secret().await;
        witness.take_log(namespace);
        life
    }

    /// Asks for a stage, as a user does.
    pub(crate) async fn ask(&mut self, stage: Stage) {
        match stage {
            Stage::Drift => self.drift().await,
            Stage::Delete => {
                self.api::<MeshCoreDeployment>()
                    .delete(NAME, &DeleteParams::background())
                    .await
                    .unwrap();
            }
            _ => self.apply(stage.spec()).await,
        }
    }

    /// Waits until the stage has come to an end, and gives the picture then.
    pub(crate) async fn until(&mut self, stage: Stage, limit: Duration) -> Picture {
        let is_done = || match stage {
            Stage::Delete => self.is_gone(),
            Stage::Drift => self.is_settled(stage) && self.is_healed(),
            _ => self.is_settled(stage),
        };
        let done = self.witness.until(limit, is_done).await;
        done.unwrap_or_else(|| panic!("{stage:?} has no end:\n{:#?}", self.see()));
        self.see()
    }

    /// Waits until nothing is left but the claim.
    ///
    /// # Errors
    /// What is left after `limit`.
    pub(crate) async fn until_gone(&mut self, limit: Duration) -> Result<(), String> {
        let gone = self.witness.until(limit, || self.is_gone()).await;
        let left = self.see();
        gone.ok_or_else(|| format!("{:?} stay", left.keys()))
    }

    /// Waits until the objects look like this.
    ///
    /// # Errors
    /// What is otherwise after `limit`.
    pub(crate) async fn until_like(
        &mut self,
        expected: &Picture,
        limit: Duration,
    ) -> Result<(), String> {
        let (witness, namespace) = (self.witness, self.namespace);
        let log = &mut self.log;
        let mut look = || {
            log.extend(witness.take_log(namespace));
            picture(namespace, &witness.objects(namespace), log)
        };
        let alike = witness.until(limit, || look() == *expected).await;
        alike.ok_or_else(|| difference(expected, &look()))
    }

    /// The objects as they are now.
    pub(crate) fn see(&mut self) -> Picture {
        self.log.extend(self.witness.take_log(self.namespace));
        picture(
            self.namespace,
            &self.witness.objects(self.namespace),
            &self.log,
        )
    }

    /// Removes what outlives a resource.
    pub(crate) async fn bury(self) {
        let claims = self.api::<PersistentVolumeClaim>();
        claims
            .delete_collection(&DeleteParams::default(), &kube::api::ListParams::default())
            .await
            .unwrap();
        let gone = self
            .witness
            .until(Duration::from_mins(1), || {
                self.witness.objects(self.namespace).is_empty()
            })
            .await;
        gone.unwrap_or_else(|| panic!("{:?} stays", self.witness.objects(self.namespace)));
        self.witness.take_log(self.namespace);
    }

    /// Whether nothing is left but the claim.
    fn is_gone(&self) -> bool {
        let objects = self.witness.objects(self.namespace);
        objects.keys().all(|id| id.kind == "PersistentVolumeClaim")
    }

    /// Whether everybody has done what there was to do.
    fn is_settled(&self, stage: Stage) -> bool {
        let objects = self.witness.objects(self.namespace);
        let of = |kind: &'static str| objects.iter().filter(move |(id, _)| id.kind == kind);
        let mut resources = of("MeshCoreDeployment");
        resources.any(|(_, resource)| self.is_ready(stage, resource))
            && of("StatefulSet").all(|(_, set)| is_rolled_out(set))
            && unused_configurations(&objects).is_empty()
    }

    fn is_ready(&self, stage: Stage, resource: &Value) -> bool {
        let generation = &resource["metadata"]["generation"];
        let mut conditions = resource["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten();
        // What the witness sees may be older than what was asked for.
        *generation == self.generation
            && conditions.any(|condition| {
                condition["type"] == "Ready"
                    && condition["status"] == "True"
                    && condition["reason"] == stage.reason()
                    && condition["observedGeneration"] == *generation
            })
    }

    /// Whether what others deleted and changed is as it was.
    fn is_healed(&self) -> bool {
        let (service, policy) = self.drifting();
        service.is_string() && service != self.before_drift.0 && policy == self.before_drift.1
    }

    /// What others will delete and change.
    fn drifting(&self) -> (Value, Value) {
        let objects = self.witness.objects(self.namespace);
        let named = |kind: &'static str| {
            let name = NAME.to_owned();
            objects.get(&Id { kind, name }).cloned().unwrap_or_default()
        };
        let service = named("Service")["metadata"]["uid"].clone();
        (service, named("NetworkPolicy")["spec"].clone())
    }

    async fn apply(&mut self, spec: Value) {
        let object = json!({
            "apiVersion": "meshcore.dev/v1alpha1", "kind": "MeshCoreDeployment",
            "metadata": {"name": NAME, "namespace": self.namespace}, "spec": spec,
        });
        let params = PatchParams::apply("user").force();
        let api = self.api::<MeshCoreDeployment>();
        let applied = api.patch(NAME, &params, &Patch::Apply(object)).await;
        self.generation = applied.unwrap().metadata.generation.unwrap();
    }

    async fn drift(&mut self) {
        self.before_drift = self.drifting();
        let foreign = json!({"metadata": {"annotations": {"example.org/foreign": "stays"}, "labels": {"foreign": "stays"}}});
        let params = PatchParams {
            field_manager: Some("somebody".to_owned()),
            ..PatchParams::default()
        };
        let foreign = Patch::Merge(&foreign);
        self.api::<StatefulSet>()
            .patch(NAME, &params, &foreign)
            .await
            .unwrap();
        self.api::<PersistentVolumeClaim>()
            .patch("mesh-data", &params, &foreign)
            .await
            .unwrap();
        let changed = json!({"spec": {"policyTypes": ["Ingress"], "ingress": [], "egress": null}});
        self.api::<NetworkPolicy>()
            .patch(NAME, &params, &Patch::Merge(&changed))
            .await
            .unwrap();
        self.api::<Service>()
            .delete(NAME, &DeleteParams::default())
            .await
            .unwrap();
    }

    async fn make_secret(&self) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mosquitto"},
            "stringData": {"username": "mesh", "password": "none"},
        });
        let params = PatchParams::apply("user").force();
        self.api::<Secret>()
            .patch("mosquitto", &params, &Patch::Apply(secret))
            .await
            .unwrap();
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }
}

/// Whether the controller of a `StatefulSet` has nothing more to do; its pod may be ready before.
fn is_rolled_out(set: &Value) -> bool {
    let (status, wanted) = (&set["status"], &set["spec"]["replicas"]);
    let ready = status["readyReplicas"].as_i64().unwrap_or_default();
    status["observedGeneration"] == set["metadata"]["generation"]
        && status["currentRevision"] == status["updateRevision"]
        && status["replicas"] == *wanted
        && *wanted == ready
}
