//! The programs that `up` runs, built beside `meshcore`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The folder with `meshcore` and both programs, which are built if they are missing or older than their sources.
///
/// Cargo builds only the binaries of the package under test. One that is fresh is left alone: it may have been built
/// with features that the tests of its own package need, and a build without them would replace it.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_meshcore")).parent().unwrap();
        for program in ["meshcore-ingestor", "meshcore-server"] {
            if !is_fresh(&folder.join(program)) {
                build(folder, program);
            }
        }
        folder.to_owned()
    })
}

/// Whether no source is newer than the program. Cargo lists its sources beside it.
fn is_fresh(program: &Path) -> bool {
    let modified = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|file| file.modified())
            .ok()
    };
    let Some(built) = modified(program) else {
        return false;
    };
    let Ok(list) = std::fs::read_to_string(program.with_extension("d")) else {
        return false;
    };
    let (_, sources) = list.split_once(": ").unwrap_or_default();
    let is_older =
        |source: &str| modified(Path::new(source)).is_some_and(|at: SystemTime| at <= built);
    sources.split_whitespace().all(is_older)
}

fn build(folder: &Path, program: &str) {
    // `debug` is the folder of the profile `dev`.
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--bin", program, "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "cargo builds {program}"
    );
}
