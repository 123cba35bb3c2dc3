//! A disk so small that it can be filled.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An ext4 file system of its own on a loop device; unmounted and gone with this value.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    _image: TempDir,
    mount: TempDir,
}

impl SmallDisk {
    /// Makes and mounts one. `None`, loudly, for users who may not mount.
    ///
    /// # Panics
    /// With `CI=true` when it can't be done, and when mkfs or mount fail for root.
    pub(crate) fn new(mebibytes: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            let message = "a small disk can be mounted by root only";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
            announce(&format!("SKIPPED: {message}"));
            return None;
        }
        let image = tempfile::tempdir().expect("a folder for the image");
        let mount = tempfile::tempdir().expect("a folder to mount on");
        let file = image.path().join("disk.img");
        std::fs::File::create(&file)
            .and_then(|f| f.set_len(mebibytes << 20))
            .expect("an image file");
        // No blocks are kept for root: full is full.
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&file));
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&file)
            .arg(mount.path()));
        let disk = Self {
            _image: image,
            mount,
        };
        std::fs::create_dir(disk.path()).expect("a folder on the new disk");
        Some(disk)
    }

    /// A folder on it.
    pub(crate) fn path(&self) -> PathBuf {
        self.mount.path().join("data")
    }

    /// Bytes that can still be written.
    pub(crate) fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.mount.path()).expect("a mounted disk");
        stat.f_bavail * stat.f_frsize
    }

    /// Takes all room but `left` bytes.
    pub(crate) fn fill_but(&self, left: u64) -> Filler {
        let path = self.mount.path().join("filler");
        let filler = Filler { path };
        let file = std::fs::File::create(&filler.path).expect("a filler file");
        // The file's own bookkeeping needs some room too; what is left over goes block by block.
        let bytes = self.free_bytes().saturating_sub(left.max(256 << 10));
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes.max(1))
            .expect("the room was free");
        if left == 0 {
            let mut file = std::fs::File::options()
                .append(true)
                .open(&filler.path)
                .expect("the filler file");
            while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
        }
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let umount = |option: &[&str]| {
            let status = Command::new("umount")
                .args(option)
                .arg(self.mount.path())
                .stderr(std::process::Stdio::null())
                .status();
            status.is_ok_and(|s| s.success())
        };
        // Connections that were dropped close a moment later, on threads of their own.
        for _ in 0..200 {
            if umount(&["-q"]) {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        if !umount(&["-l"]) {
            announce(&format!("{} stays mounted", self.mount.path().display()));
        }
    }
}

/// A file that takes room; gone with this value.
#[derive(Debug)]
pub(crate) struct Filler {
    path: PathBuf,
}

impl Filler {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

/// Says something that must be seen even when the test passes.
#[expect(clippy::print_stderr, reason = "for the person who runs the tests")]
pub(crate) fn announce(message: &str) {
    eprintln!("\n*** {message}\n");
}
