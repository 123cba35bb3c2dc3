//! Text → resource. YAML or JSON, one document or several; whatever is wrong is told with its path and line.

mod bounded;
mod documents;
mod locate;
mod typed;

use std::fmt;

use crate::{API_VERSION, KIND, MeshCoreDeployment};
use documents::Document;
pub use typed::read;
use typed::typed;

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

/// All that is in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct All {
    /// The resources, in their order; what is wrong with one leaves the others as they are.
    pub resources: Vec<Found>,
    /// Other objects of the text.
    pub skipped: Vec<Skipped>,
}

/// A resource of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its name, also where the resource can't be used.
    pub name: String,
    /// The resource, or [`ResourceError::Fields`].
    pub parsed: Result<Parsed, ResourceError>,
}

/// Reads the one `MeshCoreDeployment` of a text.
///
/// # Errors
/// A sentence that says what to write instead; wrong and unknown fields with path and line.
pub fn parse(text: &str) -> Result<Parsed, ResourceError> {
    let All {
        mut resources,
        skipped,
    } = parse_all(text)?;
    if resources.len() > 1 {
        let names = resources.into_iter().map(|found| found.name).collect();
        return Err(ResourceError::Several { names });
    }
    match resources.pop() {
        Some(found) => found.parsed.map(|parsed| Parsed { skipped, ..parsed }),
        None => Err(ResourceError::Missing { found: skipped }),
    }
}

/// Reads every `MeshCoreDeployment` of a text, if there is any.
///
/// # Errors
/// Whatever keeps the text as a whole from being read.
pub fn parse_all(text: &str) -> Result<All, ResourceError> {
    if text.len() > MAX_BYTES {
        return Err(ResourceError::TooLarge);
    }
    let text = text.trim_start_matches('\u{feff}');
    let (mut resources, mut skipped) = (Vec::new(), Vec::new());
    for document in documents::read(text)? {
        if document.is_ours()? {
            resources.push(found(text, document));
        } else {
            skipped.push(document.skipped());
        }
    }
    Ok(All { resources, skipped })
}

fn found(text: &str, document: Document) -> Found {
    let name = document.name();
    let Document { number, value } = document;
    let document = number - 1;
    let parsed = match typed(value) {
        Ok(resource) => Ok(Parsed {
            resource,
            skipped: Vec::new(),
            text: text.to_owned(),
            document,
        }),
        Err(mut errors) => {
            for error in &mut errors {
                error.line = locate::line(text, document, &error.path);
            }
            errors.sort_by_key(|error| error.line);
            Err(ResourceError::Fields(errors))
        }
    };
    Found { name, parsed }
}
