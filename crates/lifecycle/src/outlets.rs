//! The places where a report goes: the log, the termination message, a file beside the database.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::{info, warn};

use crate::{Report, events, lock};

/// Where the kubelet reads the termination message of a container.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// The places where the report of a shutdown goes.
///
/// The log always gets it; the termination message is written if its file exists, which it does in
/// a pod; the report file is written if there is one. A place that fails is logged and does not
/// keep the others from being written.
#[derive(Clone, Debug)]
pub struct Outlets {
    termination_log: PathBuf,
    file: Option<PathBuf>,
    patience: Option<Duration>,
    // Held while files are written: the manager and the watchdog may both be at it.
    writing: Arc<Mutex<()>>,
}

/// The report file of `program` for the database at `db`: `<db>.shutdown-<program>.json`.
pub fn report_path(db: &Path, program: &str) -> PathBuf {
    let mut path = OsString::from(db);
    path.push(format!(".shutdown-{program}.json"));
    PathBuf::from(path)
}

impl Default for Outlets {
    fn default() -> Self {
        Self::new()
    }
}

impl Outlets {
    /// The log and [`TERMINATION_LOG`].
    pub fn new() -> Self {
        Self {
            termination_log: PathBuf::from(TERMINATION_LOG),
            file: None,
            patience: None,
            writing: Arc::default(),
        }
    }

    /// Adds the report file; [`report_path`] gives its usual name.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes another file for the termination message; like the usual one it must exist already.
    #[must_use]
    pub fn with_termination_log(mut self, path: impl Into<PathBuf>) -> Self {
        self.termination_log = path.into();
        self
    }

    /// Lets an end that is forced or overdue wait this long for its report, instead of half a second. A program
    /// has no more than that; a test on a machine that is busy has.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// How long an end waits that has `usual` for it.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        self.patience.unwrap_or(usual)
    }

    /// Writes the report to its places. Blocks until the report file is durable.
    pub fn publish(&self, report: &Report) {
        Self::log(report);
        self.write(report);
    }

    /// Logs the report.
    pub(crate) fn log(report: &Report) {
        info!(
            event = events::SHUTDOWN_REPORT,
            clean = report.clean,
            report = report.to_json(),
            "Report of the shutdown"
        );
    }

    /// Writes the files.
    pub(crate) fn write(&self, report: &Report) {
        let json = report.to_json();
        let _writing = lock(&self.writing);
        warn_of_failure(
            &self.termination_log,
            overwrite(&self.termination_log, &json),
        );
        if let Some(path) = &self.file {
            warn_of_failure(path, replace(path, &json));
        }
    }
}

/// Leaves the last words of a program that can't start where the kubelet reads them, if there is such a place.
pub fn last_words(text: &str) {
    let path = Path::new(TERMINATION_LOG);
    warn_of_failure(path, overwrite(path, text));
}

fn warn_of_failure(path: &Path, result: io::Result<()>) {
    if let Err(error) = result {
        warn!(
            event = events::SHUTDOWN_REPORT_FAILED,
            path = %path.display(),
            %error,
            "The termination message or the shutdown report could not be written"
        );
    }
}

/// Writes over a file that exists; one that does not is not made. It may be a mount of its own, so
/// nothing can be renamed over it.
fn overwrite(path: &Path, text: &str) -> io::Result<()> {
    match OpenOptions::new().write(true).truncate(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Puts a whole new file in the place of `path`, durably: readers see the old one or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = OsString::from(path);
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes a rename in the folder of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_report_file_replaces_the_one_before_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = report_path(&folder.path().join("mesh.db"), "server");
        assert!(path.ends_with("mesh.db.shutdown-server.json"));
        let none = folder.path().join("termination-log");
        let outlets = Outlets::new().with_file(&path).with_termination_log(&none);
        let mut report = sample();
        outlets.publish(&report);
        report.took_milliseconds += 1;
        outlets.publish(&report);
        assert_eq!(Report::read_previous(&path).unwrap(), Some(report));
        let files: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert_eq!(
            files,
            [path],
            "no temporary file and no termination log was made"
        );
    }

    #[test]
    fn a_termination_log_that_exists_is_overwritten_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        fs::write(&path, "x".repeat(10_000)).unwrap();
        let report = sample();
        Outlets::new().with_termination_log(&path).publish(&report);
        assert_eq!(fs::read_to_string(&path).unwrap(), report.to_json());
    }

    #[test]
    fn a_place_that_fails_does_not_keep_the_other_from_its_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        // A folder can't be opened for writing.
        Outlets::new()
            .with_termination_log(folder.path())
            .with_file(&path)
            .publish(&sample());
        assert!(path.exists());
        let missing = folder.path().join("missing/report.json");
        let log = folder.path().join("termination-log");
        fs::write(&log, "").unwrap();
        Outlets::new()
            .with_termination_log(&log)
            .with_file(missing)
            .publish(&sample());
        assert!(fs::read_to_string(&log).unwrap().contains("SIGTERM"));
    }
}
