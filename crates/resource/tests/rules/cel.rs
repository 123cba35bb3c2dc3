//! The rules in CEL, without an API server.

use kube::core::cel::{Validator, compile_schema};
use serde_json::Value;

use crate::offline::violation;
use crate::table::rules;

/// The schema of the definition.
pub(crate) fn schema() -> Value {
    let definition = serde_json::to_value(meshcore_resource::crd()).expect("JSON");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The sentences of all rules in CEL.
pub(crate) fn sentences(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(schema, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        Value::Object(object) => {
            let rules = object.get("x-kubernetes-validations");
            for rule in rules.and_then(Value::as_array).into_iter().flatten() {
                found.extend(rule["message"].as_str().map(str::to_owned));
            }
            object.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}

/// Whether a sentence is that of a rule in CEL, and not of a bound in the schema.
pub(crate) fn is_of_cel(sentences: &[String], message: &str) -> bool {
    sentences.iter().any(|sentence| sentence == message) || message.starts_with("cannot shrink")
}

#[test]
fn the_rules_in_cel_give_the_same_answers() {
    let schema = schema();
    let sentences = sentences(&schema);
    let compiled = compile_schema(&schema);
    assert!(
        !compiled.has_errors(),
        "{:?}",
        compiled.compilation_errors()
    );
    let validator = Validator::new();
    let (mut count, mut wrong) = (0, Vec::new());
    for (line, rule) in rules().filter(|(_, rule)| rule.only.is_none()) {
        let old = rule.old();
        let answer = |object| validator.validate_compiled(&compiled, &object, old.as_ref());
        if let Err(errors) = answer(rule.good()) {
            wrong.push(format!("{line}\n  good: {errors:?}"));
        }
        let violation = violation(&rule).expect("the test in Rust looked for it");
        if !is_of_cel(&sentences, &violation.message) {
            continue;
        }
        count += 1;
        let errors = answer(rule.bad()).err();
        let mut errors = errors.iter().flat_map(|errors| errors.iter());
        let is_found = errors.any(|error| {
            // Where a rule names its field, only that is said, without the path of the object. The key of a map
            // stands behind a dot.
            let field = error.field_path.trim_start_matches('.');
            let path = violation.path.replace("[a]", ".a");
            error.message == violation.message && path.ends_with(field)
        });
        if !is_found {
            wrong.push(format!("{line}\n  bad: {:?}", answer(rule.bad())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 50, "only {count} rules are of CEL");
}
