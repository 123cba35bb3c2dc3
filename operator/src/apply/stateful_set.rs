//! The StatefulSet and the configuration that its template names: what restarts the pod.

use std::sync::Arc;

use serde_json::{Value, json};

use super::children::annotation;
use super::inputs::{self, Inputs, changed};
use super::{Desired, Work, differences, hash};
use crate::api::ApiError;
use crate::cache::Child;
use crate::kind::Kind;
use crate::names;
use crate::validate::Plan;

/// The most fields that are listed as pending.
const MAX_PENDING: usize = 50;

/// The pod template, and what would change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// The hash of the template that was applied last.
    pub hash: Option<String>,
    /// The fields that made the last rollout.
    pub reason: Option<String>,
    /// Under `spec.rollout.hold`: the fields of the StatefulSet that differ.
    pub pending: Vec<String>,
    /// Under `spec.rollout.hold`: the fields of the resource that make them differ.
    pub causes: Vec<String>,
}

impl Work<'_> {
    /// Applies the configuration and the StatefulSet, or says what of them is held back.
    pub(super) async fn stateful_set(
        &mut self,
        desired: Desired,
        config_map: &Desired,
        plan: &Plan,
    ) -> Result<(), ApiError> {
        let found = self.find(Kind::StatefulSet, &desired.name).await;
        let (Some(live), inputs) = (self.or_noted(found.map(Some))?, self.inputs()) else {
            return Ok(());
        };
        let desired = explained(desired, live.as_deref(), &inputs);
        if let (Some(live), true) = (&live, self.resource.spec.rollout.hold) {
            return self.hold(&desired, live, config_map, &inputs).await;
        }
        let config = self.ensure(config_map).await?;
        let is_stopped = desired.at("/spec/replicas") == Some(&0.into());
        self.applied.rollout = rollout(desired.value());
        self.applied.stateful_set = match config {
            Some(_) if is_stopped || plan.claim.may_run => self.ensure(&desired).await?,
            _ => live,
        };
        Ok(())
    }

    /// Says what differs and changes nothing of it, but for a second replica: it would be a second writer.
    async fn hold(
        &mut self,
        desired: &Desired,
        live: &Arc<Child>,
        config_map: &Desired,
        inputs: &Inputs,
    ) -> Result<(), ApiError> {
        let value = live.value();
        if names_configuration(&value, &config_map.name) {
            self.ensure(config_map).await?;
        }
        if value["spec"]["replicas"].as_i64() > Some(1) {
            let one = json!({"metadata": {"uid": live.uid}, "spec": {"replicas": 1}});
            let put_back = self.objects().merge(live.kind, &live.name, &one).await;
            self.or_noted(put_back.map(Some))?;
        }
        self.applied.rollout = Rollout {
            pending: pending(desired, &value),
            causes: applied_inputs(&value).map_or_else(Vec::new, |before| changed(&before, inputs)),
            ..rollout(&value)
        };
        self.applied.stateful_set = Some(Arc::clone(live));
        Ok(())
    }

    fn inputs(&self) -> Inputs {
        inputs::inputs(self.resource, &self.context.settings)
    }
}

/// The StatefulSet with annotations that tell what its template is and why.
fn explained(desired: Desired, live: Option<&Child>, inputs: &Inputs) -> Desired {
    let template = desired.at("/spec/template").map(hash).unwrap_or_default();
    let live = live.map(Child::value);
    let reason = live
        .as_ref()
        .and_then(|live| reason(live, &template, inputs));
    let inputs = serde_json::to_string(inputs).expect("a map of texts is JSON");
    let desired = desired
        .annotated(names::TEMPLATE_HASH, template)
        .annotated(names::TEMPLATE_INPUTS, inputs);
    match reason {
        Some(reason) => desired.annotated(names::ROLLOUT_REASON, reason),
        None => desired,
    }
}

/// Why the template is another than the live one, or why that is the one it is.
fn reason(live: &Value, template: &str, inputs: &Inputs) -> Option<String> {
    let before = annotation(live, names::TEMPLATE_HASH)?;
    if before == template {
        return annotation(live, names::ROLLOUT_REASON).map(str::to_owned);
    }
    let fields = applied_inputs(live).map(|before| changed(&before, inputs));
    match fields {
        Some(fields) if !fields.is_empty() => Some(fields.join(", ")),
        // The operator makes another template of the same fields.
        _ => Some("operator".to_owned()),
    }
}

fn applied_inputs(live: &Value) -> Option<Inputs> {
    serde_json::from_str(annotation(live, names::TEMPLATE_INPUTS)?).ok()
}

fn rollout(stateful_set: &Value) -> Rollout {
    let text = |name| annotation(stateful_set, name).map(str::to_owned);
    Rollout {
        hash: text(names::TEMPLATE_HASH),
        reason: text(names::ROLLOUT_REASON),
        ..Rollout::default()
    }
}

/// The fields that would change. Annotations that explain are none of them; where only they differ, a field is no longer
/// asked for, and the whole template stands for it.
fn pending(desired: &Desired, live: &Value) -> Vec<String> {
    let mut fields = differences(Kind::StatefulSet, desired.value(), live);
    fields.retain(|field| !field.starts_with("metadata.annotations"));
    let is_other_template =
        annotation(live, names::TEMPLATE_HASH) != annotation(desired.value(), names::TEMPLATE_HASH);
    if fields.is_empty() && is_other_template {
        fields.push("spec.template".to_owned());
    }
    fields.truncate(MAX_PENDING);
    fields
}

/// Whether the live template mounts this configuration.
fn names_configuration(stateful_set: &Value, name: &str) -> bool {
    configurations(&stateful_set["spec"]["template"]["spec"]).any(|other| other == name)
}

/// The ConfigMaps that a pod's volumes name.
pub(super) fn configurations(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["configMap"]["name"].as_str())
}
