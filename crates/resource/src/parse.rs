//! Text → resource. YAML or JSON, one document or several; whatever is wrong is told with its path and line.

mod bounded;
mod documents;
mod fields;
mod locate;

use std::fmt;

use meshcore_config::{in_plain_words, key_path, nearest};
use serde_json::Value;

use crate::{API_VERSION, KIND, MeshCoreDeployment};
use documents::Document;

/// The largest text that is read: 1 MiB. An API server takes hardly more.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A resource, and what stood beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The resource.
    pub resource: MeshCoreDeployment,
    /// Other objects of the text.
    pub skipped: Vec<Skipped>,
    text: String,
    document: usize,
}

/// An object that is no `MeshCoreDeployment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its kind.
    pub kind: String,
    /// Its name, if it has one.
    pub name: String,
}

/// Why a text holds no resource to work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// No resource is that large.
    #[error("it is larger than 1 MiB; that is no resource")]
    TooLarge,
    /// Neither YAML nor JSON.
    #[error("it is not valid {format}: {message}")]
    Syntax {
        /// `YAML` or `JSON`.
        format: &'static str,
        /// What the parser says, with the line.
        message: String,
    },
    /// A document that is no object of Kubernetes.
    #[error(
        "document {number} has no {missing}; a resource begins with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
    )]
    NoObject {
        /// The number of the document, from 1.
        number: usize,
        /// `apiVersion`, `kind`, or what stands there instead of keys and values.
        missing: String,
    },
    /// There is none in it.
    #[error("there is no {KIND} in it{}", only(.found))]
    Missing {
        /// What is in it instead.
        found: Vec<Skipped>,
    },
    /// There is more than one.
    #[error(
        "there are {} resources of kind {KIND} in it ({}); leave one", .names.len(), .names.join(", ")
    )]
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// Of another version or group.
    #[error("apiVersion is {found}; this version of the program reads {API_VERSION}")]
    ApiVersion {
        /// What it says.
        found: String,
    },
    /// Another kind of our group, or a typing error.
    #[error("kind is {found}; the one that there is in {API_VERSION} is {KIND}")]
    Kind {
        /// What it says.
        found: String,
    },
    /// Fields that are not known, or have values of a wrong type.
    #[error("its fields can't be used:{}", list(.0))]
    Fields(Vec<FieldError>),
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where it stands: `spec.mqttSources[1].broker`.
    pub path: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            message,
        } = self;
        match line {
            Some(line) => write!(f, "{path} (line {line}): {message}"),
            None => write!(f, "{path}: {message}"),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

fn list(errors: &[FieldError]) -> String {
    errors
        .iter()
        .fold(String::new(), |list, error| format!("{list}\n  {error}"))
}

fn only(found: &[Skipped]) -> String {
    let names: Vec<_> = found.iter().take(8).map(ToString::to_string).collect();
    match names.len() {
        0 => ": it is empty".to_owned(),
        _ => format!(", only {}", names.join(", ")),
    }
}

impl Parsed {
    /// The line of a field, from 1; that of the nearest parent where the field itself is missing.
    pub fn line(&self, path: &str) -> Option<usize> {
        locate::line(&self.text, self.document, path)
    }
}

/// Reads the one `MeshCoreDeployment` of a text.
///
/// # Errors
/// A sentence that says what to write instead; wrong and unknown fields with path and line.
pub fn parse(text: &str) -> Result<Parsed, ResourceError> {
    if text.len() > MAX_BYTES {
        return Err(ResourceError::TooLarge);
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut ours = Vec::new();
    let mut skipped = Vec::new();
    for document in documents::read(text)? {
        if document.is_ours()? {
            ours.push(document);
        } else {
            skipped.push(document.skipped());
        }
    }
    if ours.len() > 1 {
        let names = ours.iter().map(Document::name).collect();
        return Err(ResourceError::Several { names });
    }
    let Some(Document { number, value }) = ours.pop() else {
        return Err(ResourceError::Missing { found: skipped });
    };
    let resource = typed(value).map_err(|mut errors| {
        for error in &mut errors {
            error.line = locate::line(text, number - 1, &error.path);
        }
        errors.sort_by_key(|error| error.line);
        ResourceError::Fields(errors)
    })?;
    Ok(Parsed {
        resource,
        skipped,
        text: text.to_owned(),
        document: number - 1,
    })
}

/// A value with the types of the resource; else all unknown fields and the first one of a wrong type.
fn typed(mut value: Value) -> Result<MeshCoreDeployment, Vec<FieldError>> {
    without_nulls(&mut value);
    let mut status = None;
    if let Value::Object(object) = &mut value {
        // They were looked at when the document was chosen.
        object.remove("apiVersion");
        object.remove("kind");
        // Written by the operator, which may be a newer one.
        let written = object.remove("status");
        status = written.and_then(|status| serde_json::from_value(status).ok());
    }
    let mut unknown = Vec::new();
    let mut note = |at: serde_ignored::Path<'_>| unknown.push(key_path(&at));
    let deserializer = serde_ignored::Deserializer::new(value, &mut note);
    let typed = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        wrong_value(path, &error.into_inner().to_string())
    });
    let mut errors: Vec<_> = unknown.into_iter().map(unknown_field).collect();
    let typed = typed.and_then(with_name);
    match typed {
        Ok(mut resource) if errors.is_empty() => {
            resource.status = status;
            Ok(resource)
        }
        Ok(_) => Err(errors),
        Err(error) => {
            errors.push(error);
            Err(errors)
        }
    }
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

fn with_name(resource: MeshCoreDeployment) -> Result<MeshCoreDeployment, FieldError> {
    match resource.metadata.name {
        Some(_) => Ok(resource),
        None => Err(FieldError {
            path: "metadata.name".to_owned(),
            line: None,
            message: "is missing".to_owned(),
        }),
    }
}

fn unknown_field(path: String) -> FieldError {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", &path));
    let message = match nearest(key, fields::of(parent)) {
        Some(known) => format!("unknown field; did you mean {known}?"),
        None => "unknown field; remove it, or look up its name".to_owned(),
    };
    FieldError {
        path,
        line: None,
        message,
    }
}

/// serde's words for a wrong value, in plain ones.
fn wrong_value(path: String, message: &str) -> FieldError {
    let quoted = |prefix: &str| Some(message.strip_prefix(prefix)?.split('`').next()?.to_owned());
    let field = |key: String| match path.as_str() {
        "." => key,
        parent => format!("{parent}.{key}"),
    };
    if let Some(key) = quoted("missing field `") {
        return FieldError {
            message: "is missing".to_owned(),
            line: None,
            path: field(key),
        };
    }
    // Of types that refuse what they don't know, such as the shutdown budget. The path names the field.
    if message.starts_with("unknown field `") {
        return unknown_field(path);
    }
    FieldError {
        message: in_plain_words(message),
        line: None,
        path,
    }
}
