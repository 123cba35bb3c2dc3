//! The rules in Rust.

use k8s_openapi::api::core::v1::ResourceRequirements;
use meshcore_resource::{MeshCoreDeployment, Violation, parse};
use serde_json::{Value, json};

use crate::table::{Rule, rules, with};

/// What is wrong with an object by itself, or as a change; also where its fields can't be read.
pub(crate) fn answer(object: &Value, old: Option<&Value>) -> Vec<Violation> {
    match parse(&object.to_string()) {
        Ok(parsed) => match old {
            None => parsed.resource.validate(),
            Some(old) => parsed.resource.validate_update(&read(old)),
        },
        Err(meshcore_resource::ResourceError::Fields(errors)) => {
            let violations = errors.into_iter().map(|error| Violation {
                path: error.path,
                message: error.message,
            });
            violations.collect()
        }
        Err(error) => panic!("{error}: {object}"),
    }
}

pub(crate) fn read(object: &Value) -> MeshCoreDeployment {
    let parsed = parse(&object.to_string());
    parsed
        .unwrap_or_else(|error| panic!("{error}: {object}"))
        .resource
}

/// The violation that a rule expects of its bad value.
pub(crate) fn violation(rule: &Rule) -> Option<Violation> {
    let violations = answer(&rule.bad(), rule.old().as_ref());
    let mut expected = violations
        .into_iter()
        .filter(|violation| violation.path == rule.path && violation.message.contains(&rule.says));
    expected.next()
}

#[test]
fn each_rule_accepts_and_refuses() {
    let mut wrong = Vec::new();
    for (line, rule) in rules() {
        let good = answer(&rule.good(), rule.old().as_ref());
        let bad = answer(&rule.bad(), rule.old().as_ref());
        if !good.is_empty() || violation(&rule).is_none() {
            wrong.push(format!("{line}\n  good: {good:?}\n  bad: {bad:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_violations_are_told_at_once() {
    let mut resource = read(&with("/metadata/name", &json!("Bay")));
    resource.spec.storage.size = Some("x".to_owned());
    resource.spec.mqtt_sources[0].broker = "tcp://b".to_owned();
    let lines: Vec<_> = resource
        .validate()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "metadata.name: must be 1 to 40 lower-case letters, digits and -, beginning with a \
             letter and not ending with -, such as bay-area",
            "spec.mqttSources[0].broker: must begin with mqtt://, mqtts://, ws:// or wss://, as in \
             mqtt://broker:1883; for tcp:// write mqtt://, for ssl:// or tls:// mqtts://, for http:// \
             ws://, for https:// wss://",
            "spec.storage.size: must be a quantity such as 10Gi or 500Mi",
        ]
    );
}

#[test]
fn fields_for_a_cluster_are_named_when_they_say_something() {
    let mut resource = read(&with("/spec/service", &json!({"port": 80})));
    let named = resource.spec.without_effect_outside_a_cluster();
    assert!(named.is_empty(), "the default says nothing: {named:?}");
    resource.spec.service.port = 8080;
    resource.spec.paused = true;
    resource.spec.ingestor.resources = Some(ResourceRequirements::default());
    assert_eq!(
        resource.spec.without_effect_outside_a_cluster(),
        ["spec.ingestor.resources", "spec.paused", "spec.service"]
    );
}
