//! A disk so small that it can be filled.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::disk::{Mount, can_mount, run, sparse_file, text};

/// An ext4 file system of its own on a loop device; unmounted and gone with this value.
#[derive(Debug)]
pub struct SmallDisk {
    // In this order they are unmounted and removed.
    mount: Mount,
    _folder: TempDir,
}

impl SmallDisk {
    /// Makes and mounts one. `None`, loudly, for users who may not mount.
    ///
    /// # Panics
    /// When mkfs or mount fail.
    pub fn new(mebibytes: u64) -> Option<Self> {
        if !can_mount() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder for the image");
        let image = folder.path().join("disk.img");
        sparse_file(&image, mebibytes).expect("an image file");
        // No blocks are kept for root: full is full.
        let path = text(&image).expect("a path that is text");
        run("mkfs.ext4", &["-q", "-F", "-m", "0", path]).expect("mkfs.ext4 is installed");
        let mount = Mount::image(&image, &folder.path().join("disk")).expect("the image mounts");
        let disk = Self {
            mount,
            _folder: folder,
        };
        std::fs::create_dir(disk.path()).expect("a folder on the new disk");
        Some(disk)
    }

    /// A folder on it.
    pub fn path(&self) -> PathBuf {
        self.mount.path().join("data")
    }

    /// Bytes that can still be written.
    ///
    /// # Panics
    /// When the disk can't be asked.
    pub fn free_bytes(&self) -> u64 {
        let stat = statvfs(self.mount.path()).expect("a mounted disk");
        stat.f_bavail * stat.f_frsize
    }

    /// Takes all room but `left` bytes.
    ///
    /// # Panics
    /// When there is less room than that.
    pub fn fill_but(&self, left: u64) -> Filler {
        let filler = Filler(self.mount.path().join("filler"));
        let file = File::create(&filler.0).expect("a filler file");
        // The file's own bookkeeping needs some room too; what is left over goes block by block.
        let bytes = self.free_bytes().saturating_sub(left.max(256 << 10)).max(1);
        fallocate(&file, FallocateFlags::empty(), 0, bytes).expect("the room was free");
        if left == 0 {
            let mut file = OpenOptions::new()
                .append(true)
                .open(&filler.0)
                .expect("the filler file");
            while file.write_all(&[1; 512]).is_ok() {}
        }
        filler
    }
}

/// A file that takes room; gone with this value.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Filler {
    /// Takes all the room that the file system of a folder has left.
    pub fn of(folder: &Path) -> Result<Self> {
        let filler = Self(folder.join("filler"));
        filler.take_more()?;
        Ok(filler)
    }

    /// Takes the room too that has become free since.
    pub fn take_more(&self) -> Result<()> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&self.0)?;
        let mut length = file.metadata()?.len();
        let mut piece = 64 << 20;
        while piece >= 512 {
            match fallocate(&file, FallocateFlags::empty(), length, piece) {
                Ok(()) => length += piece,
                Err(Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("fill the disk"),
            }
        }
        Ok(())
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}
