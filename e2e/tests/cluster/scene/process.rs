//! The processes of containers, as the node sees them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::{SOON, Scene, bare_id, until};

/// A process of a container, by its number on the node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(i32);

/// A process that stands still until this is dropped, or for ever if somebody kills it.
pub(crate) struct Frozen(Process);

impl Scene {
    /// The process of one of the pod's containers.
    pub(crate) async fn process(&self, container: &str) -> Process {
        let pod = self.pod().await;
        self.process_of(pod.container_id(container).unwrap())
    }

    /// The process of any container by its id, such as `containerd://0123…`.
    pub(crate) fn process_of(&self, container_id: &str) -> Process {
        let id = bare_id(container_id);
        let tasks = self.cluster.ctr(&["tasks", "list"]).unwrap();
        let task = tasks.lines().find(|line| line.starts_with(id));
        let task = task.unwrap_or_else(|| panic!("{id} does not run:\n{tasks}"));
        Process(task.split_whitespace().nth(1).unwrap().parse().unwrap())
    }
}

impl Process {
    /// What started it: for a container's process, that is containerd's shim.
    pub(crate) fn parent(self) -> Self {
        Self(self.stat().unwrap()[1].parse().unwrap())
    }

    /// The code that it has ended with, if it has and nobody has asked for it yet.
    pub(crate) fn exit_code(self) -> Option<i32> {
        let stat = self.stat()?;
        let status: i32 = stat.last()?.parse().ok()?;
        (stat[0] == "Z").then_some(status >> 8)
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_gone(self) -> bool {
        self.stat().is_none()
    }

    /// Stops it as SIGSTOP does.
    pub(crate) async fn freeze(self) -> Frozen {
        self.signal(Signal::STOP).unwrap();
        until("it stands still", async || {
            let state = self.stat().unwrap().swap_remove(0);
            (state == "T").then_some(()).ok_or(state)
        })
        .await;
        Frozen(self)
    }

    /// Holds all threads of its runtime at their next system call, until the process ends.
    pub(crate) fn block_runtime(self) {
        let mut strace = Command::new("strace");
        strace.args(["--quiet=all", "--output=/dev/null"]);
        // In microseconds: longer than any test.
        strace.arg("--inject=all:delay_enter=3600000000");
        let mut watchdog = None;
        for thread in std::fs::read_dir(self.file("task")).unwrap() {
            let thread = thread.unwrap();
            let name = std::fs::read_to_string(thread.path().join("comm")).unwrap();
            match name.trim() {
                "signals" => {}
                "watchdog" => watchdog = Some(thread.path()),
                _ => drop(strace.arg("--attach").arg(thread.file_name())),
            }
        }
        let watchdog = watchdog.expect("a thread of its own");
        let strace = strace.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let strace = strace.expect("strace is there (scripts/setup.sh)");
        // What is traced is not dead before strace has looked, and it looks only when the delay is over.
        tokio::spawn(async move {
            let ends = async {
                while watchdog.exists() {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(SOON, ends).await.expect("the process ends");
            drop(strace);
        });
    }

    fn signal(self, signal: Signal) -> rustix::io::Result<()> {
        kill_process(Pid::from_raw(self.0).unwrap(), signal)
    }

    /// The fields of its `stat` from the state on (proc(5)).
    fn stat(self) -> Option<Vec<String>> {
        let stat = std::fs::read_to_string(self.file("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        Some(fields.split_whitespace().map(str::to_owned).collect())
    }

    /// What the kernel tells of it (proc(5)).
    pub(crate) fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // One that was killed meanwhile needs nothing.
        self.0.signal(Signal::CONT).ok();
    }
}
