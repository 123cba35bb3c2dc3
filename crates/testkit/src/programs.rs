//! The ingestor and the server, for tests of what runs them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The folder of `binary`, which is one of the package under test, with the ingestor and the server in it: they are
/// built if they are missing or older than the sources.
///
/// Cargo builds only the binaries of the package under test. One that is fresh is left alone: a build with other
/// features would replace it.
///
/// # Panics
/// When they can't be built.
pub fn programs_beside(binary: &str) -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(binary).parent().expect("a binary is in a folder");
        let sources = ["crates", "ingestor/src", "server/src"];
        let sources = sources.map(|below| newest(&workspace().join(below)));
        let sources = sources.into_iter().max().expect("three folders");
        for program in ["meshcore-ingestor", "meshcore-server"] {
            if modified(&folder.join(program)).is_none_or(|built| built < sources) {
                build(folder, program);
            }
        }
        folder.to_owned()
    })
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// When the last Rust file below a folder was changed. Cargo lists a program's sources beside it, but only after
/// `cargo build`: the lists are missing, or old, where `cargo test` built it.
fn newest(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).expect("the sources are there");
    let changed = entries.filter_map(|entry| {
        let path = entry.expect("the sources can be listed").path();
        // No program is made of this crate.
        if path.ends_with("crates/testkit") {
            return None;
        }
        if path.is_dir() {
            return Some(newest(&path));
        }
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        is_rust.then(|| modified(&path)).flatten()
    });
    changed.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|file| file.modified())
        .ok()
}

/// With the deliberate faults, as `make test` builds it: the tests of the ingestor run the same file, and without
/// their variable the faults do nothing.
fn build(folder: &Path, program: &str) {
    // `debug` is the folder of the profile `dev`.
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told this test of its package. A dependency that reads it would be compiled again, and once more by
    // whoever builds next.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let built = cargo
        .args(["build", "--quiet", "--bin", program, "--profile", profile])
        .args(["--features", "meshcore-ingestor/mutants"])
        .arg("--target-dir")
        .arg(folder.parent().expect("a profile is in a target folder"))
        .current_dir(workspace())
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "cargo builds {program}"
    );
}
