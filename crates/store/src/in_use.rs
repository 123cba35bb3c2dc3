//! Whether another process has a database open that is not ours yet.
//!
//! CoreScope's programs know nothing of our writer lock. But whoever has a file in WAL mode open holds a
//! shared lock on it all the time, and the system says who.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use crate::error::{Error, Result};

/// Where SQLite puts its locks in the database file, and how many bytes they take
/// (<https://sqlite.org/fileformat2.html#the_lock_byte_page>).
const LOCK_BYTES: (u64, u64) = (0x4000_0000, 512);

/// Our descriptors for asking, by file. They stay open until the process ends: closing one would drop the locks
/// that SQLite holds on the same file for us.
fn descriptors() -> &'static Mutex<HashMap<(u64, u64), File>> {
    static DESCRIPTORS: OnceLock<Mutex<HashMap<(u64, u64), File>>> = OnceLock::new();
    DESCRIPTORS.get_or_init(Mutex::default)
}

/// Who has the database at `path` open, of the processes other than this one.
pub(crate) fn other_user(path: &Path) -> Result<Option<String>> {
    let failed = |e| Error::io("look who uses", path, e);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let mut files = descriptors().lock().unwrap_or_else(PoisonError::into_inner);
    let file = match files.entry((metadata.dev(), metadata.ino())) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(File::open(path).map_err(failed)?),
    };
    let wanted = Flock {
        start: LOCK_BYTES.0,
        length: LOCK_BYTES.1,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let held = fcntl_getlk(&*file, &wanted).map_err(|e| failed(e.into()))?;
    Ok(held.map(|lock| match lock.pid {
        Some(pid) => name_of(pid.as_raw_nonzero().get()),
        None => "a process of another container".to_owned(),
    }))
}

fn name_of(pid: i32) -> String {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{}, process {pid}", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}
