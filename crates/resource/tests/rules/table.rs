//! The table. A line has a rule: where (`at`), a good and a bad value, and of the violation the path and a part of the
//! message. `old` is the value that stood there before, for rules of a change, and `status` the status of that object.
//! `only` names the one that is asked, where the others can't be. `{"repeat": x, "times": n}` stands for a long text
//! or list; `#` in a repeated list is the number of the item, and a key `#` of a map is `times` keys.

use serde::Deserialize;
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("../rules.jsonl");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    at: String,
    old: Option<Value>,
    status: Option<Value>,
    good: Value,
    bad: Value,
    pub(crate) path: String,
    pub(crate) says: String,
    #[serde(default)]
    pub(crate) only: Option<String>,
}

pub(crate) fn rules() -> impl Iterator<Item = (&'static str, Rule)> {
    let lines = TABLE.lines();
    lines.map(|line| {
        let rule = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        (line, rule)
    })
}

impl Rule {
    /// The object with the good value.
    pub(crate) fn good(&self) -> Value {
        with(&self.at, &self.good)
    }

    /// The object with the bad value.
    pub(crate) fn bad(&self) -> Value {
        with(&self.at, &self.bad)
    }

    /// The object before the change.
    pub(crate) fn old(&self) -> Option<Value> {
        let mut old = with(&self.at, self.old.as_ref()?);
        if let Some(status) = &self.status {
            old["status"] = status.clone();
        }
        Some(old)
    }
}

/// A good object.
pub(crate) fn base() -> Value {
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

/// The good object with a value put at a path such as `/spec/storage/size`; `/spec` gets keys added.
pub(crate) fn with(path: &str, value: &Value) -> Value {
    let mut object = base();
    let mut place = &mut object;
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
    object
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
        Value::Object(map) => {
            let value = &map["#"];
            let keys = (0..times).map(|number| (format!("k{number}"), value.clone()));
            Value::Object(keys.collect())
        }
        list => (0..times).map(|number| item(&list[0], number)).collect(),
    }
}

fn item(item: &Value, number: u64) -> Value {
    let text = item.to_string();
    // A hashtag begins with its #.
    if text.contains("\"#") {
        return item.clone();
    }
    serde_json::from_str(&text.replace('#', &number.to_string())).expect("JSON")
}
