//! What must be free or there before anything is started: the data folder, the ports, the programs.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::terminal::Usage;

/// The lock of a data folder; it is held as long as this value lives.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: File,
}

/// Why a data folder can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataError {
    /// It can't be made or written to.
    #[error(
        "cannot write in the data folder {}: {source}. Choose another with --data, or change its owner or mode",
        path.display()
    )]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another `up` works there.
    #[error(
        "the data folder {} is in use by another `meshcore up` ({holder}). Stop that one, or choose another folder with --data",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// What the other one wrote about itself.
        holder: String,
    },
}

/// Makes the data folder and takes its lock. The database has a lock of its own; this one keeps a second `up` from
/// waiting for it in silence.
pub(super) fn lock_data(path: &Path) -> Result<DataLock, DataError> {
    let not_writable = |source| DataError::NotWritable {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(not_writable)?;
    let mut options = File::options();
    options.read(true).write(true).create(true);
    let mut file = options.open(path.join("up.lock")).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = (&file).take(200).read_to_string(&mut holder);
            let holder = match read {
                Ok(_) if !holder.trim().is_empty() => holder.trim().to_owned(),
                _ => "unknown process".to_owned(),
            };
            return Err(DataError::InUse {
                path: path.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(source)) => return Err(not_writable(source)),
    }
    file.set_len(0).map_err(not_writable)?;
    let holder = format!(
        "process {}, since {}\n",
        std::process::id(),
        jiff::Timestamp::now().strftime("%FT%TZ")
    );
    file.write_all(holder.as_bytes()).map_err(not_writable)?;
    Ok(DataLock { _file: file })
}

/// Whether somebody can listen there; for port 0 a free one is chosen. The port stays taken until the listener is
/// dropped, so that two that are asked for one after the other can't be the same.
///
/// # Errors
/// Which one is taken, for what, and by which flag to choose another.
pub(super) fn listen(address: SocketAddr, program: &str, flag: &str) -> Result<TcpListener, Usage> {
    TcpListener::bind(address).map_err(|error| {
        let (host, port) = (address.ip(), address.port());
        let other = SocketAddr::new(host, port.checked_add(10).unwrap_or(0));
        Usage(match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {port} on {host} is in use, and the {program} is to listen there. Stop what uses it, or \
                 choose another with {flag} {other}"
            ),
            ErrorKind::AddrNotAvailable => format!(
                "{host} is no address of this machine, and the {program} is to listen there. Change {flag}"
            ),
            ErrorKind::PermissionDenied => format!(
                "this user may not listen on port {port} of {host}. Choose one above 1023 for the {program} with \
                 {flag}"
            ),
            _ => format!("the {program} can't listen on {address} ({flag}): {error}"),
        })
    })
}

/// Finds a program beside this one, else in PATH.
///
/// # Errors
/// When it is in neither, with the cure.
pub(super) fn find_program(name: &str) -> Result<PathBuf, Usage> {
    let beside = std::env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.iter().cloned().chain(std::env::split_paths(&path));
    folders
        .map(|folder| folder.join(name))
        .find(|program| is_executable(program))
        .ok_or_else(|| {
            let beside = beside.unwrap_or_default();
            Usage(format!(
                "the program {name} is neither in {} nor in PATH. Build it with `cargo build --bin {name}`, or put \
                 it beside meshcore",
                beside.display()
            ))
        })
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_holds_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let held = lock_data(&path).unwrap();
        let refused = lock_data(&path).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        assert!(refused.contains("--data"), "{refused}");
        drop(held);
        lock_data(&path).unwrap();
    }

    #[test]
    fn a_taken_port_is_named_with_the_flag() {
        let taken = listen("127.0.0.1:0".parse().unwrap(), "server", "--listen").unwrap();
        let address = taken.local_addr().unwrap();
        let refused = listen(address, "server", "--listen")
            .unwrap_err()
            .to_string();
        let port = address.port();
        assert!(
            refused.starts_with(&format!("port {port} on 127.0.0.1 is in use")),
            "{refused}"
        );
        assert!(refused.contains("--listen 127.0.0.1:"), "{refused}");
        let elsewhere = listen("192.0.2.1:80".parse().unwrap(), "server", "--listen");
        assert!(
            elsewhere
                .unwrap_err()
                .to_string()
                .contains("no address of this machine")
        );
    }

    #[test]
    fn programs_are_found_in_path_or_named() {
        assert!(find_program("sh").unwrap().ends_with("sh"));
        let missing = find_program("meshcore-nothing").unwrap_err().to_string();
        assert!(
            missing.contains("meshcore-nothing") && missing.contains("cargo build"),
            "{missing}"
        );
    }
}
