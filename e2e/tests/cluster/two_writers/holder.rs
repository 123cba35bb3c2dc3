//! A foreign process that writes to the database, as far as its lock tells.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Who the programs in the pod are.
const USER: u32 = 65532;
/// Locks the file as the ingestor does, writes its name into it as the ingestor does, and waits.
const LOCK: &str = "exec 9<>\"$0\"; flock --nonblock 9; \
    echo \"meshcore import, process $$ on node1\" >\"$0\"; echo locked; exec cat";

/// It holds the lock until it is dropped.
pub(super) struct Holder {
    child: Child,
}

impl Holder {
    /// Starts it, and waits until it has the lock.
    pub(super) async fn take(database: &Path) -> Self {
        let mut command = std::process::Command::new("sh");
        command
            .arg("-ec")
            .arg(LOCK)
            .arg(database.with_extension("db.writer"));
        command.uid(USER).gid(USER);
        let mut child = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let line = output.lines().next_line().await.unwrap();
        assert_eq!(line.as_deref(), Some("locked"));
        Self { child }
    }

    /// What it calls itself.
    pub(super) fn name(&self) -> String {
        format!("meshcore import, process {}", self.child.id().unwrap())
    }
}
