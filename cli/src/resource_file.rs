//! A resource from a file, or a sentence that says what is wrong with it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use meshcore_resource::{MAX_BYTES, Parsed, ResourceError};

use crate::terminal::Usage;

/// Reads the one resource of a file and checks its rules.
///
/// # Errors
/// [`Usage`], with the name of the file, and each wrong field with its line.
pub(crate) fn load(path: &Path) -> Result<Parsed, Usage> {
    let name = path.display();
    let text =
        read(path).map_err(|error| Usage(format!("cannot read the file {name}: {error}")))?;
    let text = String::from_utf8(text)
        .map_err(|_| Usage(format!("the file {name} is no resource: it is not text")))?;
    let parsed = meshcore_resource::parse(&text).map_err(|error| match error {
        ResourceError::Fields(_) => Usage(format!("the resource in {name} can't be used; {error}")),
        other => Usage(format!("the file {name} can't be used: {other}")),
    })?;
    let violations = parsed.resource.validate();
    if violations.is_empty() {
        return Ok(parsed);
    }
    let lines = violations.iter().map(|violation| {
        let line = parsed.line(&violation.path);
        let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
        format!("\n  {}{line}: {}", violation.path, violation.message)
    });
    Err(Usage(format!(
        "the resource in {name} breaks rules:{}",
        lines.collect::<String>()
    )))
}

/// The bytes of the file, but no more than one too many: the rest is of no interest then.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
