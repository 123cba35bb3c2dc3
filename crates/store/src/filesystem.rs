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

/// Names of kinds that are fine, for people.
const OTHER_FILE_SYSTEMS: [(u64, &str); 6] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x0102_1994, "tmpfs (in memory)"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
];

/// Refuses a folder on a file system that can't keep a WAL safe.
pub(crate) fn check_kind(folder: &Path) -> Result<()> {
    let magic = magic_of(folder).map_err(|e| Error::io("look at the file system of", folder, e))?;
    match name_in(&UNSAFE_FILE_SYSTEMS, magic) {
        Some(kind) => Err(Error::FileSystem {
            path: folder.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

/// The name of the file system that a folder is on, and whether it can keep a WAL safe.
pub(crate) fn kind_of(folder: &Path) -> (String, bool) {
    let Ok(magic) = magic_of(folder) else {
        return ("unknown".to_owned(), true);
    };
    match name_in(&UNSAFE_FILE_SYSTEMS, magic) {
        Some(name) => (name.to_owned(), false),
        None => match name_in(&OTHER_FILE_SYSTEMS, magic) {
            Some(name) => (name.to_owned(), true),
            None => (format!("type {magic:#x}"), true),
        },
    }
}

fn name_in(kinds: &[(u64, &'static str)], magic: u64) -> Option<&'static str> {
    kinds
        .iter()
        .find(|(known, _)| *known == magic)
        .map(|(_, name)| *name)
}

/// `f_type` of statfs(2).
fn magic_of(folder: &Path) -> io::Result<u64> {
    let stat = statfs(folder)?;
    // `f_type` is signed or unsigned by platform; the low 32 bits are the magic number.
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "a bit pattern, whose type differs by platform"
    )]
    let magic = (stat.f_type as u64) & 0xFFFF_FFFF;
    Ok(magic)
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

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The most links behind one another, as in the kernel.
const MOST_LINKS: usize = 40;

/// The file that `path` leads to, without a link in it, whether the file is there or not; its folder must be.
///
/// SQLite follows links too, so what it puts beside the database is beside this file. All that we put there must be
/// as well: two programs that name one file by two paths would else hold two locks.
///
/// # Errors
/// When a link leads nowhere or in a circle, or can't be read.
pub(crate) fn without_links(path: &Path) -> Result<PathBuf> {
    let failed = |e| Error::io("find", path, e);
    let mut file = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&file) {
            // A relative one begins at the folder that the link is in.
            Ok(target) => file = folder_of(&file).join(target),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                let folder = std::fs::canonicalize(folder_of(&file)).map_err(failed)?;
                return Ok(match file.file_name() {
                    Some(name) => folder.join(name),
                    None => folder,
                });
            }
            Err(e) => return Err(failed(e)),
        }
    }
    Err(failed(io::Error::other(
        "too many links behind one another",
    )))
}

/// Room set aside so that a full disk can still be checkpointed and cleared.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    stands: bool,
}

impl Ballast {
    /// The ballast of the database at `db`: `bytes`, but not more than a sixteenth of the disk.
    pub(crate) fn new(db: &Path, bytes: u64) -> Self {
        let most = free_and_total_bytes(folder_of(db)).map_or(u64::MAX, |(_, total)| total / 16);
        Self {
            path: beside(db, ".ballast"),
            bytes: bytes.min(most),
            stands: false,
        }
    }

    /// How much room is set aside, if any is wanted.
    pub(crate) fn bytes(&self) -> Option<u64> {
        (self.bytes > 0).then_some(self.bytes)
    }

    /// How much room it will take as soon as it can.
    pub(crate) fn missing_bytes(&self) -> u64 {
        if self.stands { 0 } else { self.bytes }
    }

    /// Puts the ballast in place if it isn't.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(crate) fn fill(&mut self) -> Result<()> {
        if self.stands || self.bytes == 0 {
            return Ok(());
        }
        match self.allocate() {
            Ok(()) => self.stands = true,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %self.path.display(), "This file system can't set room aside for when the disk is full");
                self.release();
                self.bytes = 0;
            }
            Err(error) => {
                self.release();
                return Err(Error::io("set room aside in", &self.path, error));
            }
        }
        Ok(())
    }

    fn allocate(&self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)?;
        if file.metadata()?.len() > self.bytes {
            file.set_len(self.bytes)?;
        }
        fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
        file.sync_all()
    }

    /// Gives the room back.
    pub(crate) fn release(&mut self) {
        self.stands = false;
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
        let file = dir.path().join("a.db.ballast");
        let bytes = || std::fs::metadata(&file).map_or(0, |m| m.len());
        let mut ballast = Ballast::new(&dir.path().join("a.db"), 1 << 20);
        ballast.fill().unwrap();
        assert_eq!(bytes(), 1 << 20);
        ballast.release();
        assert!(!file.exists());
        ballast.release();
        ballast.fill().unwrap();
        // A later life with another size.
        Ballast::new(&dir.path().join("a.db"), 1 << 16)
            .fill()
            .unwrap();
        assert_eq!(bytes(), 1 << 16);
    }

    #[test]
    fn a_ballast_that_does_not_fit_leaves_no_file_behind() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        let mut ballast = Ballast {
            bytes: 1 << 60,
            ..Ballast::new(&db, 1)
        };
        assert!(ballast.fill().is_err());
        assert!(!beside(&db, ".ballast").exists());
        let (_, total) = free_and_total_bytes(dir.path()).unwrap();
        assert!(Ballast::new(&db, u64::MAX).bytes <= total / 16);
    }

    #[test]
    fn all_ways_to_a_file_lead_to_one_path() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let real = root.join("data/mesh.db");
        std::fs::create_dir(root.join("data")).unwrap();
        symlink("data", root.join("folder")).unwrap();
        symlink("folder/mesh.db", root.join("relative.db")).unwrap();
        symlink(root.join("relative.db"), root.join("chain.db")).unwrap();
        symlink("circle.db", root.join("circle.db")).unwrap();
        symlink("nowhere/mesh.db", root.join("nowhere.db")).unwrap();
        for is_there in [false, true] {
            for name in ["data/mesh.db", "folder/mesh.db", "relative.db", "chain.db"] {
                let found = without_links(&root.join(name)).unwrap();
                assert_eq!(found, real, "{name}, file there: {is_there}");
            }
            std::fs::write(&real, "").unwrap();
        }
        for name in ["circle.db", "nowhere.db"] {
            let refused = without_links(&root.join(name)).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn a_local_folder_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        check_kind(dir.path()).unwrap();
        let (free, total) = free_and_total_bytes(dir.path()).unwrap();
        assert!(free > 0 && total >= free);
    }
}
