//! What outlives the tests by a moment, to leave nothing behind.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Waits for the end of its input, then kills the processes that are noted in the folder, as far as they are still
/// about that folder, and removes it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
while read -r id; do
  grep -qsF "$0" "/proc/$id/cmdline" && kill -9 "$id"
done <"$0/processes"
until rm -rf "$0" 2>/dev/null; do sleep 0.1; done
"#;

/// A process that cleans up when this one ends, however it ends. A control plane that all tests of a binary share
/// is never dropped, and a test that is killed drops nothing.
#[derive(Debug)]
pub(super) struct Janitor {
    process: Child,
    notes: Mutex<std::fs::File>,
}

impl Janitor {
    /// Takes charge of a folder.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let notes = std::fs::File::create(folder.join("processes"))?;
        let process = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .arg(folder)
            // Its end is the signal: it closes with this process, and no other process holds it.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for the tests; the janitor comes after them.
            .process_group(0)
            .spawn()
            .context("start a shell that cleans up")?;
        Ok(Self {
            process,
            notes: Mutex::new(notes),
        })
    }

    /// Notes a process to be killed.
    pub(super) fn note(&self, id: u32) -> Result<()> {
        use std::io::Write;
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writeln!(notes, "{id}")?)
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It can only fail when somebody else waited for it.
        drop(self.process.wait());
    }
}
