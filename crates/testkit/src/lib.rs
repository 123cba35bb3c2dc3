//! Real parts for tests: a mosquitto of one's own, programs as processes, a proxy that sees what was
//! acknowledged, databases as CoreScope leaves them. Nothing here is a stand-in; what is missing on the machine
//! is a failure that says what to install.

mod broker;
mod certificates;
pub mod container;
mod corescope;
mod disk;
mod generated;
pub mod kubernetes;
mod live;
mod mqtt_wire;
mod port;
mod process;
mod programs;
mod proxy;
mod publisher;
mod small_disk;
mod traffic;
mod version_gate;

pub use broker::{Mosquitto, MosquittoOptions};
pub use certificates::Certificates;
pub use corescope::{CORESCOPE_MIGRATIONS, CoreScopeEnd, CoreScopeOptions};
pub use disk::{CutDisk, CuttableDisk, Mount, can_mount};
pub use generated::generated_file;
pub use live::{Ended, LiveClient, ids_of, with_small_buffer};
pub use port::free_port;
pub use process::{Program, http_get, http_get_within, wait_until};
pub use programs::programs_beside;
pub use proxy::{AckProxy, Acknowledged, Connect};
pub use publisher::Publisher;
pub use small_disk::{Filler, SmallDisk};
pub use traffic::{NumberedPacket, numbered_packet, packet_hash_of, path_and_payload_of};
pub use version_gate::VersionGate;

use std::path::PathBuf;

/// A number that is another one each time, for names and ports.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::thread::current().id())
}

/// A file of the shared fixtures that must not be copied into the repository: `../shared/fixtures/<name>`.
/// Where it is missing this says so, and fails in CI.
///
/// # Panics
/// When the file is missing and `CI` is `true`.
pub fn shared_fixture(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/fixtures"
    ))
    .join(name);
    if path.exists() {
        return Some(path);
    }
    let message = format!(
        "{} is missing: real captures are not in the repository",
        path.display()
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    announce(&format!("SKIPPED: {message}"));
    None
}

/// Says something that must be seen even when the test passes.
#[expect(clippy::print_stderr, reason = "for the person who runs the tests")]
pub fn announce(message: &str) {
    eprintln!("\n*** {message}\n");
}
