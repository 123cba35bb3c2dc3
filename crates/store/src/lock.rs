//! The advisory lock that keeps a second writer away from the file.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};
use crate::filesystem::{beside, without_links};

/// The writer's lock: a `flock` on `<db>.writer`, held until it is dropped or the process ends.
///
/// It is never taken on the database files themselves: closing any descriptor of those would drop SQLite's
/// own locks. Links in the path are followed, so that there is one lock for one file. What flock can't see (another kernel, a file system without it) the fencing token catches.
#[derive(Debug)]
pub struct WriterLock {
    file: File,
}

impl WriterLock {
    /// Takes the lock of the database at `db`, on behalf of `program`.
    ///
    /// # Errors
    /// [`Error::Locked`], naming the holder, when another process has it; [`Error::Io`] when the file
    /// can't be found, or the lock file can't be opened.
    pub fn acquire(db: &Path, program: &str) -> Result<Self> {
        let path = beside(&without_links(db)?, ".writer");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io("open the lock file", &path, e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Locked {
                    path: db.to_owned(),
                    holder: read_holder(&mut file),
                });
            }
            Err(e) => return Err(Error::io("lock", &path, e.into())),
        }
        write_holder(&mut file, program).map_err(|e| Error::io("write the lock file", &path, e))?;
        Ok(Self { file })
    }
}

impl Drop for WriterLock {
    /// Closing alone would not do: a child that another thread forks has our descriptors, and so the lock, until its exec.
    fn drop(&mut self) {
        // What can't be unlocked ends with the descriptor.
        flock(&self.file, FlockOperation::Unlock).ok();
    }
}

/// The first 200 characters that the holder wrote about itself.
pub(crate) fn read_holder(file: &mut File) -> String {
    let mut text = Vec::new();
    match file.take(200).read_to_end(&mut text) {
        Ok(_) if !text.is_empty() => String::from_utf8_lossy(&text).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Says who holds the lock. A full disk must not keep the writer from starting: then it stays unsaid.
fn write_holder(file: &mut File, program: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let line = format!(
        "{program}, process {} on {host}, since {}\n",
        std::process::id(),
        crate::time::now_text()
    );
    match file.write_all(line.as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        let held = WriterLock::acquire(&db, "meshcore-ingestor").unwrap();
        let refused = WriterLock::acquire(&db, "meshcore import")
            .unwrap_err()
            .to_string();
        assert!(refused.contains("meshcore-ingestor"), "{refused}");
        assert!(
            refused.contains(&std::process::id().to_string()),
            "{refused}"
        );
        drop(held);
        WriterLock::acquire(&db, "meshcore import").unwrap();
    }

    #[test]
    fn a_descriptor_that_a_child_inherited_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        let held = WriterLock::acquire(&db, "meshcore-ingestor").unwrap();
        let inherited = held.file.try_clone().unwrap();
        drop(held);
        WriterLock::acquire(&db, "meshcore-ingestor").unwrap();
        drop(inherited);
    }
}
