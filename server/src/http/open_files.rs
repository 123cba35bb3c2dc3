//! The operating system's limit of open files, which every connection counts against.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open beside connections: the database, logs, the runtime's own.
const OTHERS: u64 = 100;

/// Raises the soft limit of open files so far that `connections` are possible, and says how many are.
pub(crate) fn allow_open_files(connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OTHERS;
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return connections;
    }
    let raised = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let new = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    let possible = match setrlimit(Resource::Nofile, new) {
        Ok(()) => raised,
        Err(_) => current,
    };
    let connections = usize::try_from(possible.saturating_sub(OTHERS).max(1))
        .map_or(connections, |possible| connections.min(possible));
    if possible < wanted {
        tracing::warn!(
            open_files = possible,
            connections,
            "The limit of open files allows fewer connections than --max-connections; raise it (ulimit -n)"
        );
    }
    connections
}
