//! Files of the repository that are made from its code.

use std::fs;
use std::path::Path;

/// Compares a generated file with the text that it should have.
///
/// A stale file is written anew and the test fails once, so that nobody overlooks the change; in CI (`CI=true`)
/// it only fails.
///
/// # Panics
/// When the file is stale, with the command that makes it.
pub fn generated_file(path: &str, text: &str) {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path);
    // Whatever the checkout did to line ends is not a change.
    let is_now = fs::read_to_string(&file).map(|text| text.replace("\r\n", "\n"));
    if is_now.is_ok_and(|is_now| is_now == text) {
        return;
    }
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        panic!("{path} is not what the code makes of it; run `make generate` and commit it");
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).expect("the folder of a generated file can be made");
    }
    fs::write(&file, text).expect("a generated file can be written");
    panic!("{path} was stale and is written anew; commit it");
}
