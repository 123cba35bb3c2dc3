//! Disks of a test's own: small file systems in files, and power cuts. Needs root and loop devices.
//!
//! A power cut: an ext4 file system lives in a file on a reflink-capable xfs. A clone of that file holds
//! exactly what ext4 had sent to its disk at one instant: data only in the page cache is lost, as when the
//! power fails. The clone is mounted (its journal is replayed) and looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Whether disks can be made here; says loudly if not, and fails in CI.
///
/// # Panics
/// When this is not root and `CI` is `true`.
pub fn can_mount() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let message = "SKIPPED: only root can mount the disks that this test needs";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    crate::announce(message);
    false
}

/// A mounted file system; it is unmounted with this value.
#[derive(Debug)]
pub struct Mount {
    target: PathBuf,
}

impl Mount {
    /// Mounts the image `file` at `target` by a loop device.
    pub fn image(file: &Path, target: &Path) -> Result<Self> {
        std::fs::create_dir_all(target)?;
        run("mount", &["-o", "loop", text(file)?, text(target)?])?;
        Ok(Self {
            target: target.to_owned(),
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.target
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &[&self.target.to_string_lossy()])
            && let Err(lazily) = run("umount", &["-l", &self.target.to_string_lossy()])
        {
            crate::announce(&format!(
                "{} stays mounted: {error}; {lazily}",
                self.target.display()
            ));
        }
    }
}

/// A disk whose power can be cut.
#[derive(Debug)]
pub struct CuttableDisk {
    // In this order they are unmounted and removed.
    data: Mount,
    outer: Mount,
    folder: TempDir,
}

impl CuttableDisk {
    /// Makes a disk of `megabytes`.
    pub fn new(megabytes: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        sparse_file(&at("outer.img"), megabytes * 4 + 512)?;
        run(
            "mkfs.xfs",
            &["-q", "-m", "reflink=1", text(&at("outer.img"))?],
        )
        .context("apt-get install xfsprogs")?;
        let outer = Mount::image(&at("outer.img"), &at("outer"))?;
        let disk = outer.path().join("disk.img");
        sparse_file(&disk, megabytes)?;
        run("mkfs.ext4", &["-q", text(&disk)?])?;
        let data = Mount::image(&disk, &at("data"))?;
        Ok(Self {
            data,
            outer,
            folder,
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.data.path()
    }

    /// The disk as it would be found if the power failed now.
    pub fn cut(&self) -> Result<CutDisk> {
        let image = self.outer.path().join("cut.img");
        run(
            "cp",
            &[
                "--reflink=always",
                text(&self.outer.path().join("disk.img"))?,
                text(&image)?,
            ],
        )?;
        let mount = Mount::image(&image, &self.folder.path().join("cut"))?;
        Ok(CutDisk { mount, image })
    }
}

/// What was left on a disk after a power cut.
#[derive(Debug)]
pub struct CutDisk {
    mount: Mount,
    image: PathBuf,
}

impl CutDisk {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mount.path()
    }
}

impl Drop for CutDisk {
    fn drop(&mut self) {
        // The mount goes after this; its loop device keeps the file until then.
        if let Err(error) = std::fs::remove_file(&self.image) {
            crate::announce(&format!("{} stays: {error}", self.image.display()));
        }
    }
}

pub(crate) fn sparse_file(path: &Path, megabytes: u64) -> Result<()> {
    std::fs::File::create(path)?.set_len(megabytes << 20)?;
    Ok(())
}

pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
