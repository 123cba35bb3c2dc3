//! Value → resource. The schema says everything that is wrong with the shape of a spec, the types what is left.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meshcore_config::{field_names, in_plain_words, nearest};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::FieldError;
use crate::schema::{self, Kind, Problem};
use crate::{MeshCoreDeployment, MeshCoreDeploymentSpec, MeshCoreDeploymentStatus};

/// What may stand at the top.
const ROOT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// A value with the types of the resource, or all that keeps it from having them.
pub(super) fn typed(mut value: Value) -> Result<MeshCoreDeployment, Vec<FieldError>> {
    without_nulls(&mut value);
    let errors = wrong_shape(&value);
    if !errors.is_empty() {
        return Err(errors);
    }
    let status = take_status(&mut value);
    let problems = value.get("spec").map(schema::check_spec_value);
    let mut resource: MeshCoreDeployment =
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let message = in_plain_words(&error.into_inner().to_string());
            of_types(field_error(path, message), problems.unwrap_or_default())
        })?;
    resource.status = status;
    Ok(resource)
}

/// A resource as an API server keeps it.
#[derive(Deserialize)]
struct Kept {
    metadata: ObjectMeta,
    spec: MeshCoreDeploymentSpec,
    #[serde(default)]
    status: Value,
}

/// Reads a resource as an API server keeps it, in JSON. Fields that are not known are passed over: the installed
/// definition may be a newer one. So is a status that can't be read.
///
/// # Errors
/// The first field of the metadata or the spec that is missing or has a wrong type.
pub fn read(json: &[u8]) -> Result<MeshCoreDeployment, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let kept: Result<Kept, _> = serde_path_to_error::deserialize(&mut deserializer);
    let Kept {
        metadata,
        spec,
        status,
    } = kept.map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        // Followed by a place in a text that nobody has written.
        let message = message
            .rsplit_once(" at line ")
            .map_or(&*message, |(message, _)| message);
        match message.strip_prefix("missing field `") {
            Some(name) => field_error(
                format!("{path}.{}", name.trim_end_matches('`')),
                "is missing",
            ),
            None => field_error(path, in_plain_words(message)),
        }
    })?;
    Ok(MeshCoreDeployment {
        metadata,
        spec,
        status: serde_json::from_value(status).ok(),
    })
}

/// What the types refuse and the schema too, such as a number that is out of range, the schema says better.
fn of_types(error: FieldError, problems: Vec<Problem>) -> Vec<FieldError> {
    if problems.iter().any(|problem| problem.path == error.path) {
        return problems.into_iter().map(of_problem).collect();
    }
    vec![error]
}

/// The status is the operator's, which may be a newer one: what of it is not known is left out.
fn take_status(value: &mut Value) -> Option<MeshCoreDeploymentStatus> {
    let status = value.as_object_mut()?.remove("status")?;
    serde_json::from_value(status).ok()
}

/// As an API server does before it fills defaults in: an empty value is one that is not there.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(without_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Unknown fields, missing ones and values of a wrong type; where there are any, also the other problems of the spec.
fn wrong_shape(value: &Value) -> Vec<FieldError> {
    let Some(object) = value.as_object() else {
        return vec![field_error("", "wrong type: expected keys and values")];
    };
    let mut errors = unknown(object, "", &ROOT);
    errors.extend(wrong_metadata(object.get("metadata")));
    let Some(spec) = object.get("spec") else {
        errors.push(field_error("spec", "is missing"));
        return errors;
    };
    let problems = schema::check_spec_value(spec);
    let is_shape = |problem: &Problem| problem.kind != Kind::Value;
    if !errors.is_empty() || problems.iter().any(is_shape) {
        errors.extend(problems.into_iter().map(of_problem));
    }
    errors
}

fn wrong_metadata(metadata: Option<&Value>) -> Vec<FieldError> {
    match metadata {
        None => vec![field_error("metadata", "is missing")],
        Some(Value::Object(metadata)) => {
            let mut errors = unknown(metadata, "metadata", field_names::<ObjectMeta>());
            if !metadata.contains_key("name") {
                errors.push(field_error("metadata.name", "is missing"));
            }
            errors
        }
        Some(_) => vec![field_error(
            "metadata",
            "wrong type: expected keys and values",
        )],
    }
}

fn unknown(object: &Map<String, Value>, parent: &str, known: &[&str]) -> Vec<FieldError> {
    let keys = object.keys().map(String::as_str);
    let unknown = keys.filter(|key| !known.contains(key));
    unknown
        .map(|key| unknown_field(parent, key, known.iter().copied()))
        .collect()
}

fn of_problem(problem: Problem) -> FieldError {
    let Problem {
        path,
        message,
        kind,
    } = problem;
    match path.rsplit_once('.') {
        Some((parent, key)) if kind == Kind::Unknown => {
            let siblings = schema::root().at(parent).into_iter();
            unknown_field(parent, key, siblings.flat_map(schema::Schema::fields))
        }
        _ => field_error(path, message),
    }
}

fn unknown_field<'a>(parent: &str, key: &str, known: impl Iterator<Item = &'a str>) -> FieldError {
    let path = match parent {
        "" => key.to_owned(),
        parent => format!("{parent}.{key}"),
    };
    let message = match nearest(key, known) {
        Some(known) => format!("unknown field; did you mean {known}?"),
        None => "unknown field; remove it, or look up its name".to_owned(),
    };
    field_error(path, message)
}

fn field_error(path: impl Into<String>, message: impl Into<String>) -> FieldError {
    FieldError {
        path: path.into(),
        line: None,
        message: message.into(),
    }
}
