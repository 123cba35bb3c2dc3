//! Argo CD's health check, run by the interpreter that Argo CD has.

use std::process::Command;

use meshcore_testkit::kubernetes::lua;
use serde_json::{Value, json};

use crate::files;

#[test]
fn argo_cd_shows_how_an_analyzer_is() {
    let cases = [
        ("nothing yet", json!({}), "Progressing"),
        (
            "ready",
            status(3, &[("Ready", "True", "Available")]),
            "Healthy",
        ),
        (
            "an older generation",
            status(2, &[("Ready", "True", "Available")]),
            "Progressing",
        ),
        (
            "rolling out",
            status(
                3,
                &[
                    ("Ready", "False", "PodNotReady"),
                    ("Reconciling", "True", "Progressing"),
                ],
            ),
            "Progressing",
        ),
        (
            "stalled",
            status(
                3,
                &[
                    ("Ready", "False", "Stalled"),
                    ("Stalled", "True", "NameConflict"),
                ],
            ),
            "Degraded",
        ),
        (
            "stalled no longer",
            status(
                3,
                &[
                    ("Ready", "True", "Available"),
                    ("Stalled", "False", "Available"),
                ],
            ),
            "Healthy",
        ),
        (
            "stopped",
            status(3, &[("Ready", "True", "Stopped")]),
            "Suspended",
        ),
        (
            "paused",
            status(3, &[("Ready", "Unknown", "Paused")]),
            "Suspended",
        ),
    ];
    let Some(lua) = lua().unwrap() else {
        return;
    };
    for (what, status, expected) in cases {
        let object = json!({"metadata": {"name": "bay-area", "generation": 3}, "status": status});
        let script = format!(
            "local function check(obj)\n{}\nend\nlocal hs = check({})\nprint(hs.status .. '\\t' .. hs.message)",
            files::text("manifests/argocd/health.lua"),
            table(&object),
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("health.lua");
        std::fs::write(&file, script).unwrap();
        let output = Command::new(&lua).arg(&file).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let (health, message) = answer.trim_end().split_once('\t').unwrap_or_else(|| {
            panic!(
                "{what}: {answer}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
        assert_eq!(health, expected, "{what}");
        assert!(!message.is_empty(), "{what}");
    }
}

fn status(generation: u64, conditions: &[(&str, &str, &str)]) -> Value {
    let condition = |(kind, status, reason): &(&str, &str, &str)| json!({"type": kind, "status": status, "reason": reason, "message": format!("It is {reason}.")});
    json!({
        "observedGeneration": generation,
        "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

/// A value as Lua writes it.
fn table(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(table).collect();
            format!("{{{}}}", items.join(", "))
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("[{key:?}] = {}", table(value));
            let fields: Vec<_> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}
