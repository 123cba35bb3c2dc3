//! Files of the repository that are made from its code.

use std::fs;
use std::path::Path;

/// Compares a generated file with the text that it should have; with `GENERATE=true`, as `make generate` sets it,
/// a stale one is written instead.
///
/// # Panics
/// When the file is stale, with the command that makes it.
pub fn generated_file(path: &str, text: &str) {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path);
    if fs::read_to_string(&file).is_ok_and(|is_now| is_now == text) {
        return;
    }
    let writes = std::env::var_os("GENERATE").is_some_and(|generate| generate == "true");
    assert!(
        writes,
        "{path} is not what the code makes of it; run `make generate` and commit it"
    );
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).expect("the folder of a generated file can be made");
    }
    fs::write(&file, text).expect("a generated file can be written");
}
