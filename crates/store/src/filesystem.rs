//! The disk under the database: which file systems will do, syncing of folders, free room, the ballast file.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statfs, statvfs};

use crate::error::{Error, Result};

/// Kinds of file system that can't keep a WAL safe: no coherent shared memory, no real locks, or syncs that
/// may do nothing. The numbers are `f_type` of statfs(2).
const UNSAFE_FILE_SYSTEMS: [(u64, &str); 7] = [
    (0x6969, "NFS"),
    (0xFE53_4D42, "SMB2"),
    (0xFF53_4D42, "CIFS"),
    (0x517B, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x794C_7630, "an overlay (the container's own layer)"),
    (0x0102_1997, "9p"),
];

/// Refuses a folder on a file system that can't keep a WAL safe.
pub(crate) fn check_kind(folder: &Path) -> Result<()> {
    let stat =
        statfs(folder).map_err(|e| Error::io("look at the file system of", folder, e.into()))?;
    // `f_type` is signed or unsigned by platform; the low 32 bits are the magic number.
    #[expect(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "a bit pattern, not a number"
    )]
    let magic = (stat.f_type as u64) & 0xFFFF_FFFF;
    match UNSAFE_FILE_SYSTEMS
        .iter()
        .find(|(known, _)| *known == magic)
    {
        Some((_, kind)) => Err(Error::FileSystem {
            path: folder.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

/// Bytes that an unprivileged process may still write, and bytes in all, on the disk of `folder`.
///
/// # Errors
/// When the file system can't be asked.
pub fn free_and_total_bytes(folder: &Path) -> io::Result<(u64, u64)> {
    let stat = statvfs(folder)?;
    Ok((
        stat.f_bavail.saturating_mul(stat.f_frsize),
        stat.f_blocks.saturating_mul(stat.f_frsize),
    ))
}

/// Makes a folder's entries durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| Error::io("sync the folder", folder, e))
}

/// Creates the folder of the database and makes it durable before SQLite relies on it: SQLite ignores an
/// error of its own directory sync.
pub(crate) fn prepare_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
    sync_folder(folder)?;
    // The parent can be unreadable for us (a mount point of root's): then it was not made by us either.
    if let Some(parent) = folder.parent().filter(|p| !p.as_os_str().is_empty())
        && let Ok(file) = File::open(parent)
    {
        file.sync_all()
            .map_err(|e| Error::io("sync the folder", parent, e))?;
    }
    Ok(())
}

/// `path` with `suffix` behind its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Room set aside so that a full disk can still be checkpointed.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(crate) fn new(db: &Path, bytes: u64) -> Self {
        Self {
            path: beside(db, ".ballast"),
            bytes,
        }
    }

    /// Whether the ballast stands at its full size.
    pub(crate) fn is_in_place(&self) -> bool {
        self.bytes == 0 || std::fs::metadata(&self.path).is_ok_and(|m| m.len() >= self.bytes)
    }

    /// Puts the ballast in place.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(crate) fn fill(&self) -> Result<()> {
        if self.is_in_place() {
            return Ok(());
        }
        let result = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)
            .and_then(|file| {
                fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
                file.sync_all()
            });
        result.map_err(|e| {
            self.drop_quietly();
            Error::io("set room aside in", &self.path, e)
        })
    }

    /// Gives the room back.
    pub(crate) fn release(&self) {
        self.drop_quietly();
    }

    fn drop_quietly(&self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "The ballast file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballast_takes_its_room_and_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(&dir.path().join("a.db"), 1 << 20);
        assert!(!ballast.is_in_place());
        ballast.fill().unwrap();
        assert!(ballast.is_in_place());
        assert_eq!(
            std::fs::metadata(dir.path().join("a.db.ballast"))
                .unwrap()
                .len(),
            1 << 20
        );
        ballast.release();
        assert!(!ballast.is_in_place());
        ballast.release();
    }

    #[test]
    fn a_ballast_that_does_not_fit_leaves_no_file_behind() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(&dir.path().join("a.db"), 1 << 60);
        assert!(ballast.fill().is_err());
        assert!(!dir.path().join("a.db.ballast").exists());
    }

    #[test]
    fn a_local_folder_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        check_kind(dir.path()).unwrap();
        let (free, total) = free_and_total_bytes(dir.path()).unwrap();
        assert!(free > 0 && total >= free);
    }
}
