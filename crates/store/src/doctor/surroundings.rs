//! What stands beside the database: the WAL, the lock, the marker of the last life, the disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::Finding;
use crate::filesystem::{beside, folder_of, free_and_total_bytes, kind_of, without_links};
use crate::in_use;
use crate::life::{Life, PreviousEnd};
use crate::lock::read_holder;

/// Free bytes below which a disk is called nearly full.
const LITTLE_ROOM: u64 = 128 << 20;
/// Bytes of a WAL that a checkpoint should have cut long ago.
const LARGE_WAL: u64 = 256 << 20;

/// How the last writer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LastLife {
    /// It has not: it holds the lock.
    Running,
    /// It closed the file, or there never was one.
    Clean,
    /// It was killed, or the power failed.
    Unclean,
    /// It met an I/O error.
    IoError,
}

impl LastLife {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Clean => "clean",
            Self::Unclean => "killed, or the power failed",
            Self::IoError => "an I/O error",
        }
    }
}

/// A damaged database that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its main file.
    pub path: PathBuf,
    /// Bytes of that.
    pub bytes: u64,
}

/// What stands beside the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Surroundings {
    /// The database.
    pub path: PathBuf,
    /// Whether there is such a file.
    pub exists: bool,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes of its WAL.
    pub wal_bytes: u64,
    /// Bytes that may still be written to the disk, and bytes of the disk.
    pub disk_free_bytes: Option<u64>,
    /// See above.
    pub disk_bytes: Option<u64>,
    /// The kind of file system.
    pub file_system: String,
    /// Whether it can keep a WAL safe.
    pub file_system_is_safe: bool,
    /// Who holds the writer's lock.
    pub lock_holder: Option<String>,
    /// Another process that has the file open, as far as the system tells.
    pub open_in: Option<String>,
    /// How the last writer ended.
    pub last_life: LastLife,
    /// Damaged databases beside it, oldest first.
    pub set_aside: Vec<SetAside>,
}

impl Surroundings {
    pub(super) fn of(named: &Path) -> Self {
        // A path that leads nowhere is looked at as it is: then there is no file.
        let path = &without_links(named).unwrap_or_else(|_| named.to_owned());
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        let folder = folder_of(path);
        let disk = free_and_total_bytes(folder).ok();
        let (file_system, file_system_is_safe) = kind_of(folder);
        let lock_holder = holder_of(path);
        let last_life = match (&lock_holder, Life::read(path)) {
            (Some(_), _) => LastLife::Running,
            (None, PreviousEnd::IoError) => LastLife::IoError,
            (None, PreviousEnd::Unclean) => LastLife::Unclean,
            (None, PreviousEnd::Clean | PreviousEnd::New) => LastLife::Clean,
        };
        Self {
            exists: path.is_file(),
            bytes: bytes(path),
            wal_bytes: bytes(&beside(path, "-wal")),
            disk_free_bytes: disk.map(|(free, _)| free),
            disk_bytes: disk.map(|(_, all)| all),
            file_system,
            file_system_is_safe,
            lock_holder,
            open_in: in_use::other_user(path).ok().flatten(),
            last_life,
            set_aside: set_aside(path),
            path: named.to_owned(),
        }
    }

    pub(super) fn judge(&self, problems: &mut Vec<Finding>, notes: &mut Vec<Finding>) {
        if !self.exists {
            problems.push(Finding::new(
                "there is no such file",
                "name the database with --db or DB_PATH; the ingestor makes a new one",
            ));
        }
        if !self.file_system_is_safe {
            problems.push(Finding::new(
                format!("{} can't keep a WAL safe", self.file_system),
                "move the database to a local file system (ext4, xfs)",
            ));
        }
        if let Some(free) = self.disk_free_bytes.filter(|free| *free < LITTLE_ROOM) {
            problems.push(Finding::new(
                format!("the disk has {} left", size(free)),
                "make room: on a full disk nothing is acknowledged and nothing is written",
            ));
        }
        match self.last_life {
            LastLife::IoError => problems.push(Finding::new(
                "the last writer met an I/O error",
                "look at the disk (dmesg, smartctl); the next start completes a checkpoint before it goes on",
            )),
            LastLife::Unclean => notes.push(Finding::new(
                "the last writer was killed, or the power failed",
                "nothing to do: the next start recovers what was committed",
            )),
            LastLife::Running | LastLife::Clean => {}
        }
        if self.wal_bytes > LARGE_WAL {
            let cure = if self.lock_holder.is_some() {
                "some reader keeps it from being cut: end programs that hold a read transaction open"
            } else {
                "`meshcore doctor --checkpoint`"
            };
            problems.push(Finding::new(
                format!("the WAL has grown to {}", size(self.wal_bytes)),
                cure,
            ));
        }
        for aside in &self.set_aside {
            notes.push(Finding::new(
                format!("a damaged database was set aside: {}", aside.path.display()),
                "delete it with its -wal and -shm when you don't need it; `sqlite3 FILE .recover` may read it",
            ));
        }
    }
}

/// Who holds the writer's lock. It is asked for a moment with a shared lock, which a starting ingestor waits out.
fn holder_of(path: &Path) -> Option<String> {
    let mut file = File::open(beside(path, ".writer")).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Some(read_holder(&mut file)),
        _ => None,
    }
}

/// Main files of databases that were set aside, by name, which is by time.
fn set_aside(path: &Path) -> Vec<SetAside> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let prefix = format!("{name}.corrupt-");
    let entries = std::fs::read_dir(folder_of(path)).into_iter().flatten();
    let mut found: Vec<SetAside> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .map(|entry| SetAside {
            bytes: entry.metadata().map_or(0, |m| m.len()),
            path: entry.path(),
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// `12.3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut unit = 0;
    // In tenths, so that no float is needed.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    while tenths >= 10_240 && unit < UNITS.len() - 1 {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(super::size(bytes), text);
        }
    }
}
