//! Resources from a file, or a sentence that says what is wrong with them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use meshcore_resource::{All, MAX_BYTES, Parsed, ResourceError, Violation};

use crate::terminal::Usage;

/// What a file is called that is the standard input.
const STANDARD_INPUT: &str = "-";

/// Reads the one resource of a file and checks its rules.
///
/// # Errors
/// [`Usage`], with the name of the file, and each wrong field with its line.
pub(crate) fn load(path: &Path) -> Result<Parsed, Usage> {
    let name = path.display().to_string();
    let parsed = meshcore_resource::parse(&text(path, &name)?).map_err(|error| match error {
        ResourceError::Fields(_) => Usage(format!("the resource in {name} can't be used; {error}")),
        other => unusable(&name, &other),
    })?;
    let violations = parsed.resource.validate();
    if violations.is_empty() {
        return Ok(parsed);
    }
    let lines = lines(&parsed, &violations);
    Err(Usage(format!(
        "the resource in {name} breaks rules:{lines}"
    )))
}

/// Reads all resources of a file, or of the standard input where the path is `-`. Rules are not checked.
///
/// # Errors
/// [`Usage`], if the file can't be read, or if there is no resource in it.
pub(crate) fn load_all(path: &Path) -> Result<All, Usage> {
    let name = called(path);
    let all = meshcore_resource::parse_all(&text(path, &name)?)
        .map_err(|error| unusable(&name, &error))?;
    if all.resources.is_empty() {
        let found = all.skipped;
        return Err(unusable(&name, &ResourceError::Missing { found }));
    }
    Ok(all)
}

/// What a file is called in messages.
pub(crate) fn called(path: &Path) -> String {
    if path.as_os_str() == STANDARD_INPUT {
        return "standard input".to_owned();
    }
    path.display().to_string()
}

/// Violations with their lines, each in a line of its own.
pub(crate) fn lines(parsed: &Parsed, violations: &[Violation]) -> String {
    let lines = violations.iter().map(|violation| {
        let line = parsed.line(&violation.path);
        let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
        format!("\n  {}{line}: {}", violation.path, violation.message)
    });
    lines.collect()
}

fn unusable(name: &str, error: &ResourceError) -> Usage {
    Usage(format!("the file {name} can't be used: {error}"))
}

fn text(path: &Path, name: &str) -> Result<String, Usage> {
    let bytes =
        read(path).map_err(|error| Usage(format!("cannot read the file {name}: {error}")))?;
    String::from_utf8(bytes)
        .map_err(|_| Usage(format!("the file {name} is no resource: it is not text")))
}

/// The bytes of the file, but no more than one too many: the rest is of no interest then.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    if path.as_os_str() == STANDARD_INPUT {
        std::io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
