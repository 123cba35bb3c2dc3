//! What a shutdown leaves behind for people, for the operator and for the next start.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::warn;

use crate::events;
use crate::outlets::sync_parent;
use crate::progress::milliseconds;

/// The most bytes that the JSON of a report has: the kubelet reads 4,096 of a termination message.
pub const MAX_REPORT_BYTES: usize = 4000;

/// How a program ended, as JSON in camelCase of at most [`MAX_REPORT_BYTES`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The program: `ingestor` or `server`.
    pub program: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `SIGTERM`, `SIGINT`, `ParentGone`, `TaskFailed` or `Requested`; see [`Cause::label`](crate::Cause::label).
    pub cause: String,
    /// The failed task and its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_detail: Option<String>,
    /// Whether everything was done and nothing failed: the same as exit code 0.
    pub clean: bool,
    /// The exit code; see [`exit_code`](crate::exit_code).
    pub exit_code: u8,
    /// When the signal came, or when the program itself began to stop.
    pub started_at: Timestamp,
    /// When the report was made, which is a moment before the process ended.
    pub at: Timestamp,
    /// The seconds that this program had from its signal on.
    pub budget_seconds: u64,
    /// The milliseconds that it took from its signal on.
    pub took_milliseconds: u64,
    /// The steps in their order.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// What was not done: the step that was cut, and those after it. `run` stands for a program
    /// that did not even begin to stop, `exit` for one that did everything and did not exit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// The number of steps that failed, panicked or were cut.
    #[serde(default)]
    pub errors: u64,
    /// Messages that were neither stored nor acknowledged; their broker has them still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_left: Option<u64>,
    /// Small values of the steps, such as the result of the checkpoint.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Value>,
}

/// One step of a shutdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// The name that the step was registered with.
    pub name: String,
    /// How long it took.
    pub milliseconds: u64,
    /// How it ended.
    pub outcome: PhaseOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseOutcome {
    /// It did its work.
    Ok,
    /// It gave an error, panicked, or was cut by a second signal.
    Failed,
    /// The deadline passed while it ran.
    TimedOut,
    /// Its turn never came.
    Skipped,
}

/// A report file that can't be read or taken away.
#[derive(Debug, thiserror::Error)]
#[error("{operation} the shutdown report {}", path.display())]
#[non_exhaustive]
pub struct ReportError {
    /// What was tried: `reading` or `renaming`.
    pub operation: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl PhaseOutcome {
    /// Whether the step counts as an error; a skipped one does not.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}

impl Phase {
    pub(crate) fn new(name: &str, took: Duration, outcome: PhaseOutcome) -> Self {
        Self {
            name: name.to_owned(),
            milliseconds: milliseconds(took),
            outcome,
            error: None,
        }
    }
}

impl Report {
    /// The report as one line of JSON with at most [`MAX_REPORT_BYTES`]: texts are shortened first,
    /// then details and whole phases go.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.clone().bounded()).unwrap_or_default()
    }

    /// Reads the report that an earlier life left at `path`.
    ///
    /// `None` when there is no file, and when the file is no report, which is logged. The absence
    /// of a report after a life that should have left one means that it ended uncleanly.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read_previous(path: &Path) -> Result<Option<Self>, ReportError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ReportError {
                    operation: "reading",
                    path: path.to_owned(),
                    source,
                });
            }
        };
        match serde_json::from_slice(&text) {
            Ok(report) => Ok(Some(report)),
            Err(error) => {
                warn!(
                    event = events::PREVIOUS_REPORT_UNREADABLE,
                    path = %path.display(),
                    %error,
                    "The report of the previous shutdown is unreadable and counts as none"
                );
                Ok(None)
            }
        }
    }

    /// Reads the report at `path` once: the file is renamed to `<path>.taken` beside it.
    ///
    /// A program does this at its start. If the life that begins then crashes, the next start finds
    /// no report, and does not mistake an older clean stop for that crash. The renamed file (the
    /// last one only) stays for people to look at.
    ///
    /// # Errors
    /// When the file can't be read or renamed; then it is still there.
    pub fn take_previous(path: &Path) -> Result<Option<Self>, ReportError> {
        let report = Self::read_previous(path)?;
        let renamed = fs::rename(path, taken_path(path)).and_then(|()| sync_parent(path));
        match renamed {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ReportError {
                operation: "renaming",
                path: path.to_owned(),
                source,
            }),
            _ => Ok(report),
        }
    }

    /// The same report, shortened as much as [`MAX_REPORT_BYTES`] asks for.
    pub(crate) fn bounded(mut self) -> Self {
        for limit in LIMITS {
            self.shorten(limit);
            if serde_json::to_string(&self).is_ok_and(|json| json.len() <= MAX_REPORT_BYTES) {
                break;
            }
        }
        self
    }

    fn shorten(&mut self, limit: Limit) {
        let names = limit.text.min(64);
        truncate(&mut self.program, names);
        truncate(&mut self.cause, names);
        self.version
            .iter_mut()
            .for_each(|text| truncate(text, names));
        self.cause_detail
            .iter_mut()
            .for_each(|text| truncate(text, limit.text));
        self.phases.truncate(limit.items);
        for phase in &mut self.phases {
            truncate(&mut phase.name, names);
            phase
                .error
                .iter_mut()
                .for_each(|text| truncate(text, limit.text));
        }
        self.left.truncate(limit.items);
        self.left.iter_mut().for_each(|text| truncate(text, names));
        while self.details.len() > limit.items {
            self.details.pop_last();
        }
        self.details.retain(|key, value| {
            if let Value::String(text) = value {
                truncate(text, limit.text);
            }
            // A key is not shortened, two keys could become one.
            key.len() <= 64 && value.to_string().len() <= 2 * limit.text
        });
    }
}

/// How much of each text (in bytes) and of each list a report keeps.
#[derive(Clone, Copy)]
struct Limit {
    text: usize,
    items: usize,
}

/// From gentle to certain. The last one keeps at most a few hundred bytes, whatever they escape to.
const LIMITS: [Limit; 5] = [
    Limit {
        text: 512,
        items: 32,
    },
    Limit {
        text: 160,
        items: 24,
    },
    Limit {
        text: 48,
        items: 16,
    },
    Limit { text: 16, items: 8 },
    Limit { text: 16, items: 2 },
];

/// Cuts `text` to at most `max` bytes, at a character's border, with a mark that it was cut.
fn truncate(text: &mut String, max: usize) {
    const MARK: &str = "…";
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - MARK.len()));
        text.push_str(MARK);
    }
}

/// The message of an error and of all its causes, without those that repeat the one before.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

fn taken_path(path: &Path) -> PathBuf {
    let mut taken = OsString::from(path);
    taken.push(".taken");
    PathBuf::from(taken)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::sample;
