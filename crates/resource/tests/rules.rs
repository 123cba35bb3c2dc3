//! Each rule accepts and refuses, and says what to do. `rules.jsonl` has a rule a line: where, a good and a bad
//! value, and the path and a part of the message of the violation. `{"repeat": x, "times": n}` stands for a long
//! text or list; `#` in a repeated list is the number of the item.

use k8s_openapi::api::core::v1::ResourceRequirements;
use meshcore_resource::{MeshCoreDeployment, parse};
use serde_json::{Map, Value, json};

const RULES: &str = include_str!("rules.jsonl");

fn base() -> Value {
    json!({
        "apiVersion": "meshcore.dev/v1alpha1",
        "kind": "MeshCoreDeployment",
        "metadata": {"name": "bay-area"},
        "spec": {
            "mqttSources": [{"name": "local", "broker": "mqtts://mosquitto"}],
            "storage": {"size": "10Gi"},
        },
    })
}

/// The good resource with a value put at a path such as `/spec/storage/size`; `/spec` gets keys added.
fn with(path: &str, value: &Value) -> MeshCoreDeployment {
    let mut resource = base();
    let mut place = &mut resource;
    for step in path.split('/').skip(1) {
        place = match step.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[step],
        };
    }
    match (place, unfold(value)) {
        (Value::Object(place), Value::Object(added)) if path == "/spec" => place.extend(added),
        (place, value) => *place = value,
    }
    let parsed = parse(&resource.to_string());
    parsed
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .resource
}

fn unfold(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(unfold).collect(),
        Value::Object(object) => {
            if let (Some(what), Some(times)) = (object.get("repeat"), object.get("times")) {
                return repeat(what, times.as_u64().unwrap_or_default());
            }
            let unfolded = object
                .iter()
                .map(|(key, value)| (key.clone(), unfold(value)));
            Value::Object(unfolded.collect::<Map<_, _>>())
        }
        value => value.clone(),
    }
}

fn repeat(what: &Value, times: u64) -> Value {
    match what {
        Value::String(text) => (0..times).map(|_| text.as_str()).collect::<String>().into(),
        list => (0..times)
            .map(|number| {
                let item = list[0].to_string();
                // A hashtag begins with its #.
                let item = if item.contains("\"#") {
                    item
                } else {
                    item.replace('#', &number.to_string())
                };
                serde_json::from_str::<Value>(&item).expect("JSON")
            })
            .collect(),
    }
}

#[test]
fn each_rule_accepts_and_refuses() {
    for line in RULES.lines() {
        let rule: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| rule[key].as_str().unwrap();
        let at = text("at");
        assert_eq!(with(at, &rule["good"]).validate(), [], "{line}");
        let violations = with(at, &rule["bad"]).validate();
        let is_found = violations.iter().any(|violation| {
            violation.path == text("path") && violation.message.contains(text("says"))
        });
        assert!(is_found, "{line}\n{violations:?}");
    }
}

#[test]
fn all_violations_are_told_at_once() {
    let mut resource = with("/metadata/name", &json!("Bay"));
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
            "spec.mqttSources[0].broker: the scheme must be mqtt, mqtts, ws or wss; for tcp write mqtt",
            "spec.storage.size: must be a quantity such as 10Gi or 500Mi",
        ]
    );
}

#[test]
fn fields_for_a_cluster_are_named_when_they_say_something() {
    let mut resource = with("/spec/service", &json!({"port": 80}));
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
